"""ModelTrainer and HyperparameterTuner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, SourceCode
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

from tests.contract.sdk_v3.settings import BUCKET, IMAGE, INSTANCE, PROGRAMS, ROLE, SCIKIT_LEARN


def trainer(session: Any, image: str = IMAGE, **more: Any) -> Any:
    return ModelTrainer(
        sagemaker_session=session,
        role=ROLE,
        training_image=image,
        compute=Compute(instance_type=INSTANCE, instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/models"),
        **more,
    )


def train(base: str) -> dict[str, Any]:
    """Train with one's own code, on a local file, and wait with the log."""
    Path("train.csv").write_text("1,2\n")
    with_code = trainer(
        Session(default_bucket=BUCKET),
        base_job_name=base,
        source_code=SourceCode(source_dir=PROGRAMS, entry_script="train.py"),
        hyperparameters={"epochs": 3},
    )
    with_code.train(
        input_data_config=[InputData(channel_name="train", data_source="train.csv")], wait=True, logs=True
    )
    job = with_code._latest_training_job
    return {
        "name": job.training_job_name,
        "status": job.training_job_status,
        "model": job.model_artifacts.s3_model_artifacts,
    }


def tune_script(base: str) -> dict[str, Any]:
    """Tune a script in one of AWS's framework images."""
    tuner = HyperparameterTuner(
        model_trainer=trainer(
            Session(default_bucket=BUCKET),
            image=SCIKIT_LEARN,
            source_code=SourceCode(source_dir=PROGRAMS, entry_script="tune.py"),
            hyperparameters={"epochs": 3},
        ),
        objective_metric_name="loss",
        objective_type="Minimize",
        hyperparameter_ranges={"rate": ContinuousParameter(0.1, 0.5)},
        metric_definitions=[{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        strategy="Random",
        max_jobs=2,
        max_parallel_jobs=2,
        random_seed=3,
    )
    tuner.tune(job_name=base, wait=True)
    best = tuner.describe().best_training_job
    metric = best.final_hyper_parameter_tuning_job_objective_metric
    return {"rate": best.tuned_hyper_parameters["rate"], "loss": metric.value}


def fail(base: str) -> None:
    """Train with code that fails."""
    failing = trainer(
        Session(default_bucket=BUCKET),
        base_job_name=base,
        source_code=SourceCode(source_dir=PROGRAMS, command="echo all is lost; exit 3"),
    )
    failing.train(wait=True, logs=False)


def tune(base: str, strategy: str, **more: Any) -> dict[str, Any]:
    """Tune, wait, and read the best of it."""
    ranges = {
        "Random": {"rate": ContinuousParameter(0.1, 1.0), "depth": IntegerParameter(1, 5)},
        "Grid": {"rate": CategoricalParameter(["0.1", "0.2"]), "kind": CategoricalParameter(["a"])},
        "Bayesian": {"rate": ContinuousParameter(0.1, 1.0)},
    }[strategy]
    tuner = HyperparameterTuner(
        model_trainer=trainer(Session(default_bucket=BUCKET), hyperparameters={"epochs": 3}),
        objective_metric_name="rate",
        hyperparameter_ranges=ranges,
        metric_definitions=[{"Name": "rate", "Regex": "'rate': '([0-9.]+)'"}],
        strategy=strategy,
        max_parallel_jobs=2,
        # The SDK stamps its own names with the minute.
        base_tuning_job_name=base,
        **more,
    )
    tuner.tune(
        inputs=[InputData(channel_name="train", data_source=f"s3://{BUCKET}/batch")], job_name=base, wait=True
    )
    job = tuner.describe()
    return {
        "status": job.hyper_parameter_tuning_job_status,
        "completed": job.training_job_status_counters.completed,
        "best": tuner.best_training_job(),
        "values": job.best_training_job.tuned_hyper_parameters,
    }
