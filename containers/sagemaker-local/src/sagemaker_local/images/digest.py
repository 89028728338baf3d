"""What an image is, as one digest: the files of its folder and of the folders that it is made from.

On AWS the digest is that of the image's manifest in ECR. Here the folder is the image: the same files are the
same image, and an edit makes another one.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from sagemaker_local.images.catalogue import ImageCatalogue

LEFT_OUT = frozenset({"__pycache__", ".git", ".venv"})
FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)
MAX_BASES = 20
"""Further than any image is from its first one: folders that are made from each other come to an end too."""


def content_digest(catalogue: ImageCatalogue, folder: Path) -> str:
    """``sha256:…`` over names, executable bits and contents."""
    hashed = hashlib.sha256()
    current: Path | None = folder
    for _ in range(MAX_BASES):
        if current is None:
            break
        for path in _files(current):
            executable = b"x" if os.access(path, os.X_OK) else b"-"
            name = path.relative_to(current).as_posix().encode()
            content = hashlib.sha256(path.read_bytes()).digest()
            hashed.update(b"%d %s %s" % (len(name), name, executable) + content)
        hashed.update(b"\0")
        base = FROM.search((current / "Dockerfile").read_text(errors="replace"))
        current = catalogue.known(base[1]) if base else None
    return f"sha256:{hashed.hexdigest()}"


def _files(folder: Path) -> list[Path]:
    """The files that an image is made of, in one order."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        found += [path for name in sorted(names) if (path := Path(root, name)).is_file()]
    return found
