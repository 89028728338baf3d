"""PyTorch: a script with its own functions, and a TorchScript model made elsewhere."""

import boto3
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorch
from sagemaker.serializers import JSONSerializer

from .session import DATA, INSTANCE, ROLE, SOURCES, found, rows, session

sagemaker_session = session()
estimator = PyTorch(
    entry_point="train.py",
    source_dir=str(SOURCES / "pytorch_digits"),
    framework_version="2.6.0",
    py_version="py312",
    instance_count=1,
    instance_type=INSTANCE,
    role=ROLE,
    sagemaker_session=sagemaker_session,
    hyperparameters={"epochs": 150},
)
estimator.fit({"train": sagemaker_session.upload_data(str(DATA / "digits" / "train"), key_prefix="digits")})
images, labels = rows("digits", 20)
predictor = estimator.deploy(1, INSTANCE, serializer=JSONSerializer(), deserializer=JSONDeserializer())
digits = predictor.predict(images)["digits"]
runtime = boto3.client("sagemaker-runtime")
try:
    runtime.invoke_endpoint(EndpointName=predictor.endpoint_name, ContentType="text/csv", Body=b"1,2")
    refusal = 200
except runtime.exceptions.ModelError as error:
    refusal = error.response["OriginalStatusCode"]
predictor.delete_endpoint()
found(digits=digits, labels=labels, refusal=refusal)
