"""Batch transform's DataProcessing: what of a record the model gets, and what of record and answer is kept.

A payload's records and its answer's records belong together by their place, so an answer of another length
is an error and never a shifted result.
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import csv
import io
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sagemaker_local.errors import ValidationException

if TYPE_CHECKING:
    from jsonpath_ng.jsonpath import JSONPath

EVERYTHING = "$"
CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
CONTENT_TYPES = (CSV, JSON, JSON_LINES)
JOINED_INPUT, JOINED_OUTPUT = "SageMakerInput", "SageMakerOutput"
RECORD_CHARACTERS = 80
"""So much of a record stands in a message about it."""


class DataProcessingError(Exception):
    """A payload and its answer cannot be processed as asked; the message is for the object's failure."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A JSONPath and whether it gives one value, a list of values, or an object of the fields it names."""

    text: str
    path: JSONPath
    shape: type[dict[str, Any]] | type[list[Any]] | None
    columns: Callable[[list[Any]], list[Any]] | None = None
    """The same of a list, many times faster than the path: rows are many."""

    @classmethod
    def of(cls, field: str, text: str) -> Filter | None:
        """Read a filter; None selects everything.

        Raises:
            ValidationException: it is no JSONPath.
        """
        if text in ("", EVERYTHING):
            return None
        from jsonpath_ng.parser import parse  # takes a while to import, and few jobs filter

        try:
            path = parse(text)
        except Exception as error:  # the library's lexer and parser each have exceptions of their own
            raise ValidationException(
                f"DataProcessing.{field} '{text}' is not a valid JSONPath: {error}. "
                "Give one such as $.features, $['id','score'], $[0,2] or $[1:]"
            ) from error
        return cls(text, path, _shape(path), _columns(path))

    def select(self, record: Any) -> Any:
        """What the filter takes of a record.

        Raises:
            DataProcessingError: nothing.
        """
        if self.columns is not None and isinstance(record, list):
            values = self.columns(record)
            if values:
                return values if self.shape is list else values[0]
        found = self.path.find(record)
        if not found:
            start = json.dumps(record)[:RECORD_CHARACTERS]
            raise DataProcessingError(f"the filter {self.text} selects nothing of the record {start}")
        if self.shape is dict:
            return {str(match.path).strip("'"): match.value for match in found}
        return [match.value for match in found] if self.shape is list else found[0].value


class Format(Protocol):
    """How the records of a payload or an answer are written."""

    def read(self, body: bytes) -> list[Any]:
        """Its records, in order.

        Raises:
            DataProcessingError: it is not in this format.
        """
        ...

    def write(self, records: Sequence[Any]) -> bytes:
        """The reverse of :meth:`read`."""
        ...

    def join(self, record: Any, answer: Any) -> Any:
        """A record with its answer."""
        ...


class CsvFormat:
    """Every row is a list of strings."""

    def read(self, body: bytes) -> list[Any]:
        """A blank line is a row without columns, so that rows keep their places."""
        try:
            if b'"' not in body and b"\r" not in body:
                lines = body.decode().removesuffix("\n").split("\n") if body else []
                return [line.split(",") if line else [] for line in lines]
            return list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataProcessingError(f"the rows are not CSV in UTF-8: {error}") from error

    def write(self, records: Sequence[Any]) -> bytes:
        """Quoted only where a value needs it."""
        plain = _plain_rows(records)
        if plain is not None:
            return plain
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for record in records:
            if record:
                writer.writerow(record if isinstance(record, list) else [record])
            else:
                text.write("\n")
        return text.getvalue().encode()

    def join(self, record: Any, answer: Any) -> Any:
        """The answer's columns after the record's."""
        return [*record, *answer]


class JsonLinesFormat:
    """Every line is a JSON value."""

    def read(self, body: bytes) -> list[Any]:
        """Blank lines hold no record."""
        return [_loads(line) for line in body.split(b"\n") if line.strip()]

    def write(self, records: Sequence[Any]) -> bytes:
        """One line each."""
        return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)

    def join(self, record: Any, answer: Any) -> Any:
        """An object gets the answer as one more field; anything else becomes a field beside it."""
        if isinstance(record, dict):
            return {**record, JOINED_OUTPUT: answer}
        return {JOINED_INPUT: record, JOINED_OUTPUT: answer}


class JsonFormat(JsonLinesFormat):
    """The payload is one JSON value, over as many lines as it likes."""

    def read(self, body: bytes) -> list[Any]:
        """Its only record."""
        return [_loads(body)] if body.strip() else []


