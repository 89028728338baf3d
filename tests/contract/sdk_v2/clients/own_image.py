"""A generic Estimator on an image of the user's own, and Model with its artefact."""

import boto3
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

from .session import BUCKET, DATA, INSTANCE, ROLE, found, rows, session

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/digits:latest"

sagemaker_session = session()
estimator = Estimator(
    IMAGE,
    role=ROLE,
    instance_count=1,
    instance_type=INSTANCE,
    output_path=f"s3://{BUCKET}/output",
    sagemaker_session=sagemaker_session,
    use_spot_instances=True,
    max_run=600,
    max_wait=900,
)
channels = {
    name: sagemaker_session.upload_data(str(DATA / "digits" / name), key_prefix=f"digits/{name}")
    for name in ("train", "validation")
}
estimator.fit(channels, logs=False)
images, labels = rows("digits", 10)
shared = {"role": ROLE, "sagemaker_session": sagemaker_session, "predictor_cls": Predictor}
model = Model(IMAGE, model_data=estimator.model_data, **shared)
predictor = model.deploy(1, INSTANCE, serializer=CSVSerializer(), deserializer=CSVDeserializer())
digits = [int(float(row[0])) for row in predictor.predict(images)]
predictor.delete_endpoint()
described = boto3.client("sagemaker").describe_training_job(
    TrainingJobName=estimator.latest_training_job.name
)
found(digits=digits, labels=labels, spot=described["EnableManagedSpotTraining"])
