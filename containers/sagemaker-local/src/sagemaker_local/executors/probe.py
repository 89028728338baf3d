"""Finds out whether a sandbox really works here, by running a program in it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from sagemaker_local.executors.container import OPT_ML, Container, Mount
from sagemaker_local.executors.local import LocalExecutor
from sagemaker_local.executors.process import BASE_PYTHON, INIT, init_command

TIMEOUT_S = 20.0

WITNESS = "import os, pathlib; pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'written').write_text('yes')"


def why_not(executor: LocalExecutor) -> str | None:
    """None when a program in this sandbox can write to its /opt/ml; else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="sagemaker-local-probe-") as name:
        scratch = Path(name)
        opt_ml = scratch / "ml"
        opt_ml.mkdir()
        container = executor.fit(
            Container(
                command=(BASE_PYTHON, "-I", "-S", "-c", WITNESS),
                environment={"SAGEMAKER_BASE_DIR": OPT_ML, "PATH": os.defpath},
                workdir="/",
                host_name="algo-1",
                network=True,
                scratch=scratch,
                mounts=(Mount(opt_ml, OPT_ML, writable=True),),
                needed=(Path(BASE_PYTHON).parent.parent, Path(INIT)),
            )
        )
        lifeline_read, lifeline = os.pipe()
        try:
            done = subprocess.run(
                [
                    *executor.sandbox(container),
                    *init_command(lifeline_read, container.workdir, container.command),
                ],
                env=dict(container.environment),
                pass_fds=(lifeline_read,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            os.close(lifeline_read)
            os.close(lifeline)
        if done.returncode == 0 and (opt_ml / "written").exists():
            return None
        return f"exit code {done.returncode}: {(done.stderr or done.stdout).strip() or 'no output'}"
