"""What a job's results depend on, part by part: two jobs with equal parts give the same results.

In the key: the image's digest, the request's own settings (entry point, arguments, hyperparameters,
environment, machines, frameworks, shapes, …), and of every input object its key below the input's prefix,
its ETag and its size. Not in it: names, tags, roles, limits, disks, and where anything is read from or
written to. A field of a request that this module does not know counts: a job is rather run once too often.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_sagemaker.kinds import COMPILATION, PROCESSING, TRAINING, TRANSFORM, JobKind
from airflow_sagemaker.specs.compilation import IF_NOT_FASTER_TAG

MAX_LISTED_OBJECTS = 1000
"""Inputs of more objects stand in the key by one digest: a change is seen, but not which object it was."""
MAX_SHOWN_CHANGES = 10

Path = tuple[str, ...]
Objects = Mapping[str, str]
"""ETag and size by key, relative to the prefix that was listed."""
Parts = dict[str, Any]


class UncacheableError(Exception):
    """Why the results of a job cannot be told from its request; the text goes into the task log."""


class Facts(Protocol):
    """What a key needs to know of AWS."""

    def image_digest(self, uri: str) -> str:
        """The digest of the image that the URI leads to now."""

    def objects(self, uri: str) -> Objects:
        """The objects under a prefix, or the one object of that key."""

    def model(self, name: str) -> Parts:
        """The parts of a model: what a transform job runs."""


@dataclass(frozen=True)
class Inputs:
    """Where a request names its inputs."""

    items: Path
    """The list of inputs, or the mapping of the only one."""
    uri: Path
    """Inside of an item."""
    name_field: str | None = None
    """None for an only input, which is called ``data``."""


@dataclass(frozen=True)
class KeyFields:
    """How the request of one kind of job becomes its parts."""

    inputs: Inputs
    left_out: tuple[Path, ...]
    """``*`` stands for every item of a list."""
    image: Path | None = None
    model: Path | None = None
    tags: tuple[str, ...] = ()
    """Those that say what to do; all others only say for whom."""


EVERYWHERE: tuple[Path, ...] = (("RoleArn",), ("StoppingCondition",), ("Tags",), ("ExperimentConfig",))

KEY_FIELDS: Mapping[str, KeyFields] = {
    PROCESSING.operation: KeyFields(
        image=("AppSpecification", "ImageUri"),
        inputs=Inputs(("ProcessingInputs",), ("S3Input", "S3Uri"), "InputName"),
        left_out=(
            ("ProcessingOutputConfig", "Outputs", "*", "S3Output", "S3Uri"),
            ("ProcessingResources", "ClusterConfig", "VolumeSizeInGB"),
        ),
    ),
    TRAINING.operation: KeyFields(
        image=("AlgorithmSpecification", "TrainingImage"),
        inputs=Inputs(("InputDataConfig",), ("DataSource", "S3DataSource", "S3Uri"), "ChannelName"),
        left_out=(
            ("OutputDataConfig", "S3OutputPath"),
            ("ResourceConfig", "VolumeSizeInGB"),
            ("CheckpointConfig",),
            ("EnableManagedSpotTraining",),
            ("RetryStrategy",),
        ),
    ),
    COMPILATION.operation: KeyFields(
        inputs=Inputs(("InputConfig",), ("S3Uri",)),
        left_out=(("OutputConfig", "S3OutputLocation"),),
        tags=(IF_NOT_FASTER_TAG,),
    ),
    TRANSFORM.operation: KeyFields(
        model=("ModelName",),
        inputs=Inputs(("TransformInput",), ("DataSource", "S3DataSource", "S3Uri")),
        left_out=(("TransformOutput", "S3OutputPath"),),
    ),
}
"""Other kinds are not cached: a tuning job's results depend on more than its request."""