@dataclass(frozen=True, slots=True)
class DataProcessing:
    """What a job's DataProcessing asks for.

    Attributes:
        format: Of input and output alike.
        input_filter: What of a record goes to the model; None: all of it.
        output_filter: What of the answer, or of record and answer, is kept; None: all of it.
        join: JoinSource Input.
    """

    format: Format
    input_filter: Filter | None
    output_filter: Filter | None
    join: bool

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> DataProcessing | None:
        """From a CreateTransformJob request or its description; None when there is nothing to do.

        Raises:
            ValidationException: the job cannot be processed so; says which field and why.
        """
        asked = job.get("DataProcessing", {})
        input_filter = Filter.of("InputFilter", asked.get("InputFilter", EVERYTHING))
        output_filter = Filter.of("OutputFilter", asked.get("OutputFilter", EVERYTHING))
        join = asked.get("JoinSource", "None") == "Input"
        if not (input_filter or output_filter or join):
            return None
        source, output = job["TransformInput"], job["TransformOutput"]
        content_type = _bare(source.get("ContentType", ""))
        accept = _bare(output.get("Accept", "")) or content_type
        if content_type not in CONTENT_TYPES:
            raise ValidationException(
                f"DataProcessing needs a TransformInput.ContentType of {', '.join(CONTENT_TYPES)}; it is "
                f"'{content_type}'"
            )
        if accept != content_type:
            raise ValidationException(
                f"DataProcessing needs TransformOutput.Accept '{accept}' to be the same as "
                f"TransformInput.ContentType '{content_type}'"
            )
        if job.get("MaxPayloadInMB") == 0:
            raise ValidationException("DataProcessing needs a MaxPayloadInMB greater than 0")
        by_line = source.get("SplitType", "None") == "Line"
        if by_line and output.get("AssembleWith", "None") != "Line":
            raise ValidationException("DataProcessing of SplitType Line needs AssembleWith Line")
        of_lines: Format = CsvFormat() if content_type == CSV else JsonLinesFormat()
        whole = content_type == JSON and not by_line
        return cls(JsonFormat() if whole else of_lines, input_filter, output_filter, join)

    def to_model(self, payload: bytes) -> bytes:
        """What the model gets of a payload.

        Raises:
            DataProcessingError: a record cannot be read or has nothing to select.
        """
        if self.input_filter is None:
            return payload
        select = self.input_filter.select
        return self.format.write([select(record) if record != [] else record
                                  for record in self.format.read(payload)])  # fmt: skip

    def to_output(self, payload: bytes, answer: bytes | bytearray) -> bytes | bytearray:
        """What is kept of a payload and its answer.

        Raises:
            DataProcessingError: they have not the same number of records, or a record has nothing to select.
        """
        if not (self.join or self.output_filter):
            return answer
        results = self.format.read(bytes(answer))
        if self.join:
            records = self.format.read(payload)
            if len(records) != len(results):
                raise DataProcessingError(
                    f"{len(records)} records were sent and {len(results)} came back, so they cannot be "
                    "joined; have the model answer every record with one"
                )
            results = [self.format.join(*pair) for pair in zip(records, results, strict=True)]
        if self.output_filter:
            results = [self.output_filter.select(result) for result in results]
        return self.format.write(results)


def _plain_rows(records: Sequence[Any]) -> bytes | None:
    """Rows none of whose values needs quotes; None where one may."""
    try:
        lines = [(",".join(row) or '""' if row else "") if isinstance(row, list) else row for row in records]
        text = "\n".join([*lines, ""])
    except TypeError:  # a value that is no text
        return None
    commas = sum(len(row) - 1 for row in records if row and isinstance(row, list))
    quotes = sum(row == [""] for row in records)
    if "\r" in text or text.count('"') != 2 * quotes or text.count("\n") != len(records):
        return None
    return text.encode() if text.count(",") == commas else None


def _columns(path: Any) -> Callable[[list[Any]], list[Any]] | None:
    """What a path of places takes of a list; None for any other path."""
    from jsonpath_ng.jsonpath import Child, Index, Root, Slice

    if not isinstance(path, Child) or not isinstance(path.left, Root):
        return None
    leaf = path.right
    if isinstance(leaf, Slice) and leaf.step != 0:
        return operator.itemgetter(slice(leaf.start, leaf.end, leaf.step))
    if isinstance(leaf, Index):
        places = tuple(leaf.indices)
        return lambda row: [row[place] for place in places if -len(row) <= place < len(row)]
    return None


def _shape(path: Any) -> type[dict[str, Any]] | type[list[Any]] | None:
    from jsonpath_ng.jsonpath import Child, Fields, Index, Root

    leaf = path.right if isinstance(path, Child) else path
    if isinstance(leaf, Fields) and len(leaf.fields) > 1:
        return dict
    one = isinstance(leaf, Root | Fields) or (isinstance(leaf, Index) and len(leaf.indices) == 1)
    return None if one else list


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        start = text[:RECORD_CHARACTERS].decode("utf-8", "replace")
        raise DataProcessingError(f"a record is not JSON: {error}: {start}") from error


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
