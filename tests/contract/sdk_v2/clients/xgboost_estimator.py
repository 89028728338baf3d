"""XGBoost three times: a script, the built-in algorithm on CSV, and compiled by Neo."""

import boto3
from sagemaker import image_uris
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer
from sagemaker.xgboost import XGBoost

from .session import BUCKET, DATA, INSTANCE, ROLE, SOURCES, found, rows, session

sagemaker_session = session()
train = sagemaker_session.upload_data(str(DATA / "iris" / "train"), key_prefix="iris/train")
validation = sagemaker_session.upload_data(str(DATA / "iris" / "validation"), key_prefix="iris/validation")
features, labels = rows("iris")
shared = {
    "role": ROLE,
    "instance_count": 1,
    "instance_type": INSTANCE,
    "sagemaker_session": sagemaker_session,
}

script = XGBoost(
    entry_point="train.py",
    source_dir=str(SOURCES / "xgboost_iris"),
    framework_version="1.7-1",
    hyperparameters={"num_round": 10},
    **shared,
)
script.fit({"train": train})
predictor = script.deploy(1, INSTANCE, serializer=CSVSerializer(), deserializer=JSONDeserializer())
by_script = predictor.predict(features)
predictor.delete_endpoint()

image = image_uris.retrieve("xgboost", "us-east-1", version="1.7-1")
builtin = Estimator(image, output_path=f"s3://{BUCKET}/builtin", **shared)
builtin.set_hyperparameters(
    objective="multi:softmax",
    num_class=3,
    num_round=10,
    eval_metric="merror,mlogloss",
    early_stopping_rounds=5,
)
builtin.fit(
    {
        "train": TrainingInput(train, content_type="text/csv"),
        "validation": TrainingInput(validation, content_type="text/csv; label_size=1"),
    }
)
predictor = builtin.deploy(1, INSTANCE, serializer=CSVSerializer(), deserializer=CSVDeserializer())
(by_builtin,) = predictor.predict(features)
predictor.deserializer = JSONDeserializer()
as_json = predictor.predict(features)
libsvm = "\n".join("0 " + " ".join(f"{i}:{value}" for i, value in enumerate(row)) for row in features)
runtime = boto3.client("sagemaker-runtime")
asked = {"EndpointName": predictor.endpoint_name, "Accept": "text/csv"}
as_libsvm = runtime.invoke_endpoint(ContentType="text/libsvm", Body=libsvm, **asked)["Body"].read().decode()
try:
    runtime.invoke_endpoint(ContentType="application/xml", Body=b"<row/>", **asked)
    refusal = 200
except runtime.exceptions.ModelError as error:
    refusal = error.response["OriginalStatusCode"]
predictor.delete_endpoint()
found(
    labels=labels,
    script=by_script,
    builtin=[float(cell) for cell in by_builtin],
    json=[each["score"] for each in as_json["predictions"]],
    libsvm=[float(cell) for cell in as_libsvm.split(",")],
    refusal=refusal,
)
