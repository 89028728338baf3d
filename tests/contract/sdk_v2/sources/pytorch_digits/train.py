"""A small network on handwritten digits; serves by its own functions."""

import argparse
import json
import os

import numpy as np
import torch
from sagemaker_inference import errors

torch.manual_seed(0)  # before the network has its first weights: the test counts right answers
network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


def model_fn(model_dir):
    network.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
    return network.eval()


def input_fn(body, content_type):
    if content_type != "application/json":
        raise errors.GenericInferenceToolkitError(
            415, f"{content_type} is not understood: send application/json"
        )
    return torch.tensor(json.loads(body), dtype=torch.float32)


def predict_fn(data, model):
    with torch.no_grad():
        return model(data / 16).argmax(dim=1)


def output_fn(prediction, accept):
    return json.dumps({"digits": prediction.tolist()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    table = np.loadtxt(
        os.path.join(os.environ["SM_CHANNEL_TRAIN"], "data.csv"), delimiter=",", dtype=np.float32
    )
    images, labels = torch.from_numpy(table[:, 1:] / 16), torch.from_numpy(table[:, 0]).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(arguments.epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    print(f"loss={loss.item():.4f}; GPUs {os.environ['SM_NUM_GPUS']}, torch {torch.__version__}")
    torch.save(network.state_dict(), os.path.join(os.environ["SM_MODEL_DIR"], "model.pth"))
