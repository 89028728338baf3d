"""SageMaker's side of a container: where things lie, what a job was asked, how it says that it failed.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import traceback
from collections.abc import Callable
from pathlib import Path, PurePosixPath

BASE_DIR = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
MESSAGE_LIMIT_BYTES = 1024  # AWS keeps no more of a failure or an exit message.


class JobError(Exception):
    """The job cannot be done as asked; the text says what is wrong with which thing and what to do."""


def hyperparameters() -> dict[str, str]:
    """What the training job was created with, without the keys of SageMaker's own toolkits."""
    path = BASE_DIR / "input/config/hyperparameters.json"
    if not path.exists():
        return {}
    given = json.loads(path.read_text())
    return {name: str(text) for name, text in given.items() if not name.startswith("sagemaker_")}


def only_archive(directory: Path) -> Path:
    """The one ``*.tar.gz`` of an input; AWS names compiled artefacts by their target."""
    archives = sorted(directory.glob("*.tar.gz"))
    if len(archives) != 1:
        found = ", ".join(path.name for path in archives) or "none"
        raise JobError(
            f"{directory}: need exactly one *.tar.gz, found {found}; check the job's ProcessingInputs"
        )
    return archives[0]


def _plain_members(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Every member, if all are files and folders below the archive's root, as PEP 706's filter would take."""
    members = tar.getmembers()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is no file or folder below the archive's root")
    return members


def extract(archive: Path, directory: Path) -> Path:
    """Unpack a model artefact; members that would leave the directory are refused."""
    try:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(directory, filter="data")
            else:  # Python 3.11.2, as Debian 12 has it
                tar.extractall(directory, members=_plain_members(tar))  # noqa: S202 (checked)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise JobError(f"{archive}: cannot be unpacked ({error}); is it a complete model.tar.gz?") from error
    return directory


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write a report, with its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def run(job: Callable[[], None]) -> int:
    """Run a job's main function; its failure lands where SageMaker looks for it.

    Training jobs report ``output/failure``, processing jobs ``output/message``.
    """
    try:
        job()
    except Exception as error:
        known = isinstance(error, JobError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        if not known:
            traceback.print_exc()
        print(f"error: {text}", file=sys.stderr)
        output = BASE_DIR / "output"
        output.mkdir(parents=True, exist_ok=True)
        short = text.encode()[:MESSAGE_LIMIT_BYTES].decode(errors="ignore")
        for name in ("failure", "message"):
            (output / name).write_text(short)
        return 1
    return 0
