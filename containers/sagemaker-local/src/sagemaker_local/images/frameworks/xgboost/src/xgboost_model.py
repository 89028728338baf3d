"""Serving of XGBoost's image: the user's script where there is one, else the built-in algorithm's model.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html and the responses of
https://github.com/aws/sagemaker-xgboost-container
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xgboost
from model_server import toolkit
from model_server.model import CSV, JSON, Answer, Model, media_type
from model_server.user_code import PROGRAM
from sagemaker_inference import errors
from xgboost_data import DataError, format_of, parse

LEFT_OUT = (".", "_")


class BuiltInModel:
    """The algorithm's model: rows in, one prediction a row out."""

    def __init__(self, model_dir: Path) -> None:
        self.booster = read_booster(model_dir)
        self.booster.set_param("nthread", 1)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """CSV or LIBSVM in; CSV or JSON out."""
        if not body:
            return Answer(b"", CSV, 204)
        try:
            rows = parse(body, headers.get("content-type", CSV), self.booster.num_features())
        except DataError as error:
            return Answer(str(error).encode(), "text/plain", 415)
        try:
            predictions = predict(self.booster, rows).tolist()
        except (xgboost.core.XGBoostError, ValueError) as error:
            return Answer(f"Unable to evaluate payload provided: {error}".encode(), "text/plain", 400)
        accept = media_type(headers.get("accept"), CSV)
        if accept in (JSON, "application/jsonlines"):
            scores = [{"score": each} for each in predictions]
            if accept == JSON:
                return Answer(json.dumps({"predictions": scores}).encode())
            return Answer("".join(json.dumps(each) + "\n" for each in scores).encode(), accept)
        if os.environ.get("SAGEMAKER_BATCH"):
            return Answer("".join(f"{each}\n" for each in predictions).encode(), CSV)
        return Answer(",".join(map(str, predictions)).encode(), CSV)


class Defaults(toolkit.Defaults):  # type: ignore[misc]
    """What a script leaves out: a matrix in, the booster's predictions out."""

    def default_input_fn(self, input_data: Any, content_type: str, context: object = None) -> Any:
        """A DMatrix of CSV or LIBSVM; 415 for other types."""
        try:
            format_of(content_type)
            body = input_data.encode() if isinstance(input_data, str) else input_data
            return parse(body, content_type or CSV, 0)
        except DataError as error:
            raise errors.GenericInferenceToolkitError(415, str(error)) from error

    def default_predict_fn(self, data: Any, model: Any, context: object = None) -> Any:
        """The best rounds only, where training stopped early."""
        return predict(model, data) if isinstance(model, xgboost.Booster) else model.predict(data)


def predict(booster: xgboost.Booster, rows: xgboost.DMatrix) -> Any:
    """Predictions of the best rounds; the names of columns do not matter."""
    best = booster.attr("best_iteration")
    rounds = (0, int(best) + 1) if best is not None else (0, 0)
    return booster.predict(rows, iteration_range=rounds, validate_features=False)


def read_booster(model_dir: Path) -> xgboost.Booster:
    """The one model file, as XGBoost or pickle wrote it.

    Raises:
        RuntimeError: there is none, or several, or it cannot be read.
    """
    files = [
        path for path in sorted(model_dir.iterdir()) if path.is_file() and not path.name.startswith(LEFT_OUT)
    ]
    if len(files) != 1:
        raise RuntimeError(
            f"{model_dir} needs exactly one model file, and has {[path.name for path in files]}"
        )
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(files[0].read_bytes()))
    except xgboost.core.XGBoostError as error:
        try:
            booster = pickle.loads(files[0].read_bytes())  # noqa: S301 - as the image does
        except Exception as other:  # unpickling runs code of others
            raise RuntimeError(f"Unable to load model {files[0].name}: {error} {other}") from other
    return booster


def load(model_dir: Path) -> Model:
    """The script's model, or the built-in algorithm's."""
    if os.environ.get(PROGRAM):
        return toolkit.load(model_dir, Defaults())
    return BuiltInModel(model_dir)
