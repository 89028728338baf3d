"""SKLearnProcessor and ScriptProcessor: code from this machine, inputs and outputs in S3."""

import boto3
from sagemaker import image_uris
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.sklearn.processing import SKLearnProcessor

from .session import BUCKET, DATA, INSTANCE, ROLE, SOURCES, found, session

sagemaker_session = session()
source = sagemaker_session.upload_data(str(DATA / "iris" / "train"), key_prefix="iris")
shared = {
    "role": ROLE,
    "instance_type": INSTANCE,
    "instance_count": 1,
    "sagemaker_session": sagemaker_session,
}
processors = {
    "sklearn": SKLearnProcessor(framework_version="1.2-1", **shared),
    "script": ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", "eu-central-1", version="1.2-1"),
        command=["python3"],
        **shared,
    ),
}
counts = {}
for name, processor in processors.items():
    processor.run(
        code=str(SOURCES / "sklearn_iris" / "prepare.py"),
        arguments=["--share", "0.75"],
        inputs=[ProcessingInput(source=source, destination="/opt/ml/processing/input")],
        outputs=[
            ProcessingOutput("/opt/ml/processing/train", f"s3://{BUCKET}/{name}/train", output_name="train"),
            ProcessingOutput("/opt/ml/processing/test", f"s3://{BUCKET}/{name}/test", output_name="test"),
        ],
    )
    s3 = boto3.client("s3")
    counts[name] = {
        part: len(s3.get_object(Bucket=BUCKET, Key=f"{name}/{part}/rows.csv")["Body"].read().splitlines())
        for part in ("train", "test")
    }
found(counts=counts)
