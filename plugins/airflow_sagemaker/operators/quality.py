"""The gate: data goes on only when it meets its expectations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.errors import ExpectationsNotMetError, MissingDataError
from airflow_sagemaker.operators.base import SageMakerOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.hooks.quality import Verdict
    from airflow_sagemaker.hooks.tables import TableHook, TableObject


class DataQualityGateOperator(SageMakerOperator):
    """Hold a table in S3 against a suite of great-expectations; fail naming what does not hold.

    The table is read in batches of whole objects, so memory is bounded by `max_batch_mb` (and by the largest
    object); every batch must meet the suite. Expectations of severity `critical` decide, lesser ones are
    logged. The validation result (JSON) and the page of the data docs (HTML) go to `results`, pass or fail,
    named `<suite>[-<batch>]`.

    :param suite: name of the suite: `<suites>/<suite>.json`, in great-expectations' own format
    :param suites: folder of the suites
    :param table: location of a CSV object, or of a prefix (ends with `/`)
    :param results: prefix for the validation results
    :param columns: names of the columns of a table without header
    :param columns_from: location of a JSON object with these names as `label` and `features`, where only an
        earlier task knows them
    :param first_partition: read the daily partitions `dt=…/` of the prefix from this day on; each of them
        must be there; without it, from the first that is there
    :param last_partition: read them up to this day, included; without it, up to the last that is there
    :param gaps_allowed: accept missing days
    :param max_batch_mb: how much CSV is validated at once
    """

    template_fields: Sequence[str] = ("table", "results", "columns_from", "first_partition", "last_partition")
    ui_color = "#fbf3dc"

    def __init__(
        self,
        *,
        suite: str,
        suites: Path,
        table: str,
        results: str,
        columns: Sequence[str] | None = None,
        columns_from: str | None = None,
        first_partition: str | None = None,
        last_partition: str | None = None,
        gaps_allowed: bool = False,
        max_batch_mb: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.suites = suites
        self.table = table
        self.results = results
        self.columns = columns
        self.columns_from = columns_from
        self.first_partition = first_partition
        self.last_partition = last_partition
        self.gaps_allowed = gaps_allowed
        self.max_batch_mb = max_batch_mb

    def execute(self, context: Context) -> dict[str, Any]:
        """Validate; give the number of rows and expectations, and where the results lie."""
        from airflow_sagemaker.hooks.quality import load_suite
        from airflow_sagemaker.hooks.tables import TableHook

        suite = load_suite(Path(self.suites) / f"{self.suite}.json")
        tables = TableHook(self.storage)
        columns = self._columns()
        batches = list(_batches(self._objects(tables), self.max_batch_mb * 1_000_000))
        failures: list[str] = []
        rows = expectations = 0
        for number, batch in enumerate(batches, start=1):
            name = self.suite if len(batches) == 1 else f"{self.suite}-{number:03}"
            verdict, batch_rows = self._validated(tables, suite, batch, columns, _as_of(context))
            self._keep(name, verdict)
            failures += verdict.failures
            rows += batch_rows
            expectations += verdict.evaluated
        if failures:
            raise ExpectationsNotMetError(
                f"Suite {self.suite!r} on {self.storage.uri(self.table)}",
                f"{len(failures)} of {expectations} expectations do not hold:\n- " + "\n- ".join(failures),
                f"Correct the data or the suite, then clear the task; see {self.storage.uri(self.results)}",
            )
        self.log.info("%d expectations hold for %d rows in %d batches", expectations, rows, len(batches))
        return {"rows": rows, "expectations": expectations, "results": self.storage.uri(self.results)}

    def _columns(self) -> Sequence[str] | None:
        if not self.columns_from:
            return self.columns
        names = self.storage.read_json(self.columns_from)
        return [names["label"], *names["features"]]

    def _objects(self, tables: TableHook) -> list[TableObject]:
        first, last = _day(self.first_partition), _day(self.last_partition)
        if first or last:
            return tables.partitions(self.table, first, last, gaps_allowed=self.gaps_allowed)
        if found := tables.objects(self.table):
            return found
        raise MissingDataError(
            f"Table {self.storage.uri(self.table)}",
            "there is no CSV object",
            "Check what should have written it",
        )

    def _validated(
        self,
        tables: TableHook,
        suite: Any,
        batch: list[TableObject],
        columns: Sequence[str] | None,
        at: datetime,
    ) -> tuple[Verdict, int]:
        import pandas

        from airflow_sagemaker.hooks.quality import validate

        frames = [tables.read(entry.uri, columns) for entry in batch]
        starts = [0]
        for frame in frames:
            starts.append(starts[-1] + len(frame))
        header = 0 if columns else 1

        def row_name(index: int) -> str:
            position = next(i for i, start in enumerate(starts[1:]) if index < start)
            line = index - starts[position] + 1 + header
            return f"{'/'.join(batch[position].uri.split('/')[-2:])} line {line}"

        table = pandas.concat(frames, ignore_index=True)
        return validate(suite, table, at, row_name), len(table)

    def _keep(self, name: str, verdict: Verdict) -> None:
        prefix = self.results.rstrip("/")
        self.storage.write_bytes(f"{prefix}/{name}.json", verdict.result, content_type="application/json")
        page = self.storage.write_bytes(f"{prefix}/{name}.html", verdict.data_docs, content_type="text/html")
        for warning in verdict.warnings:
            self.log.warning("%s", warning)
        self.log.info("Data docs: %s", page)


def _day(text: str | None) -> date | None:
    """A rendered bound; None and nothing leave that end open."""
    return None if text in (None, "", "None") else date.fromisoformat(text)


def _batches(objects: list[TableObject], limit_bytes: int) -> Iterator[list[TableObject]]:
    """Group consecutive objects so that each group stays within the limit, or is a single object."""
    batch: list[TableObject] = []
    size_bytes = 0
    for entry in objects:
        if batch and size_bytes + entry.size_bytes > limit_bytes:
            yield batch
            batch, size_bytes = [], 0
        batch.append(entry)
        size_bytes += entry.size_bytes
    if batch:
        yield batch


def _as_of(context: Context) -> datetime:
    """The time that the result carries: the run's, so that a rerun writes the same bytes."""
    run = context["dag_run"]
    return run.logical_date or run.run_after
