"""What a program of an image sees: files, environment, command. Making it real is each executor's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_local.executors.base import ImageError, Limits, Program
from sagemaker_local.executors.process import BASE_PYTHON, INIT
from sagemaker_local.executors.root_view import visible_directories
from sagemaker_local.images.image import Image

OPT_ML = "/opt/ml"

CERTIFICATES = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
)  # fmt: skip
"""Handed on from the server's environment, for machines that intercept TLS. Nothing else of it is."""

DEFAULTS = {
    "LANG": "C.UTF-8",
    "HOME": "/root",
    # Lines must reach the log when they are printed; images for AWS set it for the same reason.
    "PYTHONUNBUFFERED": "1",
}


USER_ID = 1000
"""Who programs are. Not 0: nginx and others, when they are root, chown files; one mapped user cannot."""

IDENTITY = {
    "hosts": "127.0.0.1 localhost{host}\n::1 localhost\n{hosts}",
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nsagemaker:x:{USER_ID}:{USER_ID}::/root:/bin/sh\n",
    "group": f"root:x:0:\nsagemaker:x:{USER_ID}:\n",
}
"""Files below /etc of the program's own: its host name resolves and its user has a name."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path and where the program sees it."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One start of an image, laid out below a scratch directory."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: str
    host_name: str
    network: bool
    scratch: Path
    mounts: tuple[Mount, ...]
    needed: tuple[Path, ...]
    """Host paths that must be visible at their own place: the interpreter, the environment, init."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


def lay_out(program: Program, image: Image, scratch_root: Path) -> Container:
    """Copy the image's files and put together command, environment and mounts.

    Raises:
        ImageError: a COPY fails, or the image says nothing to run.
    """
    scratch_root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{image.name}-", dir=scratch_root))
    root = scratch / "image"
    root.mkdir()
    places = set(image.copy_files(root))
    if image.workdir != "/" and not (root / image.workdir.lstrip("/")).is_dir():
        (root / image.workdir.lstrip("/")).mkdir(parents=True)
        places.add(image.workdir)
    places = _move_to_opt_ml(root, places, program.opt_ml)
    _refuse_system_places(image, places)
    host = "" if program.host_name in program.hosts else f" {program.host_name}"
    hosts = "".join(f"{address} {name}\n" for name, address in program.hosts.items())
    for name, text in IDENTITY.items():
        (scratch / name).write_text(text.format(host=host, hosts=hosts))
    (scratch / "tmp").mkdir()
    (scratch / "tmp").chmod(0o1777)
    return Container(
        command=_command(program, image),
        environment=_environment(program, image),
        workdir=image.workdir,
        host_name=program.host_name,
        network=program.network,
        scratch=scratch,
        mounts=(
            Mount(scratch / "tmp", "/tmp", writable=True),  # noqa: S108 - the program's own
            *(Mount(root / place.lstrip("/"), place, writable=True) for place in topmost(places)),
            Mount(program.opt_ml, OPT_ML, writable=True),
            *(Mount(mount.host_path, mount.path, writable=not mount.read_only) for mount in program.mounts),
            *(Mount(scratch / name, f"/etc/{name}") for name in IDENTITY if Path("/etc", name).exists()),
        ),
        needed=_needed(image),
        hosts=program.hosts,
        limits=program.limits,
    )


def topmost(places: Iterable[str]) -> list[str]:
    """The paths that are not below another of them."""
    distinct = set(places)
    return sorted(place for place in distinct if not any(place.startswith(f"{other}/") for other in distinct))


def _move_to_opt_ml(root: Path, places: set[str], opt_ml: Path) -> set[str]:
    """Give the job what the image has below /opt/ml, such as its script in ``code``; the other places."""
    below = root / OPT_ML.lstrip("/")
    if below.is_dir():
        shutil.copytree(below, opt_ml, dirs_exist_ok=True, symlinks=True)
    return {place for place in places if not f"{place}/".startswith(f"{OPT_ML}/")}


def _refuse_system_places(image: Image, places: Iterable[str]) -> None:
    system = visible_directories()
    for place in places:
        if f"/{place.split('/')[1]}" in system:
            raise ImageError(
                f"{image.folder}/Dockerfile puts files in {place}: the system directories are the machine's "
                "own and read-only here. Use a directory of the image's own, such as /opt/program or /app"
            )


def _command(program: Program, image: Image) -> tuple[str, ...]:
    entrypoint = image.entrypoint if program.entrypoint is None else program.entrypoint
    # As Docker: arguments replace CMD, and another ENTRYPOINT drops it.
    default = image.command if program.entrypoint is None else ()
    command = (*entrypoint, *(program.arguments or default))
    if not command:
        raise ImageError(
            f"Image '{image.name}' has neither ENTRYPOINT nor CMD, and the request names no program"
        )
    return command


def _environment(program: Program, image: Image) -> dict[str, str]:
    environment = DEFAULTS | {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
    environment |= {**image.environment, **program.environment}
    if program.port is not None:
        environment["SAGEMAKER_BIND_TO_PORT"] = str(program.port)
        environment["SAGEMAKER_SAFE_PORT_RANGE"] = f"{program.port}-{program.port}"
    return environment


def _needed(image: Image) -> tuple[Path, ...]:
    python = Path(BASE_PYTHON)
    certificates = [Path(os.environ[name]) for name in CERTIFICATES if os.environ.get(name)]
    wanted = [
        image.python.directory,
        image.python.base_prefix,
        python.parent.parent,
        Path(INIT),
        *image.visible,
        *certificates,
    ]
    # A virtual environment reaches its interpreter by a link; the way there must be visible as well.
    link = image.python.bin / "python"
    while link.is_symlink():
        link = link.parent / os.readlink(link)
        wanted.append(link.parent.parent)
    return tuple(dict.fromkeys(path for path in wanted if path.exists() and path != Path("/")))
