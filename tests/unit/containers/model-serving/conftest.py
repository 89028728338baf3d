"""The package's modules in this process, and a server that the tests of a file share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.containers.model_servers import SERVING, program
from tests.unit.containers.programs import Server

sys.path.append(str(SERVING.source))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    """Two processes with the model that adds."""
    more = {"MODEL_SERVER_WORKERS": "2", "MODEL_SERVER_MAX_BODY_MB": "1", "MODEL_SERVER_ACCESS_LOG": "all"}
    with SERVING.server(base, more, program(base)) as running:
        yield running
