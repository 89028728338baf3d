"""A program's own layer above a virtual environment that all programs share and none may change.

In a container ``pip install`` works, and AWS's toolkits do it when a source_dir has a requirements.txt. Here
the environment is shared, so a program whose environment has pip gets a small virtual environment of its own:
it sees every package below, and takes what pip adds. It vanishes with the program.
"""

from __future__ import annotations

import os
from pathlib import Path

from sagemaker_local.images.environments import Environment

LAYER = "/opt/venv"
"""Where the program sees it."""

SCRIPT = "#!/usr/bin/env python3\n"


def has_pip(environment: Environment) -> bool:
    """Whether programs of this environment can install packages at all."""
    return any(environment.directory.glob("lib/python3*/site-packages/pip/__main__.py"))


def write_layer(root: Path, environment: Environment) -> str:
    """Make the layer below ``root``; returns its place in the image."""
    layer = root / LAYER.lstrip("/")
    (packages,) = environment.directory.glob("lib/python3*/site-packages")
    version = packages.parent.name
    own = layer / "lib" / version / "site-packages"
    own.mkdir(parents=True)
    (layer / "bin").mkdir()
    # Not a bare path: only addsitedir honours the .pth files of the packages below.
    (own / "_shared_environment.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n")
    (layer / "pyvenv.cfg").write_text((environment.directory / "pyvenv.cfg").read_text())
    interpreter = environment.bin / "python"
    for name in ("python", "python3", version):
        (layer / "bin" / name).symlink_to(interpreter)
    for script in os.scandir(environment.bin):
        if script.is_file(follow_symlinks=False):
            _copy_script(Path(script.path), layer / "bin" / script.name, environment)
    return LAYER


def _copy_script(source: Path, target: Path, environment: Environment) -> None:
    """Copy a console script so that it runs on the layer's interpreter."""
    with source.open("rb") as file:
        head = file.read(512)
        if not head.startswith(b"#!"):
            return
        text = (head + file.read()).decode(errors="surrogateescape")
    first, _, rest = text.partition("\n")
    if first.startswith(f"#!{environment.bin}/python"):
        target.write_text(SCRIPT + rest, errors="surrogateescape")
        target.chmod(0o755)
    elif first == "#!/bin/sh" and str(environment.bin) in rest[:400]:
        # Paths that are too long for a first line: "'''exec' '/…/python' \"$0\" \"$@\"" and "' '''".
        _, _, body = rest.partition("' '''\n")
        target.write_text(SCRIPT + body, errors="surrogateescape")
        target.chmod(0o755)
