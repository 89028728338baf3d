"""A built-in XGBoost model, compiled by Neo and deployed on Neo's own image."""

from sagemaker import image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

from .session import BUCKET, DATA, ROLE, found, rows, session

INSTANCE = "ml.c5.xlarge"

sagemaker_session = session()
image = image_uris.retrieve("xgboost", "us-east-1", version="1.7-1")
estimator = Estimator(
    image,
    role=ROLE,
    instance_count=1,
    instance_type=INSTANCE,
    output_path=f"s3://{BUCKET}/output",
    sagemaker_session=sagemaker_session,
)
estimator.set_hyperparameters(objective="multi:softprob", num_class=3, num_round=10)
train = sagemaker_session.upload_data(str(DATA / "iris" / "train"), key_prefix="iris")
estimator.fit({"train": TrainingInput(train, content_type="csv")}, logs=False)
features, labels = rows("iris")


def predictions(model: Model) -> list[list[float]]:
    """What an endpoint of the model answers."""
    predictor = model.deploy(1, INSTANCE, serializer=CSVSerializer(), deserializer=CSVDeserializer())
    answer = [[float(cell.strip("[] ")) for cell in row] for row in predictor.predict(features)]
    predictor.delete_endpoint()
    return answer


shared = {"role": ROLE, "sagemaker_session": sagemaker_session, "predictor_cls": Predictor}
original = predictions(Model(image, model_data=estimator.model_data, **shared))
model = Model(image, model_data=estimator.model_data, **shared)
compiled = model.compile(
    target_instance_family="ml_c5",
    input_shape={"input": [1, 4]},
    output_path=f"s3://{BUCKET}/compiled",
    role=ROLE,
    job_name=f"compile-{BUCKET}",
    framework="xgboost",
    framework_version="3.2.0",
)
found(original=original, compiled=predictions(compiled), image=compiled.image_uri, labels=labels)
