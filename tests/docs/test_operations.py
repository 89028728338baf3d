"""The tables of operations say what the code serves; all else of botocore's models is named as refused."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.model import OperationModel, StructureShape
from starlette.types import Scope

from sagemaker_local import app
from sagemaker_local.api import (
    cloudwatch,
    endpoint_config,
    identity,
    model_package,
    notebook_instance,
    runtime,
    sagemaker_metrics,
    search,
    training_request,
)
from sagemaker_local.cloudwatch import alarm_definition
from sagemaker_local.pipelines import step_kinds
from sagemaker_local.protocol import service_model
from sagemaker_local.s3 import app as s3_app
from sagemaker_local.tuning import search as tuning

PAGE = Path(__file__).parents[2] / "docs" / "local-sagemaker" / "operations.md"
CODE = re.compile(r"`([^`]+)`")


def camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


S3_OPERATIONS = {
    camel(handler.__name__)
    for table in (s3_app.SERVICE, s3_app.BUCKET, s3_app.OBJECT)
    for methods in table.values()
    for handler in methods.values()
} | {camel(handler.__name__) for handler in s3_app.COPIES.values()}

MOTO = "IAM, STS, ECR, SNS, SQS and EventBridge"

SERVED = {
    "SageMaker": set(app.SAGEMAKER),
    "SageMaker runtime": {camel(handler.__name__) for handler in runtime.OPERATIONS.values()},
    "SageMaker Metrics": set(sagemaker_metrics.OPERATIONS),
    "CloudWatch Logs": set(app.JSON_TARGETS["Logs_20140328"][1]),
    "CloudWatch": set(cloudwatch.OPERATIONS),
    "Application Auto Scaling": set(app.JSON_TARGETS["AnyScaleFrontendService"][1]),
    "Service Quotas": set(app.JSON_TARGETS["ServiceQuotasV20190624"][1]),
    "S3": S3_OPERATIONS,
    MOTO: {operation for _, operation in identity.OPERATIONS},
}

MODELS = {
    "SageMaker": "sagemaker",
    "SageMaker runtime": "sagemaker-runtime",
    "SageMaker Metrics": "sagemaker-metrics",
    "CloudWatch Logs": "logs",
    "CloudWatch": "cloudwatch",
    "Application Auto Scaling": "application-autoscaling",
    "Service Quotas": "service-quotas",
    "S3": "s3",
}
"""botocore's names."""

REFUSED = {
    "CreateTrainingJob": training_request.UNSUPPORTED,
    "CreateHyperParameterTuningJob": tuning.UNSERVED_STRATEGIES,
    "CreateEndpointConfig": (*endpoint_config.UNSERVED, *endpoint_config.UNSERVED_OF_VARIANT),
    "CreateModelPackage": model_package.UNSERVED,
    "CreateNotebookInstance": notebook_instance.REFUSED,
    "UpdateNotebookInstance": notebook_instance.REFUSED,
    "CreatePipeline": step_kinds.UNSERVED,
    "PutMetricAlarm": alarm_definition.UNSERVED,
}
"""What the code has in tables."""

SAME_ON_THE_WIRE = {"ListDirectoryBuckets"}
"""Only the host name tells it from ListBuckets."""


def section(name: str) -> str:
    found = re.findall(
        rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1, name
    return str(found[0])


def rows(name: str) -> Iterator[tuple[str, str, str]]:
    for line in section(name).splitlines():
        if line.startswith("| `"):
            operations, served, missing = (cell.strip() for cell in line.removesuffix("|")[1:].split("|"))
            for operation in CODE.findall(operations):
                yield operation, served, missing


def documented(name: str) -> list[str]:
    return [operation for operation, _, _ in rows(name)]


def refused(name: str) -> list[str]:
    _, _, below = section(name).partition("\nRefused:\n")
    return CODE.findall(below)


def missing(operation: str) -> str:
    (cell,) = [cell for service in SERVED for name, _, cell in rows(service) if name == operation]
    return cell


def test_every_service_has_a_section() -> None:
    assert re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE) == list(SERVED)
    assert {service for service, _ in app.JSON_TARGETS.values()} <= set(MODELS.values())
    assert set(identity.SIGNING_NAMES) == {"iam", "sts", "ecr", "sns", "sqs", "events"}


@pytest.mark.parametrize("service", SERVED)
def test_the_table_has_what_is_served(service: str) -> None:
    names = documented(service)
    assert len(names) == len(set(names)), "named twice"
    assert set(names) == SERVED[service]


@pytest.mark.parametrize("service", MODELS)
def test_all_other_operations_of_the_model_are_refused(service: str) -> None:
    names = refused(service)
    assert len(names) == len(set(names)), "named twice"
    assert set(names) == set(service_model(MODELS[service]).operation_names) - SERVED[service]


@pytest.mark.parametrize("service", SERVED)
def test_partly_is_what_lacks_something(service: str) -> None:
    for operation, served, lacks in rows(service):
        assert served == ("partly" if lacks else "yes"), operation


@pytest.mark.parametrize(
    ("operation", "name"), [(operation, name) for operation, names in REFUSED.items() for name in names]
)
def test_what_an_operation_refuses_is_in_its_row(operation: str, name: str) -> None:
    assert name in CODE.findall(missing(operation))


def test_resources_that_can_be_searched() -> None:
    listed = missing("Search").partition("other than ")[2].partition(";")[0]
    assert listed.split(", ") == list(search.RESOURCES)


@pytest.mark.parametrize("module", sorted({handler.__module__ for handler in app.SAGEMAKER.values()}))
def test_every_field_that_a_module_refuses_is_in_one_of_its_rows(module: str) -> None:
    """The literal fields of calls of refuse(request, (…), where)."""
    source = Path(str(importlib.import_module(module).__file__)).read_text()
    operations = [name for name, handler in app.SAGEMAKER.items() if handler.__module__ == module]
    cells = " ".join(missing(operation) for operation in operations)
    for literal in re.findall(r"\brefuse\(\s*\w+, \(([^)]*)\)", source):
        for field in re.findall(r'"(\w+)"', literal):
            assert re.search(rf"\b{field}\b", cells), field


def request_of(operation: OperationModel) -> Scope:
    """A request as a client puts it on the wire, as far as routes look at it."""
    uri = operation.http["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "key")
    path, _, query = uri.partition("?")
    shape = operation.input_shape
    for name in shape.required_members if isinstance(shape, StructureShape) else ():
        place = shape.members[name].serialization  # type: ignore[union-attr]
        if place.get("location") == "querystring":
            query += f"&{place['name']}=1"
    headers = [(b"host", b"127.0.0.1:4566")]
    if operation.name in ("CopyObject", "UploadPartCopy"):
        headers.append((b"x-amz-copy-source", b"from/key"))
    return {
        "type": "http", "method": operation.http["method"], "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "headers": headers, "scheme": "http", "server": ("127.0.0.1", 4566),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(service_model("s3").operation_names) - SAME_ON_THE_WIRE))
def test_no_operation_of_s3_is_taken_for_another(name: str) -> None:
    """DELETE /bucket/key?annotation must not delete the object."""
    routed = s3_app.operation_name(request_of(service_model("s3").operation_model(name)), None)  # type: ignore[arg-type]
    assert routed == (name if name in S3_OPERATIONS else "")
