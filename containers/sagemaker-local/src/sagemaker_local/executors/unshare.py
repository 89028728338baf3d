"""The sandbox where bubblewrap is not installed: the same namespaces, made by our own system calls."""

from __future__ import annotations

import json
from pathlib import Path

from sagemaker_local.executors import namespace
from sagemaker_local.executors.container import USER_ID, Container
from sagemaker_local.executors.local import LocalExecutor
from sagemaker_local.executors.process import BASE_PYTHON
from sagemaker_local.executors.root_view import FRESH, links, visible_directories


class UnshareExecutor(LocalExecutor):
    """Programs in namespaces that :mod:`sagemaker_local.executors.namespace` makes."""

    name = "unshare"

    def sandbox(self, container: Container) -> list[str]:
        """The namespace program with what it is to build."""
        root = container.scratch / "root"
        root.mkdir(exist_ok=True)
        spec = {
            "root": str(root),
            "user": USER_ID,
            "host_name": container.host_name,
            "network": container.network,
            "links": links(),
            "directories": [f"/{name}" for name in FRESH],
            "hidden": [str(path) for path in self.hidden if path.exists()],
            "binds": [
                *((path, path, False) for path in visible_directories()),
                *((str(mount.source), mount.target, mount.writable) for mount in container.mounts),
                *((str(path), str(path), False) for path in container.needed),
            ],
        }
        program = str(Path(namespace.__file__).resolve())
        return [BASE_PYTHON, "-I", "-S", "-B", program, json.dumps(spec)]
