"""``serve``: the user's code in place, then the server, with as many workers as asked for."""

from __future__ import annotations

import os
import sys

import uvicorn

from . import user_code

WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
"""As AWS's inference toolkit calls it: https://github.com/aws/sagemaker-inference-toolkit#implementation-steps."""


def main() -> None:
    """Serve until SIGTERM."""
    model_dir = user_code.base_directory() / "model"
    multi_model = os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    # Of several models each may have a script of its own; one in S3 is everybody's.
    code = user_code.fetch(None if multi_model else model_dir)
    if code is not None:
        user_code.install_requirements(code)
        # For the workers, which are processes of their own.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(code), os.environ.get("PYTHONPATH", "")])
        sys.path.insert(0, str(code))
    given = os.environ.get("SAGEMAKER_BIND_TO_PORT")
    uvicorn.run(
        "model_server.app:create",
        factory=True,
        # Told a port, it shares the machine's network; else it is alone in a container.
        host="127.0.0.1" if given else "0.0.0.0",
        port=int(given or 8080),
        workers=1 if multi_model else int(os.environ.get(WORKERS) or 1),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=120,
    )
