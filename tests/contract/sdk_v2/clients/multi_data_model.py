"""Many scikit-learn models behind one endpoint, one of them added while it serves."""

import boto3
from sagemaker.deserializers import JSONDeserializer
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel

from .session import BUCKET, DATA, INSTANCE, ROLE, SOURCES, found, rows, session

sagemaker_session = session()
estimator = SKLearn(
    entry_point="train.py",
    source_dir=str(SOURCES / "sklearn_iris"),
    dependencies=[str(SOURCES / "shared")],
    framework_version="1.2-1",
    instance_type=INSTANCE,
    instance_count=1,
    role=ROLE,
    sagemaker_session=sagemaker_session,
    hyperparameters={"max-iter": 500},
)
train = sagemaker_session.upload_data(str(DATA / "iris" / "train"), key_prefix="iris/train")
estimator.fit({"train": train}, logs=False)
model = SKLearnModel(
    model_data=estimator.model_data,
    role=ROLE,
    entry_point="train.py",
    source_dir=str(SOURCES / "sklearn_iris"),
    framework_version="1.2-1",
    sagemaker_session=sagemaker_session,
)
many = MultiDataModel(
    name=f"many-{BUCKET}",
    model_data_prefix=f"s3://{BUCKET}/many/",
    model=model,
    sagemaker_session=sagemaker_session,
)
many.add_model(estimator.model_data, "one.tar.gz")
predictor = many.deploy(1, INSTANCE, serializer=JSONSerializer(), deserializer=JSONDeserializer())
many.add_model(estimator.model_data, "sub/two.tar.gz")
features, labels = rows("iris")
answers = {name: predictor.predict(features, target_model=name) for name in ("one.tar.gz", "sub/two.tar.gz")}
try:
    predictor.predict(features, target_model="none.tar.gz")
    missing = ""
except boto3.client("sagemaker-runtime").exceptions.ValidationError as error:
    missing = str(error)
found(models=sorted(many.list_models()), answers=answers, labels=labels, missing=missing)
predictor.delete_endpoint()
