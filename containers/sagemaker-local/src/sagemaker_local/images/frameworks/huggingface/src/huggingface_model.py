"""Hugging Face's image: without a script a pipeline of the task that HF_TASK or config.json tells.

Source: https://github.com/aws/sagemaker-huggingface-inference-toolkit#readme
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from model_server import toolkit
from model_server.model import CSV, JSON, Model
from sagemaker_inference import errors

TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForCTC": "automatic-speech-recognition",
    "ForAudioClassification": "audio-classification",
}
"""End of a class name in config.json's ``architectures`` → the pipeline's task."""


class Defaults:
    """What a script leaves out. The image answers every mistake with 400."""

    def default_model_fn(self, model_dir: str, context: object = None) -> Any:
        """A pipeline of the directory's model and tokenizer.

        Raises:
            ValueError: nothing tells the task.
        """
        from transformers import pipeline

        return pipeline(task_of(Path(model_dir)), model=model_dir, tokenizer=_tokenizer(model_dir), device=-1)

    def default_input_fn(self, input_data: Any, content_type: str, context: object = None) -> Any:
        """``{"inputs": …, "parameters": …}`` as JSON, or CSV with a header line."""
        kind = (content_type or JSON).partition(";")[0].strip()
        text = input_data if isinstance(input_data, str) else bytes(input_data).decode()
        if kind == JSON:
            return json.loads(text)
        if kind == CSV:
            return _of_csv(text)
        raise errors.GenericInferenceToolkitError(
            400, f"Content type {content_type} is not supported by this framework: {JSON} and {CSV} are"
        )

    def default_predict_fn(self, data: Any, model: Any, context: object = None) -> Any:
        """The pipeline's answer."""
        inputs = data.pop("inputs", data) if isinstance(data, dict) else data
        parameters = (data.pop("parameters", None) if isinstance(data, dict) else None) or {}
        if isinstance(inputs, dict):
            return model(**inputs, **parameters)
        return model(inputs, **parameters)

    def default_output_fn(self, prediction: Any, accept: str, context: object = None) -> tuple[str, str]:
        """JSON."""
        if not any(kind.strip().partition(";")[0] in (JSON, "*/*") for kind in accept.split(",")):
            raise errors.GenericInferenceToolkitError(
                400, f"Accept type {accept} is not supported: {JSON} is"
            )
        return json.dumps(prediction, default=_plain), JSON


def task_of(model_dir: Path) -> str:
    """HF_TASK, or what the model's configuration tells.

    Raises:
        ValueError: neither tells.
    """
    if task := os.environ.get("HF_TASK"):
        return task
    configuration = model_dir / "config.json"
    names = json.loads(configuration.read_text()).get("architectures", []) if configuration.exists() else []
    for name in names:
        for ending, task in TASKS.items():
            if name.endswith(ending):
                return task
    raise ValueError(
        f"HF_TASK does not name a task, and {configuration} with architectures {names} tells none"
    )


def _tokenizer(model_dir: str) -> str | None:
    return model_dir if any(Path(model_dir).glob("tokenizer*")) else None


def _of_csv(text: str) -> dict[str, Any]:
    import csv
    import io

    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and set(rows[0]) == {"inputs"}:
        return {"inputs": [row["inputs"] for row in rows]}
    return {"inputs": rows}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def load(model_dir: Path) -> Model:
    """The script's model, or a pipeline."""
    return toolkit.load(model_dir, Defaults())
