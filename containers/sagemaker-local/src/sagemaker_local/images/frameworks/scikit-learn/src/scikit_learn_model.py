"""scikit-learn's image: model_fn is the script's, everything else has a default."""

from pathlib import Path

from model_server import toolkit
from model_server.model import Model


def load(model_dir: Path) -> Model:
    """The script's model."""
    return toolkit.load(model_dir)
