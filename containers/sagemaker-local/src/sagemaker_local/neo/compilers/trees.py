"""From a tree ensemble to its artefact and what is to be proved of it: the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import calibration, check, cpus, native, shared_object
from .check import Tolerance
from .ensemble import Ensemble
from .job import Compiled
from .proof import Model, Subject
from .request import Request

WHY = "native is the only form that there is for trees"
TOLERANCE = {
    "float32": Tolerance(relative=1e-5, rows=0.0),
    "float64": Tolerance(relative=1e-12, rows=0.0),
}
"""Every row reaches the framework's own leaves; sums and sigmoids are rounded as they may be."""


def compiled(
    trees: Ensemble,
    request: Request,
    original: Callable[[NDArray[Any]], Any],
    versions: Mapping[str, str],
    framework_version: str,
    originals: Mapping[str, Model] | None = None,
    missing: bool = True,
    classes: Sequence[Any] | None = None,
) -> Compiled:
    """Build the shared object and describe it.

    Args:
        trees: The ensemble.
        request: What is asked for.
        original: The framework's own answers.
        versions: Of the framework's packages.
        framework_version: Of the framework itself.
        originals: The framework by its thread settings.
        missing: Whether the framework takes rows with missing values.
        classes: Labels in the order of the answer's columns.
    """
    architecture = request.target.architecture
    cpu = cpus.cpu(architecture, request.compiler_options)
    library = native.build(trees, architecture, cpu.zig)
    # What this machine cannot run is checked by a twin built from the same source.
    here = shared_object.here()
    default = cpus.CPUS[here][0].zig
    twin = cpu.features or here != architecture
    answer = native.loaded(native.build(trees, here, default) if twin else library, trees)

    def typed(rows: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(rows, trees.row)

    random = check.random_rows(trees.features)
    return Compiled(
        manifest={
            "framework_version": framework_version,
            **native.manifest(trees, cpu),
            "versions": {**versions, **native.versions()},
            "why": WHY,
            **({} if classes is None else {"classes": list(classes)}),
        },
        files={shared_object.MODEL_FILE: library},
        subject=Subject(
            original=lambda rows: [original(rows)],
            compiled=lambda rows: [answer(rows)],
            sample=typed(with_missing(random) if missing else random),
            rows=lambda count: typed(check.rows(trees.features, count)),
            of_calibration=lambda arrays: typed(calibration.rows(arrays, trees.features)),
            originals=originals or {},
            tolerance=TOLERANCE[trees.answer],
        ),
    )


def with_missing(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows twice, the second time with a tenth of the values missing."""
    holes = np.random.default_rng(1).uniform(size=rows.shape) < 0.1
    return np.concatenate([rows, np.where(holes, np.float32(np.nan), rows)])
