"""What a model's record is resolved to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.serving.artefact import Artefact
from sagemaker_local.serving.container import Container, ContainerError, artefacts, resolve
from sagemaker_local.store import Record, Store

ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "sagemaker.sqlite")
    yield opened
    opened.close()


def model(container: dict[str, Any]) -> Record:
    return Record("model", "m", f"{ARN}model/m", {"PrimaryContainer": container})


def package(store: Store, containers: list[dict[str, Any]], **more: Any) -> None:
    document = {
        "InferenceSpecification": {"Containers": containers},
        "ModelApprovalStatus": "Approved",
        **more,
    }
    store.insert(Record("model_package", "g/1", f"{ARN}model-package/g/1", document))


def test_a_container_of_its_own(store: Store) -> None:
    resolved = resolve(store, model({"Image": "i", "ModelDataUrl": "s3://b/m", "Environment": {"A": "1"}}))
    assert resolved == Container("i", Artefact("s3://b/m"), {}, {"A": "1"}, hostname="container-1")


def test_sources_of_every_form(store: Store) -> None:
    source = {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    resolved = resolve(
        store,
        model(
            {
                "Image": "i",
                "ModelDataSource": {"S3DataSource": source},
                "AdditionalModelDataSources": [{"ChannelName": "more", "S3DataSource": source}],
            }
        ),
    )
    expected = Artefact("s3://b/m/", is_prefix=True, compressed=False)
    assert list(artefacts(resolved)) == [expected, expected]
    assert Container.from_json(resolved.to_json()) == resolved


@pytest.mark.parametrize("mode", ["Serial", "Direct"])
def test_several_containers_in_their_order(store: Store, mode: str) -> None:
    given = [
        {"Image": "a", "ContainerHostname": "first"},
        {"Image": "b", "ModelDataUrl": "s3://b/m"},
        {"Image": "c"},
    ]
    document = {"Containers": given, "InferenceExecutionConfig": {"Mode": mode}}
    resolved = resolve(store, Record("model", "m", f"{ARN}model/m", document))
    images = [(each.image, each.hostname) for each in (resolved, *resolved.others)]
    assert images == [("a", "first"), ("b", "container-2"), ("c", "container-3")]
    assert resolved.direct == (mode == "Direct")
    assert list(artefacts(resolved)) == [Artefact("s3://b/m")]
    assert Container.from_json(json.loads(json.dumps(resolved.to_json()))) == resolved


@pytest.mark.parametrize("name", [f"{ARN}model-package/g/1", "G/1"])
def test_a_package_by_arn_or_name(store: Store, name: str) -> None:
    package(store, [{"Image": "i", "ModelDataUrl": "s3://b/m", "Environment": {"A": "1", "B": "1"}}])
    resolved = resolve(store, model({"ModelPackageName": name, "Environment": {"B": "2"}}))
    assert resolved == Container("i", Artefact("s3://b/m"), {}, {"A": "1", "B": "2"}, hostname="container-1")


def test_an_additional_specification_of_a_package(store: Store) -> None:
    small = {"Name": "small", "Containers": [{"Image": "small"}]}
    package(store, [{"Image": "i"}], AdditionalInferenceSpecifications=[small])
    given = {"ModelPackageName": f"{ARN}model-package/g/1", "InferenceSpecificationName": "small"}
    assert resolve(store, model(given)).image == "small"
    with pytest.raises(ContainerError, match="no such inference specification"):
        resolve(store, model({**given, "InferenceSpecificationName": "none"}))


@pytest.mark.parametrize(
    ("containers", "more", "message"),
    [
        ([{"Image": "i"}], {"ModelApprovalStatus": "Rejected"}, "its ModelApprovalStatus is Rejected"),
        ([{"Image": "i"}, {"Image": "j"}], {}, "packages of one container"),
        ([{"ModelDataUrl": "s3://b/m"}], {}, "packages of one container"),
    ],
)
def test_packages_that_cannot_be_deployed(
    store: Store, containers: list[dict[str, Any]], more: dict[str, Any], message: str
) -> None:
    package(store, containers, **more)
    with pytest.raises(ContainerError, match=message):
        resolve(store, model({"ModelPackageName": f"{ARN}model-package/g/1"}))


def test_an_approval_taken_back_is_seen_when_the_model_is_served_next(store: Store) -> None:
    package(store, [{"Image": "i"}])
    record = model({"ModelPackageName": f"{ARN}model-package/g/1"})
    resolve(store, record)
    store.update("model_package", "g/1", lambda found: found.document.update(ModelApprovalStatus="Rejected"))
    with pytest.raises(ContainerError, match="Rejected"):
        resolve(store, record)
