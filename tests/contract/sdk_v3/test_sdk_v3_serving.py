"""SageMaker's SDK 3: ModelBuilder, Endpoint, Transformer, registry, Neo; and what the SDK itself breaks."""

from __future__ import annotations

import io
import tarfile
import uuid

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from tests.contract.sdk_v3.conftest import BUCKET, SdkError


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def artefact(local) -> str:
    """A model that the echo image does not look at."""
    return upload(local, "model/model.tar.gz", {"model.txt": b"echo"})


def upload(local, key: str, files: dict[str, bytes]) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    local.client("s3").put_object(Bucket=BUCKET, Key=key, Body=packed.getvalue())
    return f"s3://{BUCKET}/{key}"


def test_a_model_is_deployed_invoked_updated_and_deleted(sdk, artefact):
    name = unique("deploy")
    assert sdk("serving.deploy", name=name, artefact=artefact) == {
        "model": name,
        "deployed": "InService",
        "first": "1,2",
        "updated": f"{name}-2",
        "second": "3,4",
    }


def test_the_sdk_cannot_update_by_deploy(sdk, artefact):
    # sagemaker 3.27 passes `update_endpoint` twice; no request is sent.
    with pytest.raises(SdkError, match="TypeError"):
        sdk("serving.deploy_again", name=unique("again"), artefact=artefact)


def test_a_prefix_is_scored(sdk, local, artefact):
    prefix = unique("scored")
    sdk("serving.transform", name=unique("model"), artefact=artefact, output=f"s3://{BUCKET}/{prefix}")
    assert local.client("s3").get_object(Bucket=BUCKET, Key=f"{prefix}/a.csv.out")["Body"].read() == b"5,6\n"


def test_a_model_is_registered(sdk, artefact):
    group = unique("group")
    registered = sdk("serving.register", group=group, artefact=artefact)
    assert registered["arn"].endswith(f"model-package/{group}/1")
    assert registered["listed"] == [registered["arn"]]
    assert registered["status"] == "Approved"


def test_the_sdk_loses_the_answer_of_create_model_package(sdk, local, artefact):
    group = unique("group")
    local.client("sagemaker").create_model_package_group(ModelPackageGroupName=group)
    # sagemaker 3.27 reads a ModelPackageName that CreateModelPackage never answers; the package is there.
    with pytest.raises(SdkError, match="KeyError: 'ModelPackageName'"):
        sdk("serving.create_package", group=group, artefact=artefact)
    packages = local.client("sagemaker").list_model_packages(ModelPackageGroupName=group)
    assert len(packages["ModelPackageSummaryList"]) == 1


def test_a_model_is_compiled(sdk, local):
    buffer = io.BytesIO()
    joblib.dump(LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]), buffer)
    model = upload(local, "lines/model.tar.gz", {"model.joblib": buffer.getvalue()})
    compiled = sdk("serving.compile_model", name=unique("neo"), artefact=model, output=f"s3://{BUCKET}/neo")
    assert compiled["status"] == "COMPLETED"
    assert compiled["model"].endswith("model-ml_m5.tar.gz")
