"""Model artefacts: find the model in the one that training wrote, write the compiled one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from .request import CompilationError

MANIFEST_FILE = "manifest.json"
FORMAT = 1


def _plain_members(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Every member, if all are files and folders below the archive's root, as PEP 706's filter would take."""
    members = tar.getmembers()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is no file or folder below the archive's root")
    return members


def extract(archive: Path, directory: Path) -> None:
    """Unpack model.tar.gz; members that would leave the directory are refused."""
    try:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(directory, filter="data")
            else:  # Python 3.11.2, as Debian 12 has it
                tar.extractall(directory, members=_plain_members(tar))  # noqa: S202 (checked)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CompilationError(
            f"InputConfig.S3Uri: the model artefact cannot be unpacked ({error}); it must be a complete "
            ".tar.gz file"
        ) from error


def find_model(directory: Path, is_model: Callable[[Path], bool], kinds: str) -> Path:
    """The one file that is a model of the framework; ``kinds`` says in words which files are."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    models = [path for path in files if is_model(path)]
    if len(models) == 1:
        return models[0]
    names = ", ".join(str(path.relative_to(directory)) for path in (models or files)) or "nothing"
    if models:
        raise CompilationError(
            f"the model artefact holds several models ({names}); keep exactly one {kinds} in it"
        )
    raise CompilationError(f"the model artefact holds no model; exactly one {kinds} is needed, found {names}")


def sha256(path: Path) -> str:
    """Fingerprint of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(archive: Path, manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    """Write the compiled artefact; the same content gives the same bytes."""
    content = {MANIFEST_FILE: json.dumps({"format": FORMAT, **manifest}, indent=2).encode() + b"\n", **files}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(data))
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(packed.getvalue())
