"""SageMaker's side of a processing container: where things lie, and how it says that it failed.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

BASE_DIR = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
PROCESSING_DIR = BASE_DIR / "processing"
MESSAGE_LIMIT_BYTES = 1024  # AWS keeps no more of an exit message.


class JobError(Exception):
    """The job cannot be done as asked; the text says what is wrong with which thing and what to do."""


def run(job: Callable[[], None]) -> int:
    """Run the job; its failure lands in ``output/message``, which becomes the job's ExitMessage."""
    try:
        job()
    except Exception as error:
        known = isinstance(error, JobError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        if not known:
            traceback.print_exc()
        print(f"error: {text}", file=sys.stderr)
        output = BASE_DIR / "output"
        output.mkdir(parents=True, exist_ok=True)
        short = text.encode()[:MESSAGE_LIMIT_BYTES].decode(errors="ignore")
        for name in ("message", "failure"):
            (output / name).write_text(short)
        return 1
    return 0
