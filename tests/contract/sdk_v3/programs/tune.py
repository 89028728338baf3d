"""Takes its hyperparameters as arguments, and is the better the nearer its rate is to 0.3."""

import argparse
import os
from pathlib import Path

import sklearn

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--epochs", type=int)
arguments, _ = parser.parse_known_args()
print(f"scikit-learn {sklearn.__version__}; loss={abs(arguments.rate - 0.3):.6f};")
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(arguments))
