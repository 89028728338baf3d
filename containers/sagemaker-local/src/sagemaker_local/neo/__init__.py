"""Neo's compilers: which program turns a framework's model into a compiled artefact.

The programs below :mod:`sagemaker_local.neo.compilers` run in their own environment inside a job's sandbox,
never in the server's process: they load models, and a scikit-learn model is a pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent

COMPILERS = {
    "KERAS": ("keras_onnx", "tensorflow"),
    "ONNX": ("onnx_onnx", "onnx"),
    "PYTORCH": ("pytorch_onnx", "pytorch"),
    "SKLEARN": ("scikit_learn", "sklearn"),
    "TENSORFLOW": ("tensorflow_onnx", "tensorflow"),
    "XGBOOST": ("xgboost_c", "xgboost"),
}
"""Framework of CreateCompilationJob → module below ``compilers/``, environment ``requirements-<…>.txt``."""


# Builds without CUDA, where that index can be reached; PyPI's take gigabytes of it.
OPTIONS = {"pytorch": ("--extra-index-url https://download.pytorch.org/whl/cpu",)}


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
        options: Of pip, for the requirements.
    """

    requirements: Path
    source: Path
    command: tuple[str, ...]
    options: tuple[str, ...] = ()


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
    module, environment = COMPILERS[framework]
    return CompilerProgram(
        requirements=DIRECTORY / f"requirements-{environment}.txt",
        source=DIRECTORY,
        command=("python", "-m", f"compilers.{module}"),
        options=OPTIONS.get(environment, ()),
    )
