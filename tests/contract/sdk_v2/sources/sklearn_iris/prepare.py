"""Splits a table: a processing script."""

import argparse
import os

import numpy as np
import sklearn

parser = argparse.ArgumentParser()
parser.add_argument("--share", type=float)
share = parser.parse_args().share
table = np.loadtxt("/opt/ml/processing/input/data.csv", delimiter=",")
cut = int(len(table) * share)
for name, rows in (("train", table[:cut]), ("test", table[cut:])):
    os.makedirs(f"/opt/ml/processing/{name}", exist_ok=True)
    np.savetxt(f"/opt/ml/processing/{name}/rows.csv", rows, delimiter=",")
print("rows", len(table), "scikit-learn", sklearn.__version__)
