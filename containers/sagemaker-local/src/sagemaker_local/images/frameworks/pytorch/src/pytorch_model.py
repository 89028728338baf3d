"""PyTorch's image: without a script the one TorchScript file is the model.

Source: https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#serve-a-pytorch-model
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from model_server import toolkit
from model_server.model import Model
from sagemaker_inference import content_types, decoder, encoder, errors, utils

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Defaults:
    """What a script leaves out."""

    def default_model_fn(self, model_dir: str, context: object = None) -> Any:
        """``model.pth``, or the one ``*.pt`` or ``*.pth``, made by ``torch.jit.save``.

        Raises:
            ValueError: there is not exactly one.
        """
        directory = Path(model_dir)
        named = directory / "model.pth"
        files = [named] if named.exists() else [*directory.glob("*.pt"), *directory.glob("*.pth")]
        if len(files) != 1:
            names = [file.name for file in files]
            raise ValueError(f"Exactly one .pth or .pt file is required for PyTorch models: {names}")
        try:
            return torch.jit.load(str(files[0]), map_location=DEVICE)
        except RuntimeError as error:
            raise ValueError(
                f"Failed to load {files[0]}. Please ensure model is saved using torchscript, "
                "or write a model_fn."
            ) from error

    def default_input_fn(self, input_data: Any, content_type: str, context: object = None) -> Any:
        """A tensor of JSON, CSV or NPY."""
        array = decoder.decode(input_data, content_type)
        if content_type in content_types.UTF8_TYPES:
            return torch.FloatTensor(array).to(DEVICE)
        return torch.from_numpy(array).to(DEVICE)

    def default_predict_fn(self, data: Any, model: Any, context: object = None) -> Any:
        """The model's answer, without gradients."""
        with torch.no_grad():
            model.to(DEVICE).eval()
            return model(data.to(DEVICE))

    def default_output_fn(self, prediction: Any, accept: str, context: object = None) -> tuple[Any, str]:
        """JSON, CSV or NPY."""
        if isinstance(prediction, torch.Tensor):
            prediction = prediction.detach().cpu().numpy().tolist()
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise errors.UnsupportedFormatError(accept)


def load(model_dir: Path) -> Model:
    """The script's model, or the one file's."""
    return toolkit.load(model_dir, Defaults())
