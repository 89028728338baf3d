"""The partition of a nightly run: which day it is, and whether its data has landed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import MissingDataError
from airflow_sagemaker.names import partition
from airflow_sagemaker.operators.base import SageMakerOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PartitionOperator(SageMakerOperator):
    """Settle the day of this run and fail, naming the prefix, when nothing has landed there.

    :param table: prefix of the daily partitions `dt=YYYY-MM-DD/`
    :param day: the day to take instead of the run's logical date; empty or None for the logical date
    """

    template_fields: Sequence[str] = ("table", "day")

    def __init__(self, *, table: str, day: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.day = day

    def execute(self, context: Context) -> dict[str, Any]:
        """Give the day, the partition's prefix and its objects."""
        from airflow_sagemaker.hooks.tables import TableHook

        day = self._day(context)
        location = f"{self.table.rstrip('/')}/dt={day}/"
        objects = TableHook(self.storage).objects(location)
        uri = self.storage.uri(location)
        if not objects:
            raise MissingDataError(
                f"Partition {uri}",
                "no CSV object has landed there",
                "Land it (data.csv with a header), then clear this task; or run another day",
            )
        size_bytes = sum(entry.size_bytes for entry in objects)
        return {"partition": day, "location": uri, "objects": len(objects), "size_bytes": size_bytes}

    def _day(self, context: Context) -> str:
        if self.day and self.day != "None":
            return date.fromisoformat(self.day).isoformat()
        logical_date = context["dag_run"].logical_date
        if logical_date is None:
            raise MissingDataError(
                f"Run {context['dag_run'].run_id}",
                "it has neither a logical date nor the parameter 'partition'",
                "Trigger it again with one of them",
            )
        return partition(logical_date)
