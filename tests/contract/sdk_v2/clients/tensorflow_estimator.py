"""TensorFlow: Keras in script mode, TensorFlow Serving's REST contract, and a script around it."""

from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import CSVSerializer
from sagemaker.tensorflow import TensorFlow, TensorFlowModel

from .session import DATA, INSTANCE, ROLE, SOURCES, found, rows, session

sagemaker_session = session()
estimator = TensorFlow(
    entry_point="train.py",
    source_dir=str(SOURCES / "tensorflow_digits"),
    framework_version="2.18.0",
    py_version="py310",
    instance_count=1,
    instance_type=INSTANCE,
    role=ROLE,
    sagemaker_session=sagemaker_session,
    hyperparameters={"epochs": 8},
)
estimator.fit({"train": sagemaker_session.upload_data(str(DATA / "digits" / "train"), key_prefix="digits")})
images, labels = rows("digits", 20)
predictor = estimator.deploy(1, INSTANCE)
answer = predictor.predict({"instances": images})
bare = predictor.predict(images)
predictor.delete_endpoint()

model = TensorFlowModel(
    model_data=estimator.model_data,
    role=ROLE,
    framework_version="2.18.0",
    entry_point="inference.py",
    source_dir=str(SOURCES / "tensorflow_serving"),
    sagemaker_session=sagemaker_session,
)
scripted = model.deploy(1, INSTANCE, serializer=CSVSerializer(), deserializer=JSONDeserializer())
found(
    digits=[row.index(max(row)) for row in answer["predictions"]],
    bare=[row.index(max(row)) for row in bare["predictions"]],
    scripted=scripted.predict(images),
    labels=labels,
)
scripted.delete_endpoint()
