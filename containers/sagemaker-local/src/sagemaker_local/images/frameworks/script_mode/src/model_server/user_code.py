"""The script of the user: where it comes from, what it requires.

SAGEMAKER_SUBMIT_DIRECTORY is ``s3://…/sourcedir.tar.gz`` (scikit-learn, XGBoost) or a directory; without it
the code is in the artefact's ``code``. Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/adapt-inference-container.html
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

PROGRAM = "SAGEMAKER_PROGRAM"
SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"


def base_directory() -> Path:
    """/opt/ml, or what stands for it outside a container."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def fetch(model_dir: Path | None) -> Path | None:
    """The directory of the user's code, fetched when it is in S3; None when there is none.

    Args:
        model_dir: The artefact, whose ``code`` counts when nothing else is said.
    """
    given = os.environ.get(SUBMIT_DIRECTORY, "")
    if given.startswith("s3://"):
        return _download(given, base_directory() / "code")
    places = [Path(given)] if given else []
    places += [model_dir / "code"] if model_dir else []
    return next((place for place in places if place.is_dir()), None)


def install_requirements(code: Path) -> None:
    """Install what stands in ``requirements.txt`` beside the script.

    Raises:
        SystemExit: pip fails; its output is in the log.
    """
    if not (code / "requirements.txt").is_file():
        return
    command = [sys.executable, "-m", "pip", "install", "--no-input", "-r", "requirements.txt"]
    code_of_pip = subprocess.run(command, cwd=code, check=False).returncode
    if code_of_pip:
        raise SystemExit(f"{code}/requirements.txt could not be installed: pip ended with {code_of_pip}")


def _download(uri: str, target: Path) -> Path:
    import boto3

    parts = urlsplit(uri)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as archive:
        boto3.client("s3").download_fileobj(parts.netloc, parts.path.lstrip("/"), archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(target, filter="data")
            else:  # Python 3.11.2, as Debian 12 has it
                tar.extractall(target)  # noqa: S202 - the user's own archive, in the user's own sandbox
    return target
