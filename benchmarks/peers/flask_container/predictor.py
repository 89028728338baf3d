"""The Flask application of the container that people copy: CSV by pandas, one prediction a request."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import flask
import joblib
import pandas as pd

app = flask.Flask(__name__)


class Scoring:
    """The model, loaded at the first request of a worker."""

    model: Any = None

    @classmethod
    def get(cls) -> Any:
        """The model."""
        if cls.model is None:
            cls.model = joblib.load(Path(os.environ["MODEL_DIR"]) / "model.joblib")
        return cls.model


@app.route("/ping", methods=["GET"])
def ping() -> flask.Response:
    """200 when the model can be loaded."""
    status = 200 if Scoring.get() is not None else 404
    return flask.Response(response="\n", status=status, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations() -> flask.Response:
    """CSV without a header in, a prediction a line out."""
    if flask.request.content_type != "text/csv":
        return flask.Response(response="only CSV data is taken", status=415, mimetype="text/plain")
    rows = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
    print(f"invoked with {rows.shape[0]} rows")
    answers = io.StringIO()
    pd.DataFrame({"results": Scoring.get().predict(rows.to_numpy())}).to_csv(
        answers, header=False, index=False
    )
    return flask.Response(response=answers.getvalue(), status=200, mimetype="text/csv")
