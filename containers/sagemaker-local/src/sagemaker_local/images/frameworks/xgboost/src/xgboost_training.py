"""``train`` of XGBoost's image: the user's script where there is one, else the built-in algorithm.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost_hyperparameters.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost-tuning.html (names of the metrics in the log)
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import xgboost
from sagemaker_training import entry_point, environment, errors
from xgboost_data import DataError, format_of, read_channels

MODEL_FILE = "xgboost-model"

CHANNELS = ("train", "validation")

NOT_FOR_XGBOOST = frozenset(
    [
        "num_round",
        "early_stopping_rounds",
        "csv_weights",
        "eval_metric",
        "save_model_on_termination",
        "deterministic_histogram",
        "dsplit",
        "prob_buffer_row",
    ]
)
REFUSED = ("_kfold", "_num_cv_round", "use_dask_gpu_training")


def main() -> None:
    """Train; called by AWS's training toolkit, which reports what is raised here."""
    env = environment.Environment()
    if env.user_entry_point:
        entry_point.run(env.module_dir, env.user_entry_point, env.to_cmd_args(), env.to_env_vars())
        return
    try:
        train(env.hyperparameters, env.input_data_config, Path(env.model_dir), env.channel_input_dirs)
    except (DataError, xgboost.core.XGBoostError) as error:
        raise errors.ClientError(str(error)) from error


def train(
    hyperparameters: dict[str, Any], channels: dict[str, Any], model_dir: Path, directories: dict[str, str]
) -> None:
    """The built-in algorithm.

    Raises:
        DataError: a hyperparameter or a channel is missing or wrong.
    """
    if "num_round" not in hyperparameters:
        raise DataError("Missing required hyperparameter num_round")
    if "train" not in channels:
        raise DataError("Missing required channel: train")
    for name in [
        *(set(channels) - {*CHANNELS, "code"}),
        *(name for name in REFUSED if name in hyperparameters),
    ]:
        raise DataError(f"The local SageMaker's XGBoost does not serve '{name}'; leave it out")
    watched = [name for name in CHANNELS if name in channels]
    format = format_of(channels["train"].get("ContentType"))
    weights = str(hyperparameters.get("csv_weights", 0)) == "1"
    matrices = read_channels([Path(directories[name]) for name in watched], format, weights)
    for name, matrix in zip(watched, matrices, strict=True):
        print(
            f"{name.capitalize()} matrix has {matrix.num_row()} rows and {matrix.num_col()} columns",
            flush=True,
        )
    rounds = hyperparameters.get("early_stopping_rounds")
    booster = xgboost.train(
        parameters(hyperparameters),
        matrices[0],
        num_boost_round=int(hyperparameters["num_round"]),
        evals=list(zip(matrices, watched, strict=True)),
        early_stopping_rounds=int(rounds) if rounds is not None else None,
        callbacks=[_EvaluationLog(), _SaveOnTermination(model_dir / MODEL_FILE)],
        verbose_eval=False,
    )
    save(booster, model_dir / MODEL_FILE)


def parameters(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Those of XGBoost itself; ``eval_metric`` may be a list, or words with commas between them."""
    given = {name: value for name, value in hyperparameters.items() if name not in NOT_FOR_XGBOOST}
    given = {name: value for name, value in given.items() if not name.startswith("_")}
    metrics = hyperparameters.get("eval_metric")
    if isinstance(metrics, str):
        metrics = [
            metric.strip() for metric in metrics.strip("[]").replace('"', "").split(",") if metric.strip()
        ]
    tuned = str(hyperparameters.get("_tuning_objective_metric", "")).partition(":")[2]
    wanted = [*(metrics or []), *([tuned] if tuned and tuned not in (metrics or []) else [])]
    # The toolkit parsed what hyperparameters.json has as text; XGBoost wants lists and objects as JSON again.
    settings = {
        name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in given.items()
    }
    return {**settings, "eval_metric": wanted} if wanted else settings


def save(booster: xgboost.Booster, path: Path) -> None:
    """Write the model, whole or not at all."""
    partial = path.with_suffix(".ubj")
    booster.save_model(partial)
    partial.replace(path)


class _EvaluationLog(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """One line a round, with ``#011`` for a tab as in CloudWatch, where AWS's expressions look for it."""

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[float]]]) -> bool:
        scores = [
            f"{data}-{metric}:{values[-1]:.5f}"
            for data, metrics in evals_log.items()
            for metric, values in metrics.items()
        ]
        print("#011".join([f"[{epoch}]", *scores]), flush=True)
        return False


class _SaveOnTermination(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Saves the model so far when the job is stopped, after the round under way."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.stopped = False

    def before_training(self, model: Any) -> Any:
        signal.signal(signal.SIGTERM, self._stop)
        return model

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        if self.stopped:
            save(model, self.path)
            sys.exit(0)
        return False
