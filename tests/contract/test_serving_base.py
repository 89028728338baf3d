"""An image of two files on the serving base: deployed, invoked and asked for many rows by boto3."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.contract.conftest import ROOT, LocalServer

DOCKERFILE = "FROM model-serving:latest\nCOPY model.py /opt/program/\n"
MODEL = """
from pathlib import Path


def model_fn(model_dir):
    return float(Path(model_dir, "factor").read_text())


def predict_fn(rows, factor):
    return rows.sum(axis=1) * factor
"""


def test_an_image_of_two_files(start_server: Callable[..., LocalServer], tmp_path: Path) -> None:
    containers = tmp_path / "containers"
    (containers / "scaled").mkdir(parents=True)
    (containers / "scaled/Dockerfile").write_text(DOCKERFILE)
    (containers / "scaled/model.py").write_text(MODEL)
    shutil.copytree(ROOT / "containers/model-serving", containers / "model-serving")
    server = start_server(containers=containers)
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("factor")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"2.5"))
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=packed.getvalue())
    role = "arn:aws:iam::123456789012:role/any"
    container = {"Image": "scaled", "ModelDataUrl": "s3://models/model.tar.gz"}
    sagemaker.create_model(ModelName="scaled", PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {
        "VariantName": "all",
        "ModelName": "scaled",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="scaled", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="scaled", EndpointConfigName="scaled")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName="scaled", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    runtime = server.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName="scaled", ContentType="text/csv", Body=b"1,2\n3,4\n")
    assert answer["Body"].read() == b"7.5\n17.5\n"
    answer = runtime.invoke_endpoint(
        EndpointName="scaled", ContentType="application/json", Body=b'{"instances": [[1, 2]]}'
    )
    assert answer["Body"].read() == b'{"predictions":[7.5]}'

    s3.put_object(Bucket="models", Key="input/rows.csv", Body=b"1,2\n3,4\n" * 500)
    sagemaker.create_transform_job(
        TransformJobName="scaled",
        ModelName="scaled",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/input/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": "s3://models/output", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName="scaled", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    output = s3.get_object(Bucket="models", Key="output/rows.csv.out")["Body"].read()
    assert output.split() == [b"7.5", b"17.5"] * 500
