"""Every operation over the wire with requests made from botocore's model.

No valid one is misread, no invalid one gets in, none ends in a 500. `GENERATED_EXAMPLES` asks for more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.model import OperationModel
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from sagemaker_local.app import JSON_TARGETS
from sagemaker_local.protocol import service_model
from tests.contract.conftest import LocalServer
from tests.contract.generated import breaks, conforms, possible, valid

EXAMPLES = int(os.environ.get("GENERATED_EXAMPLES", "6"))
REFUSALS = {
    "ValidationException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "ResourceInUse",
    "ResourceLimitExceeded",
    "ConflictException",
    "InvalidParameterException",
}
"""Codes that AWS answers without declaring them for each operation."""
BY_SHAPE = "failed to satisfy constraint"

OPERATIONS = [
    (prefix, service, operation)
    for prefix, (service, operations) in JSON_TARGETS.items()
    for operation in sorted(operations)
]
THOROUGH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 6,
    database=None,
    phases=[Phase.generate],  # a request is read as it is; making it smaller takes a minute for each failure
    suppress_health_check=list(HealthCheck),
)


class Wire:
    """Posts JSON as it is, past every client's own checks."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self._client = httpx.Client(timeout=60)

    def post(self, prefix: str, operation: str, request: dict[str, Any]) -> httpx.Response:
        return self.send(prefix, operation, json.dumps(request).encode())

    def send(self, prefix: str, operation: str, body: bytes) -> httpx.Response:
        headers = {"x-amz-target": f"{prefix}.{operation}", "content-type": "application/x-amz-json-1.1"}
        return self._client.post(self.server.url, content=body, headers=headers)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server without images: what jobs are accepted fail on their image and cost nothing."""
    directory: Path = tmp_path_factory.mktemp("generated")
    (directory / "containers").mkdir()
    server = LocalServer(directory / "data", directory / "containers", "--jobs", "1").start()
    yield Wire(server)
    server.stop()


def model(service: str, operation: str) -> OperationModel:
    return service_model(service).operation_model(operation)


def declared(operation: OperationModel) -> set[str]:
    return {shape.metadata.get("error", {}).get("code") or shape.name for shape in operation.error_shapes}


@pytest.mark.parametrize(("prefix", "service", "operation"), OPERATIONS)
@THOROUGH
@given(data=st.data())
def test_a_valid_request_is_answered_or_refused_by_name(
    wire: Wire, prefix: str, service: str, operation: str, data: st.DataObject
) -> None:
    asked = model(service, operation)
    request = data.draw(valid(asked.input_shape)) if asked.input_shape else {}
    response = wire.post(prefix, operation, request)
    answer = response.json()
    if response.status_code == 200:
        wrong = list(conforms(asked.output_shape, answer)) if asked.output_shape else []
        assert not wrong, (request, answer)
        return
    assert response.status_code < 500, (request, answer)
    assert answer["__type"] in REFUSALS | declared(asked), (request, answer)
    assert BY_SHAPE not in answer["message"], (request, answer)
    assert answer["message"]


@pytest.mark.parametrize(
    ("prefix", "service", "operation"),
    [each for each in OPERATIONS if each[1] != "logs" and model(*each[1:]).input_shape],
)
@THOROUGH
@given(data=st.data())
def test_an_invalid_request_is_refused_with_its_field_and_constraint(
    wire: Wire, prefix: str, service: str, operation: str, data: st.DataObject
) -> None:
    shape = model(service, operation).input_shape
    assert shape is not None
    request = data.draw(valid(shape))
    ways = list(breaks(shape, request))
    assume(ways)
    chosen = data.draw(st.sampled_from(ways))
    response = wire.post(prefix, operation, chosen.apply(request))
    answer = response.json()
    assert (response.status_code, answer["__type"]) == (400, "ValidationException"), (chosen, answer)
    assert f"at '{chosen.field}' {BY_SHAPE}: " in answer["message"], (chosen, answer)
    assert chosen.constraint in answer["message"], (chosen, answer)


@pytest.mark.parametrize(("prefix", "service", "operation"), OPERATIONS)
def test_what_is_no_request_is_refused(wire: Wire, prefix: str, service: str, operation: str) -> None:
    for body in (b"[]", b"{", b"null", b"\xff\xfe", b'{"NoSuchMember": 1}'):
        assert wire.send(prefix, operation, body).status_code == 400, body


def test_most_of_the_model_can_be_generated() -> None:
    """Shapes that no value can be made for are left out of requests; they must stay few."""
    required = [
        (operation, name)
        for _, service, operation in OPERATIONS
        for shape in [model(service, operation).input_shape]
        if shape
        for name in shape.required_members
        if not possible(shape.members[name])
    ]
    assert not required
