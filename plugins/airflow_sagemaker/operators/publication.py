"""Publication: predictions become visible at once, whole, and the same whenever they are made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import BadTableError
from airflow_sagemaker.operators.base import SageMakerOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.tables import Content

PREDICTIONS = "predictions.csv"
MANIFEST = "manifest.json"


class PublishPredictionsOperator(SageMakerOperator):
    """Copy the predictions of a partition to where readers look, and then their manifest.

    The manifest is what makes a partition published: it is written last and taken away before anything
    changes, so whoever finds one finds the predictions it describes. It holds nothing of the run or the
    clock: the same data and model give the same bytes, and then nothing is written at all.

    :param partition: the day
    :param features: location of what was scored, a line for each row
    :param predictions: location of what the model answered, a line for each row
    :param destination: prefix of the published partition
    :param columns: names of the predictions' columns
    :param model_package_arn: the model version that answered
    """

    template_fields: Sequence[str] = (
        "partition",
        "features",
        "predictions",
        "destination",
        "model_package_arn",
    )
    ui_color = "#e4f0e0"

    def __init__(
        self,
        *,
        partition: str,
        features: str,
        predictions: str,
        destination: str,
        columns: Sequence[str],
        model_package_arn: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partition = partition
        self.features = features
        self.predictions = predictions
        self.destination = destination
        self.columns = columns
        self.model_package_arn = model_package_arn

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish unless exactly this is published; give the rows and the manifest's URI."""
        from airflow_sagemaker.hooks.tables import TableHook

        tables = TableHook(self.storage)
        features, predictions = tables.content(self.features), tables.content(self.predictions)
        if features.rows != predictions.rows:
            raise BadTableError(
                f"Predictions {self.storage.uri(self.predictions)}",
                f"{predictions.rows} rows for {features.rows} rows of {self.storage.uri(self.features)}",
                "Every input row needs exactly one output row; correct the model's serve program",
            )
        prefix = self.destination.rstrip("/")
        table, manifest = f"{prefix}/{PREDICTIONS}", f"{prefix}/{MANIFEST}"
        wanted = self._manifest(features, predictions)
        changed = not (
            self.storage.exists(manifest)
            and self.storage.read_bytes(manifest) == wanted
            and self.storage.exists(table)
            and tables.content(table) == predictions
        )
        if changed:
            self.storage.delete(manifest)
            self.storage.copy(self.predictions, table)
            self.storage.write_bytes(manifest, wanted, content_type="application/json")
        self.log.info("%s %s", "Published" if changed else "Already published:", self.storage.uri(manifest))
        return {
            "partition": self.partition,
            "rows_in": features.rows,
            "rows_out": predictions.rows,
            "manifest": self.storage.uri(manifest),
            "changed": changed,
        }

    def _manifest(self, features: Content, predictions: Content) -> bytes:
        document = {
            "partition": self.partition,
            "model_package_arn": self.model_package_arn,
            "columns": list(self.columns),
            "rows": predictions.rows,
            "file": PREDICTIONS,
            "size_bytes": predictions.size_bytes,
            "sha256": predictions.sha256,
            "features_sha256": features.sha256,
        }
        return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
