"""One candidate of an AutoML job: a script of the scikit-learn image, for training and for serving.

Every candidate splits the rows the same way, so that their scores can be compared.
"""

import argparse
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn import ensemble, linear_model, metrics, neighbors, neural_network
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = 0
CATEGORIES_MOST = 50

CLASSIFIERS = {
    "linear": lambda: linear_model.LogisticRegression(max_iter=1000),
    "forest": lambda: ensemble.RandomForestClassifier(200, random_state=SEED, n_jobs=-1),
    "boosting": lambda: ensemble.HistGradientBoostingClassifier(random_state=SEED),
    "slow-boosting": lambda: ensemble.HistGradientBoostingClassifier(
        learning_rate=0.03, max_iter=400, early_stopping=True, random_state=SEED
    ),
    "extra-trees": lambda: ensemble.ExtraTreesClassifier(200, random_state=SEED, n_jobs=-1),
    "network": lambda: neural_network.MLPClassifier((64, 32), max_iter=300, random_state=SEED),
    "neighbours": lambda: neighbors.KNeighborsClassifier(),
}
REGRESSORS = {
    "linear": lambda: linear_model.RidgeCV(),
    "forest": lambda: ensemble.RandomForestRegressor(200, random_state=SEED, n_jobs=-1),
    "boosting": lambda: ensemble.HistGradientBoostingRegressor(random_state=SEED),
    "slow-boosting": lambda: ensemble.HistGradientBoostingRegressor(
        learning_rate=0.03, max_iter=400, early_stopping=True, random_state=SEED
    ),
    "extra-trees": lambda: ensemble.ExtraTreesRegressor(200, random_state=SEED, n_jobs=-1),
    "network": lambda: neural_network.MLPRegressor((64, 32), max_iter=300, random_state=SEED),
    "neighbours": lambda: neighbors.KNeighborsRegressor(),
}


def score(metric: str, labels: list[Any], wanted: Any, answers: Any, probabilities: Any) -> float:
    """A metric of Autopilot's, by its name there."""
    positive = labels[-1]
    table = {
        "MSE": lambda: metrics.mean_squared_error(wanted, answers),
        "RMSE": lambda: metrics.root_mean_squared_error(wanted, answers),
        "MAE": lambda: metrics.mean_absolute_error(wanted, answers),
        "R2": lambda: metrics.r2_score(wanted, answers),
        "Accuracy": lambda: metrics.accuracy_score(wanted, answers),
        "BalancedAccuracy": lambda: metrics.balanced_accuracy_score(wanted, answers),
        "F1": lambda: metrics.f1_score(wanted, answers, pos_label=positive),
        "Precision": lambda: metrics.precision_score(wanted, answers, pos_label=positive, zero_division=0),
        "Recall": lambda: metrics.recall_score(wanted, answers, pos_label=positive),
        "F1macro": lambda: metrics.f1_score(wanted, answers, average="macro"),
        "PrecisionMacro": lambda: metrics.precision_score(wanted, answers, average="macro", zero_division=0),
        "RecallMacro": lambda: metrics.recall_score(wanted, answers, average="macro"),
        "AUC": lambda: metrics.roc_auc_score(wanted == positive, probabilities[:, -1]),
    }
    return float(table[metric]())


def read(directory: str) -> Any:
    """All CSV files of a channel, each with its header."""
    files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
    return pd.concat([pd.read_csv(path) for path in files], ignore_index=True)


def prepared(estimator: Any) -> Any:
    """The estimator behind what its columns need."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=CATEGORIES_MOST, sparse_output=False
        ),
    )
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number)),
        (words, make_column_selector(dtype_exclude=np.number)),
    )
    return make_pipeline(columns, estimator)


def train(arguments: argparse.Namespace) -> None:
    """Fit, score on rows that were not fitted, keep the model and how to serve it."""
    table = read(os.environ["SM_CHANNEL_TRAIN"]).dropna(subset=[arguments.target])
    regression = arguments.problem == "Regression"
    if "SM_CHANNEL_VALIDATION" in os.environ:
        fitted, held = table, read(os.environ["SM_CHANNEL_VALIDATION"]).dropna(subset=[arguments.target])
    else:
        kept = table[arguments.target]
        stratify = None if regression or kept.value_counts().min() < 2 else kept
        fitted, held = train_test_split(
            table, test_size=arguments.validation_fraction, random_state=SEED, stratify=stratify
        )
    features = [column for column in table.columns if column != arguments.target]
    model = prepared((REGRESSORS if regression else CLASSIFIERS)[arguments.algorithm]())
    model.fit(fitted[features], fitted[arguments.target])
    answers = model.predict(held[features])
    probabilities = model.predict_proba(held[features]) if hasattr(model, "predict_proba") else None
    labels = [] if regression else list(model.classes_)
    value = score(arguments.metric, labels or [None], held[arguments.target], answers, probabilities)
    print(f"rows={len(fitted)} validated={len(held)} validation:{arguments.metric}={value:.8g};", flush=True)
    directory = Path(os.environ["SM_MODEL_DIR"])
    joblib.dump(model, directory / "model.joblib")
    types = {column: str(table[column].dtype) for column in features}
    (directory / "columns.json").write_text(json.dumps(types))
    (directory / "code").mkdir()
    shutil.copy(__file__, directory / "code")


def model_fn(model_dir: str) -> tuple[Any, dict[str, str]]:
    """The fitted pipeline and its columns."""
    columns = json.loads(Path(model_dir, "columns.json").read_text())
    return joblib.load(Path(model_dir, "model.joblib")), columns


def input_fn(body: bytes | str, content_type: str) -> Any:
    """Rows of CSV without a header and without the target, as Autopilot's models take them."""
    if content_type.partition(";")[0] != "text/csv":
        raise ValueError(f"content type {content_type} is not served; send text/csv")
    text = body if isinstance(body, str) else bytes(body).decode()
    return pd.read_csv(io.StringIO(text), header=None)


def predict_fn(rows: Any, model: tuple[Any, dict[str, str]]) -> Any:
    """One answer a row."""
    pipeline, columns = model
    if len(rows.columns) != len(columns):
        raise ValueError(
            f"a row has {len(rows.columns)} values; the model takes {len(columns)}: {list(columns)}"
        )
    rows.columns = list(columns)
    numeric = [name for name, kind in columns.items() if kind != "object" and not kind.startswith("str")]
    rows[numeric] = rows[numeric].apply(pd.to_numeric, errors="coerce")
    return pipeline.predict(rows)


def output_fn(answers: Any, accept: str) -> tuple[str, str]:
    """One line a row."""
    return "".join(f"{answer}\n" for answer in answers), "text/csv"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithm", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--problem", required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--validation-fraction", type=float, default=0.2)
    train(parser.parse_args())
