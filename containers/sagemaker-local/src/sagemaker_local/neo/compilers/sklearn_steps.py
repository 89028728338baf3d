"""scikit-learn's transformers as steps of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import preprocessing
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from .program import NotCoveredError, Program, Value

Transform = Callable[[Program, Any, Value], Value]


def transformed(program: Program, transformer: Any, value: Value) -> Value:
    """Add a transformer's steps.

    Raises:
        NotCoveredError: naming what no step does.
    """
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return value
    if isinstance(transformer, SelectorMixin) and isinstance(transformer, BaseEstimator):
        return program.gather(value, transformer.get_support(indices=True))
    add = TRANSFORMS.get(type(transformer))
    if add is None:
        raise NotCoveredError(f"{type(transformer).__name__} is not one of the native steps")
    return add(program, transformer, value)


def _standard(program: Program, scaler: Any, value: Value) -> Value:
    if scaler.with_mean:
        program.columnwise("subtract", value, scaler.mean_)
    if scaler.with_std:
        program.columnwise("divide", value, scaler.scale_, 1.0)
    return value


def _min_max(program: Program, scaler: Any, value: Value) -> Value:
    program.columnwise("multiply", value, scaler.scale_)
    program.columnwise("add", value, scaler.min_)
    if scaler.clip:
        program.columnwise("at_least", value, scaler.feature_range[0])
        program.columnwise("at_most", value, scaler.feature_range[1])
    return value


def _max_abs(program: Program, scaler: Any, value: Value) -> Value:
    if getattr(scaler, "clip", False):
        raise NotCoveredError("MaxAbsScaler with clip is not one of the native steps")
    return program.columnwise("divide", value, scaler.scale_, 1.0)


def _robust(program: Program, scaler: Any, value: Value) -> Value:
    if scaler.with_centering:
        program.columnwise("subtract", value, scaler.center_)
    if scaler.with_scaling:
        program.columnwise("divide", value, scaler.scale_, 1.0)
    return value


def _normalizer(program: Program, normalizer: Any, value: Value) -> Value:
    kinds = {"l1": "L1", "l2": "L2", "max": "LARGEST"}
    return program.within_row("normalize", value, kinds[normalizer.norm])


def _binarizer(program: Program, binarizer: Any, value: Value) -> Value:
    return program.in_place("above", value, float(binarizer.threshold).hex())


def _imputer(program: Program, imputer: Any, value: Value) -> Value:
    statistics = np.asarray(imputer.statistics_, object)
    try:
        numbers = statistics.astype(np.float64)
    except (TypeError, ValueError):
        raise NotCoveredError("SimpleImputer of texts is not one of the native steps") from None
    if imputer.add_indicator or np.isnan(numbers).any():
        raise NotCoveredError("SimpleImputer with an indicator or an empty column is no native step")
    missing = imputer.missing_values
    if missing is None or isinstance(missing, str):
        raise NotCoveredError(f"SimpleImputer with missing_values={missing!r} is no native step")
    if np.isnan(missing):
        return program.columnwise("fill_nan", value, numbers)
    return program.in_place("fill", value, program.table(numbers), float(missing).hex())


def _polynomial(program: Program, polynomial: Any, value: Value) -> Value:
    factors: list[int] = []
    for powers in polynomial.powers_:
        columns = [column for column, power in enumerate(powers) for _ in range(power)]
        factors += [len(columns), *columns]
    listed = program.whole_numbers(factors)
    width = len(polynomial.powers_)
    return program.made("products", value, width, listed, str(width))


def _categories(encoder: Any) -> list[Any]:
    categories = [np.asarray(known) for known in encoder.categories_]
    if any(known.dtype.kind not in "fiub" for known in categories):
        raise NotCoveredError(f"{type(encoder).__name__} of texts is not one of the native steps")
    if getattr(encoder, "_infrequent_enabled", False):
        raise NotCoveredError(f"{type(encoder).__name__} with infrequent categories is no native step")
    return [known.astype(np.float64) for known in categories]


def _one_hot(program: Program, encoder: Any, value: Value) -> Value:
    categories = _categories(encoder)
    if encoder.handle_unknown == "error":
        raise NotCoveredError(
            'OneHotEncoder with handle_unknown="error" is no native step (no answer raises there)'
        )
    columns: list[int] = []
    width = 0
    dropped = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * len(categories)
    for known, left_out in zip(categories, dropped, strict=True):
        for number in range(len(known)):
            keep = left_out is None or number != left_out
            columns.append(width if keep else -1)
            width += keep
    return program.made(
        "one_hot",
        value,
        width,
        program.table(np.concatenate(categories)),
        program.whole_numbers([len(known) for known in categories]),
        program.whole_numbers(columns),
        str(len(categories)),
    )


def _ordinal(program: Program, encoder: Any, value: Value) -> Value:
    categories = _categories(encoder)
    if encoder.handle_unknown != "use_encoded_value" or np.isnan(encoder.unknown_value):
        raise NotCoveredError(
            'OrdinalEncoder without handle_unknown="use_encoded_value" and a number is no native step'
        )
    codes = [np.arange(len(known), dtype=np.float64) for known in categories]
    for feature, missing in encoder._missing_indices.items():
        codes[feature][missing] = encoder.encoded_missing_value
    return program.in_place(
        "ordinal",
        value,
        program.table(np.concatenate(categories)),
        program.whole_numbers([len(known) for known in categories]),
        program.table(np.concatenate(codes)),
        str(len(categories)),
        float(encoder.unknown_value).hex(),
    )


def _pca(program: Program, pca: Any, value: Value) -> Value:
    value = program.linear(value, pca.components_, -(pca.mean_.reshape(1, -1) @ pca.components_.T))
    if pca.whiten:
        scale = np.sqrt(pca.explained_variance_)
        program.columnwise("divide", value, np.maximum(scale, np.finfo(scale.dtype).eps), 1.0)
    return value


def _svd(program: Program, svd: Any, value: Value) -> Value:
    return program.linear(value, svd.components_, np.zeros(len(svd.components_)))


def _function(program: Program, transformer: Any, value: Value) -> Value:
    if transformer.func is not None:
        raise NotCoveredError("FunctionTransformer with a function of your own is no native step")
    return value


def _pipeline(program: Program, pipeline: Any, value: Value) -> Value:
    for _, step in pipeline.steps:
        value = transformed(program, step, value)
    return value


def _union(program: Program, union: Any, value: Value) -> Value:
    if union.transformer_weights:
        raise NotCoveredError("FeatureUnion with weights is not one of the native steps")
    parts = [(step, _copy(program, value)) for _, step in union.transformer_list if step != "drop"]
    return program.joined([transformed(program, step, part) for step, part in parts])


def _columns(program: Program, columns: Any, value: Value) -> Value:
    if columns.transformer_weights:
        raise NotCoveredError("ColumnTransformer with weights is not one of the native steps")
    parts = []
    for name, step, _ in columns.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        chosen = columns._transformer_to_input_indices[name]
        if not len(chosen):
            continue
        parts.append(transformed(program, step, program.gather(value, chosen)))
    return program.joined(parts)


def _copy(program: Program, value: Value) -> Value:
    return program.gather(value, range(value.width))


TRANSFORMS: dict[type, Transform] = {
    preprocessing.StandardScaler: _standard,
    preprocessing.MinMaxScaler: _min_max,
    preprocessing.MaxAbsScaler: _max_abs,
    preprocessing.RobustScaler: _robust,
    preprocessing.Normalizer: _normalizer,
    preprocessing.Binarizer: _binarizer,
    preprocessing.PolynomialFeatures: _polynomial,
    preprocessing.OneHotEncoder: _one_hot,
    preprocessing.OrdinalEncoder: _ordinal,
    preprocessing.FunctionTransformer: _function,
    SimpleImputer: _imputer,
    PCA: _pca,
    TruncatedSVD: _svd,
    Pipeline: _pipeline,
    FeatureUnion: _union,
    ColumnTransformer: _columns,
}
