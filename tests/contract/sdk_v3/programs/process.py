"""Joins its inputs and its arguments."""

import sys
from pathlib import Path

base = Path("/opt/ml/processing")
text = "".join(path.read_text() for path in sorted((base / "data").iterdir()))
(base / "out" / "joined.txt").write_text(text + " ".join(sys.argv[1:]))
