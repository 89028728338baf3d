"""The fallback where no namespace can be made: a plain process, told by variables where its files are.

``SAGEMAKER_BASE_DIR`` stands for /opt/ml, and every path below a COPY's destination or /opt/ml that stands in
the command, the environment or the working directory is rewritten. A program that writes ``/opt/ml`` into its
code cannot work here, and programs are not kept apart: it is for machines that allow nothing better.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

from sagemaker_local.executors.base import ImageError
from sagemaker_local.executors.container import OPT_ML, Container, Mount
from sagemaker_local.executors.local import LocalExecutor


class BaseDirectoryExecutor(LocalExecutor):
    """Programs as plain processes with rewritten paths."""

    name = "base-directory"
    own_networks = False

    def sandbox(self, container: Container) -> list[str]:
        """Nothing: init alone stands before the program."""
        return []

    def fit(self, container: Container) -> Container:
        """Rewrite the container's paths to where the files really are."""
        if not container.network:
            raise ImageError(
                "EnableNetworkIsolation needs a sandbox, and the executor 'base-directory' has none: install "
                "bubblewrap, allow user namespaces, or create the job without it"
            )
        if len(container.hosts) > 1:
            raise ImageError(
                "Several instances find each other by names in /etc/hosts, and the executor 'base-directory' "
                "shows programs the machine's own: install bubblewrap, allow user namespaces, or ask for one "
                "instance"
            )
        places = {mount.target: str(mount.source) for mount in container.mounts}
        for mount in container.mounts:
            if mount.target.startswith(f"{OPT_ML}/"):
                places[mount.target] = str(_place(mount, Path(places[OPT_ML])))
        # These are the machine's own paths already, even where they lie below /tmp, which is a place as well.
        places |= {str(path): str(path) for path in container.needed}
        pattern = re.compile(
            # A path starts at the text's start or after a separator, and a place ends where its name does.
            r"(?<![\w./\-])("
            + "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
            + r")(?![\w.\-])"
        )

        def real(text: str) -> str:
            return pattern.sub(lambda match: places[match.group(1)], text)

        environment = {name: real(value) for name, value in container.environment.items()}
        home = container.scratch / "home"
        home.mkdir()
        environment |= {
            "SAGEMAKER_BASE_DIR": places[OPT_ML],
            "HOME": str(home),
            "TMPDIR": str(container.scratch / "tmp"),
            # Else AWS's training toolkit waits a quarter of an hour for its host's name to resolve.
            "SM_STUDIO_LOCAL_MODE": "true",
        }
        return dataclasses.replace(
            container,
            command=tuple(map(real, container.command)),
            environment=environment,
            workdir=real(container.workdir),
        )


def _place(mount: Mount, opt_ml: Path) -> Path:
    """Put what a sandbox would mount below /opt/ml there: a copy, where the program must not write."""
    place = opt_ml / mount.target.removeprefix(f"{OPT_ML}/")
    if place.is_dir():
        place.rmdir()  # the mount point, empty
    place.parent.mkdir(parents=True, exist_ok=True)
    if mount.writable:
        place.symlink_to(mount.source)
    elif mount.source.is_dir():
        shutil.copytree(mount.source, place, symlinks=True)
    else:
        shutil.copy2(mount.source, place)
    return place
