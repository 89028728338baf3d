"""Makes ``tests`` mean this repository's: a dependency installs a package of that name, which would win."""

from __future__ import annotations

from pathlib import Path

import tests

FOLDER = Path(__file__).resolve().parents[1] / "tests"
if str(FOLDER) not in list(tests.__path__):
    tests.__path__ = [str(FOLDER), *tests.__path__]
