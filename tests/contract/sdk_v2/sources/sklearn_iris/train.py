"""Logistic regression on iris; trains when run, serves when imported."""

import argparse
import os

import joblib
import numpy as np


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    import humanize  # of requirements.txt
    from shared.scores import share_right
    from sklearn.linear_model import LogisticRegression

    parser = argparse.ArgumentParser()
    parser.add_argument("--max-iter", type=int)
    parser.add_argument("--penalty-name")
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    arguments = parser.parse_args()
    table = np.loadtxt(os.path.join(arguments.train, "data.csv"), delimiter=",")
    model = LogisticRegression(max_iter=arguments.max_iter).fit(table[:, 1:], table[:, 0])
    print(f"accuracy={share_right(model.predict(table[:, 1:]), table[:, 0]):.4f};")
    print(f"{humanize.intword(1_000_000)}; {arguments.penalty_name}; hosts {os.environ['SM_HOSTS']}")
    joblib.dump(model, os.path.join(arguments.model_dir, "model.joblib"))
