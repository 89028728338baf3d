"""A small Keras network on handwritten digits, saved as a SavedModel."""

import argparse
import os

import keras
import numpy as np
from net import network

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--model_dir")  # the estimator's, in S3
    arguments = parser.parse_args()
    table = np.loadtxt(
        os.path.join(os.environ["SM_CHANNEL_TRAIN"], "data.csv"), delimiter=",", dtype=np.float32
    )
    keras.utils.set_random_seed(0)  # the test counts right answers
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = model.fit(table[:, 1:], table[:, 0], epochs=arguments.epochs, batch_size=16, verbose=0)
    print(f"accuracy={fitted.history['accuracy'][-1]:.4f}; checkpoints {arguments.model_dir}")
    model.export(os.path.join(os.environ["SM_MODEL_DIR"], "1"))
