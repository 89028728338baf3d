"""The package's modules in this process."""

from __future__ import annotations

import sys

from tests.unit.containers.programs import Image

sys.path.append(str(Image("model-serving").source))