def parts_of(kind: JobKind, body: Mapping[str, Any], facts: Facts) -> Parts:
    """The parts that the results of a request depend on, or :class:`UncacheableError`."""
    fields = KEY_FIELDS.get(kind.operation)
    if fields is None:
        raise UncacheableError(f"a {kind.noun} is never taken from the cache")
    settings = copy.deepcopy(dict(body))
    settings.pop(kind.name_field, None)
    tags = {tag["Key"]: tag["Value"] for tag in settings.get("Tags", ()) if tag["Key"] in fields.tags}
    parts: Parts = {"operation": f"Create{kind.title}"}
    for path in (*EVERYWHERE, *fields.left_out):
        _remove(settings, path)
    if tags:
        settings["Tags"] = tags
    if fields.image is not None:
        uri = _taken(settings, fields.image)
        if uri is None:
            raise UncacheableError(f"the request has no {'.'.join(fields.image)}")
        parts["image"] = facts.image_digest(uri)
    if fields.model is not None:
        parts["model"] = facts.model(_taken(settings, fields.model))
    parts["inputs"] = {
        name: _listed(facts.objects(uri)) for name, uri in _inputs_taken(settings, fields.inputs)
    }
    parts["settings"] = settings
    return parts


def key_of(parts: Parts) -> str:
    """The parts as one hash."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def input_uris(kind: JobKind, body: Mapping[str, Any]) -> dict[str, str]:
    """The URI of every input by name."""
    return dict(_inputs_taken(copy.deepcopy(dict(body)), KEY_FIELDS[kind.operation].inputs))


def changes(now: Parts, before: Parts) -> list[str]:
    """What differs between the parts of two jobs, a line each, in the words of the requests."""
    left, right = dict(_leaves(before)), dict(_leaves(now))
    lines: list[str] = []
    for path in sorted({*left, *right}):
        if path and left.get(path) != right.get(path):
            lines.append(_change(path, left.get(path), right.get(path)))
    if len(lines) > MAX_SHOWN_CHANGES:
        more = len(lines) - MAX_SHOWN_CHANGES
        return [*lines[:MAX_SHOWN_CHANGES], f"and {more} more"]
    return lines


def _change(path: Path, before: object, now: object) -> str:
    if path[0] == "inputs" and len(path) == 4:  # inputs, <name>, objects, <key>
        what = "is new" if before is None else "is gone" if now is None else "has other content"
        return f"input {path[1]}: {path[3]} {what}"
    shown = ".".join(path[1:] if path[0] == "settings" else path)
    if before is None:
        return f"{shown}: {now!r} is new"
    if now is None:
        return f"{shown}: {before!r} is gone"
    return f"{shown}: {before!r} is now {now!r}"


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    else:
        yield path, value


def _listed(objects: Objects) -> Parts:
    if len(objects) <= MAX_LISTED_OBJECTS:
        return {"objects": dict(objects)}
    text = json.dumps(dict(objects), sort_keys=True)
    return {"count": len(objects), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _inputs_taken(settings: Parts, inputs: Inputs) -> list[tuple[str, str]]:
    """Name and URI of every input; the URIs are taken out of the settings."""
    items: Any = settings
    for step in inputs.items:
        items = items.get(step, [])
    found: list[tuple[str, str]] = []
    for item in items if isinstance(items, list) else [items]:
        name = item[inputs.name_field] if inputs.name_field else "data"
        source = item
        for step in inputs.uri[:-1]:
            source = source.get(step, {})
        uri = source.pop(inputs.uri[-1], None)
        if uri is None or source.get("S3DataType", "S3Prefix") != "S3Prefix":
            raise UncacheableError(f"input {name!r} is no prefix in S3, so what it holds cannot be told")
        found.append((name, uri))
    return found


def _taken(settings: Parts, path: Path) -> Any:
    """The value of a path, taken out."""
    for step in path[:-1]:
        settings = settings.get(step, {})
    return settings.pop(path[-1], None)


def _remove(settings: Any, path: Path) -> None:
    if isinstance(settings, list):
        for item in settings:
            _remove(item, path[1:])
    elif isinstance(settings, dict):
        if len(path) == 1:
            settings.pop(path[0], None)
        elif path[0] in settings:
            _remove(settings[path[0]], path[1:])
