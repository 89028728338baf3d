"""PyTorch → ONNX: a TorchScript module, as Neo takes it, or an exported program.

A file that holds a pickled module or its weights alone has no code in it to compile, so it is refused.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/neo-compilation-preparing-model.html
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from . import tensors
from .job import Compiled, run
from .request import CompilationError, Request

SCRIPTED = (".pth", ".pt")
EXPORTED = ".pt2"

Module = Callable[..., Any]


def compile_model(path: Path, request: Request) -> Compiled:
    """Load, convert by running it once with the declared shapes, compare."""
    module = load(path)
    examples = tuple(torch.rand(shape) for shape in request.shapes.values())
    original = answers(module, tuple(request.shapes))
    try:
        with torch.inference_mode():
            module(*examples)
    except Exception as error:  # whatever the model's own code raises
        shapes = {name: list(shape) for name, shape in request.shapes.items()}
        raise CompilationError(
            f"{path.name} does not run with the inputs that DataInputConfig declares, {shapes}: {error}"
        ) from error
    graph = convert(module, examples, request, any_rows=True)
    if graph is None or not tensors.takes_other_rows(graph, original, request):
        graph = convert(module, examples, request, any_rows=False)
    if graph is None:
        raise CompilationError(
            f"{path.name} has a part that PyTorch {torch.__version__} cannot write as ONNX"
        )
    return tensors.compiled(
        graph, original, request, {"torch": torch.__version__}, originals=by_threads(original)
    )


def by_threads(original: tensors.Model) -> dict[str, tensors.Model]:
    """The original with one thread, and with one a processor."""

    def with_threads(count: int) -> tensors.Model:
        def answer(inputs: tensors.Inputs) -> Sequence[Any]:
            torch.set_num_threads(count)
            return original(inputs)

        return answer

    return {f"threads={count}": with_threads(count) for count in sorted({1, os.cpu_count() or 1})}


def load(path: Path) -> Module:
    """The model, on the CPU and ready to predict."""
    if path.suffix == EXPORTED:
        return _exported(path)
    try:
        scripted: Module = torch.jit.load(path, map_location="cpu").eval()
        return scripted
    except Exception as error:  # the loader raises RuntimeError for most, but not for all
        raise CompilationError(
            f"{path.name} is not TorchScript: save torch.jit.trace(model, example) or "
            "torch.jit.script(model) "
            f"with torch.jit.save ({_first_line(error)})"
        ) from error


def _exported(path: Path) -> Module:
    try:
        module: Any = torch.export.load(path).module()
    except Exception as error:  # of many kinds: it reads an archive, a schema's version, then code
        raise CompilationError(
            f"{path.name} is no exported program that PyTorch {torch.__version__} reads: save "
            f"torch.export.export(model, example) with torch.export.save ({_first_line(error)})"
        ) from error
    # Its own refuse, and the exporter to ONNX calls them; whether it trains was settled when it was exported.
    module.train = module.eval = lambda *_: module
    exported: Module = module
    return exported


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def answers(module: Module, names: Sequence[str]) -> tensors.Model:
    """The module as the comparison calls it."""

    def answer(inputs: tensors.Inputs) -> list[Any]:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(inputs[name]) for name in names))
        return [part.numpy() for part in _flat(found)]

    return answer


def convert(module: Module, examples: tuple[Any, ...], request: Request, *, any_rows: bool) -> bytes | None:
    """ONNX, or None when the exporter cannot."""
    names = list(request.shapes)
    with torch.inference_mode():
        outputs = [f"output{number}" for number, _ in enumerate(_flat(module(*examples)))]
    axes = {name: {0: "rows"} for name in (*names, *outputs)} if any_rows else None
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself and of every shape it folds
        try:
            torch.onnx.export(module, examples, written, dynamo=False, opset_version=tensors.OPSET,
                              input_names=names, output_names=outputs, dynamic_axes=axes)  # fmt: skip
        except Exception as error:  # of many kinds; the caller tries another way, then names the model
            print(
                f"not as ONNX {'for any number of rows' if any_rows else 'at all'}: {error}", file=sys.stderr
            )
            return None
    return written.getvalue()


def _flat(found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        found = list(found.values())
    return [part for each in found for part in _flat(each)] if isinstance(found, list | tuple) else [found]


def main() -> int:
    """Run the job below /opt/ml."""
    suffixes = (*SCRIPTED, EXPORTED)
    return run(
        compile_model, lambda path: path.suffix in suffixes, " or ".join(f"*{end}" for end in suffixes)
    )


if __name__ == "__main__":
    sys.exit(main())
