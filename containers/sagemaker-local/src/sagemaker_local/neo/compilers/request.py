"""What a compilation job asks for, read from its request and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INPUT_NAME = "input"

# CPU targets that run Linux, with their architecture.
# Source: https://docs.aws.amazon.com/sagemaker/latest/dg/neo-supported-cloud.html and
# https://docs.aws.amazon.com/sagemaker/latest/dg/neo-supported-devices-edge-devices.html
TARGET_DEVICES = {
    "ml_m4": "X86_64",
    "ml_m5": "X86_64",
    "ml_c4": "X86_64",
    "ml_c5": "X86_64",
    "lambda": "X86_64",
    "ml_m6g": "ARM64",
    "ml_c6g": "ARM64",
    "rasp4b": "ARM64",
}
ARCHITECTURES = ("X86_64", "ARM64")
FRAMEWORKS_OF_ROWS = ("SKLEARN", "XGBOOST")
"""Their one input is a table; the others' inputs are tensors with names and shapes of their own."""


IF_NOT_FASTER_TAG = "compilation:if-not-faster"
"""CreateCompilationJob has no field for it, and takes any tag; AWS's Neo pays no heed to tags."""
IF_NOT_FASTER = ("fail", "serve_original")

Shape = tuple[int, ...]


class CompilationError(Exception):
    """The job fails for a reason that a person can act on: the text becomes its FailureReason."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to compile for; ``described`` is the request's own words for it."""

    architecture: str
    described: dict[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """A compilation job.

    Attributes:
        framework_version: The version that the caller says the model has, if any.
        features: Width of a row as DataInputConfig declares it, if it does; of frameworks of rows.
        shapes: Inputs as DataInputConfig declares them, by name; of the other frameworks.
        rows: Rows of one call as DataInputConfig declares them, if it does.
        if_not_faster: What to do with a compiled model that is no faster, one of IF_NOT_FASTER.
        compiler_options: CompilerOptions as they came; of frameworks of rows.
    """

    framework: str
    framework_version: str | None
    features: int | None
    target: Target
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    rows: int | None = None
    if_not_faster: str = IF_NOT_FASTER[0]
    compiler_options: str | None = None

    def refuse_options(self, why: str) -> None:
        """Refuse CompilerOptions where they would mean nothing."""
        if self.compiler_options:
            raise CompilationError(
                f"CompilerOptions {self.compiler_options} are not supported {why}; leave them out"
            )

    def check_features(self, found: int, what: str) -> None:
        """Refuse a declared width that is not the model's."""
        if self.features is not None and self.features != found:
            raise CompilationError(
                f"DataInputConfig declares {self.features} features, {what} was trained on {found}: "
                f'use {{"{INPUT_NAME}": [1, {found}]}}'
            )

    def check_version(self, installed: str) -> None:
        """Refuse a declared version of the framework that is not the compiler's; 1.9 stands for all 1.9.x."""
        if self.framework_version is None:
            return
        wanted = self.framework_version.split(".")
        if installed.split(".")[: len(wanted)] != wanted:
            raise CompilationError(
                f"FrameworkVersion {self.framework_version} of {self.framework} is not supported: this "
                "compiler has "
                f"{installed}; train with it, or leave FrameworkVersion out"
            )


def read(path: Path) -> Request:
    """Read ``compilationjob.json``: InputConfig, OutputConfig and Tags of CreateCompilationJob."""
    content = json.loads(path.read_text())
    source, output = content["InputConfig"], content["OutputConfig"]
    declared, of_rows = source.get("DataInputConfig"), source["Framework"] in FRAMEWORKS_OF_ROWS
    shape = _table(declared) if of_rows else None
    shapes = {} if of_rows else _shapes(declared)
    rows = shape[0] if shape else next(iter(shapes.values()), (None,))[0]
    request = Request(
        framework=source["Framework"],
        framework_version=source.get("FrameworkVersion"),
        features=shape[1] if shape else None,
        target=_target(output),
        shapes=shapes,
        rows=rows if rows and rows > 0 else None,
        if_not_faster=_if_not_faster(content.get("Tags", {})),
        compiler_options=output.get("CompilerOptions") or None,
    )
    if not of_rows:
        request.refuse_options(f"for {request.framework}")
    return request


def _if_not_faster(tags: Mapping[str, str]) -> str:
    wanted = tags.get(IF_NOT_FASTER_TAG, IF_NOT_FASTER[0])
    if wanted not in IF_NOT_FASTER:
        raise CompilationError(
            f"the tag {IF_NOT_FASTER_TAG} is {wanted!r}, must be {' or '.join(IF_NOT_FASTER)}"
        )
    return wanted


def _shapes(text: str | None) -> dict[str, Shape]:
    """``{"input0": [1, 3, 224, 224]}``, the long form with "shape", or PyTorch's bare list of shapes."""
    wanted = 'DataInputConfig must name the inputs with their shapes, as {"input0": [1, 3, 224, 224]}'
    try:
        inputs = json.loads(text or "")
    except json.JSONDecodeError as error:
        raise CompilationError(f"{wanted}; it is not JSON ({error}): {(text or '')[:200]}") from None
    if isinstance(inputs, list):
        inputs = {f"input{number}": shape for number, shape in enumerate(inputs)}
    if not isinstance(inputs, dict) or not inputs:
        raise CompilationError(f"{wanted}; got {(text or '')[:200]}")
    shapes = {}
    for name, shape in inputs.items():
        sizes = shape.get("shape") if isinstance(shape, dict) else shape
        if not isinstance(sizes, list) or not all(type(size) is int and size > 0 for size in sizes):
            raise CompilationError(
                f"{wanted}; the shape of {name!r} must be positive whole numbers: {json.dumps(sizes)}"
            )
        shapes[name] = tuple(sizes)
    return shapes


def _table(text: str | None) -> tuple[int, int] | None:
    """Rows (-1 for any) and features."""
    if text is None:
        return None
    wanted = (
        f'DataInputConfig must be {{"{INPUT_NAME}": [<rows>, <features>]}}, as {{"{INPUT_NAME}": [1, 64]}}'
    )
    try:
        inputs = json.loads(text)
    except json.JSONDecodeError as error:
        raise CompilationError(f"{wanted}; it is not JSON ({error}): {text[:200]}") from None
    if not isinstance(inputs, dict) or len(inputs) != 1:
        raise CompilationError(f"{wanted}, with exactly one input; got {text[:200]}")
    ((name, shape),) = inputs.items()
    if name != INPUT_NAME:
        raise CompilationError(f"{wanted}; the model's one input is called {INPUT_NAME!r}, not {name!r}")
    if isinstance(shape, dict):  # The long form {"input": {"shape": [1, 64]}} of Core ML and ranged shapes.
        shape = shape.get("shape")
    whole = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not whole or len(shape) != 2 or shape[1] < 1 or (shape[0] < 1 and shape[0] != -1):
        raise CompilationError(f"{wanted}; got the shape {json.dumps(shape)}")
    return shape[0], shape[1]


def _target(output: Mapping[str, Any]) -> Target:
    if "TargetDevice" in output:
        device = output["TargetDevice"]
        if device not in TARGET_DEVICES:
            raise CompilationError(
                f"TargetDevice {device} is not supported; supported are {', '.join(sorted(TARGET_DEVICES))}"
            )
        return Target(TARGET_DEVICES[device], {"device": device})
    platform = output.get("TargetPlatform")
    if platform is None:
        raise CompilationError("OutputConfig names neither TargetDevice nor TargetPlatform; name one of them")
    if platform.get("Accelerator"):
        raise CompilationError(
            f"TargetPlatform Accelerator {platform['Accelerator']} is not supported; leave it out to "
            "compile for the CPU"
        )
    if platform["Os"] != "LINUX" or platform["Arch"] not in ARCHITECTURES:
        raise CompilationError(
            f"TargetPlatform {platform['Os']}/{platform['Arch']} is not supported; "
            f"supported are LINUX with {' or '.join(ARCHITECTURES)}"
        )
    return Target(platform["Arch"], {"os": platform["Os"], "arch": platform["Arch"]})
