"""Run in the PyTorch compiler's own environment: trains nets on the digits, saves each as people save them.

python pytorch_digits.py <digits.npz> <directory>

Leaves ``<net>/`` for the model's artefact and ``<net>.npz`` with rows of the test set and the net's answers.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

warnings.simplefilter("ignore")
KEPT_BACK = 297
EPOCHS = 12


def dense() -> Any:
    """64 pixels in a row."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(1)
    )


def convolutional() -> Any:
    """An image; batch normalisation and dropout behave otherwise in training."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(512, 10),
        nn.Softmax(1),
    )


def train(net: Any, pixels: Any, labels: Any) -> float:
    """Fit; the share of the test set that it gets right."""
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(pixels) - KEPT_BACK).split(64):
            optimizer.zero_grad()
            nn.functional.nll_loss(torch.log(net(pixels[rows]) + 1e-9), labels[rows]).backward()
            optimizer.step()
    net.eval()
    with torch.inference_mode():
        found = net(pixels[-KEPT_BACK:]).argmax(1)
    return float((found == labels[-KEPT_BACK:]).float().mean())


def trace(net: Any, rows: Any, directory: Path) -> None:
    """TorchScript, as Neo's documentation has it."""
    torch.jit.trace(net, rows[:1]).save(str(directory / "model.pth"))


def script(net: Any, rows: Any, directory: Path) -> None:
    """TorchScript from the code itself."""
    torch.jit.script(net).save(str(directory / "model.pt"))


def export(net: Any, rows: Any, directory: Path) -> None:
    """An exported program, as PyTorch would have it today."""
    any_number = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(
        torch.export.export(net, (rows[:2],), dynamic_shapes=any_number), directory / "model.pt2"
    )


def export_one(net: Any, rows: Any, directory: Path) -> None:
    """An exported program of one row, because nobody said that there could be more."""
    torch.export.save(torch.export.export(net, (rows[:1],)), directory / "model.pt2")


SAVED = {
    "dense": {"dense-traced": trace, "dense-exported": export},
    "convolutional": {"convolutional-scripted": script, "convolutional-of-one": export_one},
}


def main() -> None:
    """Train both nets, save them in all ways."""
    digits, directory = np.load(sys.argv[1]), Path(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    labels = torch.from_numpy(digits["labels"])
    for kind, net, shape in (("dense", dense(), (-1, 64)), ("convolutional", convolutional(), (-1, 1, 8, 8))):
        pixels = torch.from_numpy((digits["pixels"] / 16).astype(np.float32)).reshape(shape)
        print(f"{kind}: {train(net, pixels, labels):.3f} of the test set right")
        rows = pixels[-KEPT_BACK:]
        with torch.inference_mode():
            answers = net(rows).numpy()
        for name, save in SAVED[kind].items():
            (directory / name).mkdir()
            save(net, rows, directory / name)
            np.savez(
                directory / f"{name}.npz", rows=rows.numpy(), answers=answers, labels=labels[-KEPT_BACK:]
            )


if __name__ == "__main__":
    main()
