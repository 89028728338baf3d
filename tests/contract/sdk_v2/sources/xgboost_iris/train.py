"""Gradient boosting on iris by a script of the user's."""

import argparse
import os

import numpy as np
import xgboost


def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "iris.json"))
    return booster


def predict_fn(data, model):
    return model.predict(data).argmax(axis=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_round", type=int)
    arguments = parser.parse_args()
    table = np.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "data.csv"), delimiter=",")
    matrix = xgboost.DMatrix(table[:, 1:], label=table[:, 0])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, matrix, arguments.num_round)
    booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "iris.json"))
