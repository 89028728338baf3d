"""Neo's compilers: which program turns a framework's model into a compiled artefact.

The programs below :mod:`sagemaker_local.neo.compilers` run in their own environment inside a job's sandbox,
never in the server's process: they load models, and a scikit-learn model is a pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent

# Framework of CreateCompilationJob -> module below compilers/. The pins are in requirements-<framework>.txt.
COMPILERS = {"SKLEARN": "sklearn_onnx", "XGBOOST": "xgboost_c"}


class UnsupportedFramework(ValueError):
    """There is no compiler for the framework; the text is fit for the job's FailureReason."""


@dataclass(frozen=True, slots=True)
class CompilerProgram:
    """How to run a compiler.

    It reads ``input/config/compilationjob.json`` and ``input/model/model.tar.gz`` below ``/opt/ml`` (or
    ``SAGEMAKER_BASE_DIR``) and leaves ``output/compiled.tar.gz``, or the reason why not in ``output/failure``
    and an exit code other than 0.

    Attributes:
        requirements: Pinned requirements of its environment.
        source: Directory that the program sees as ``/opt/program``, its working directory.
        command: What to run there.
    """

    requirements: Path
    source: Path
    command: tuple[str, ...]


def compiler_program(framework: str) -> CompilerProgram:
    """The compiler of a framework.

    Raises:
        UnsupportedFramework: naming those that there are.
    """
    if framework not in COMPILERS:
        supported = ", ".join(sorted(COMPILERS))
        raise UnsupportedFramework(
            f"Framework {framework} cannot be compiled here; supported are {supported}. "
            "Serve the model uncompiled, or compile it on AWS."
        )
    return CompilerProgram(
        requirements=DIRECTORY / f"requirements-{framework.lower()}.txt",
        source=DIRECTORY,
        command=("python", "-m", f"compilers.{COMPILERS[framework]}"),
    )
