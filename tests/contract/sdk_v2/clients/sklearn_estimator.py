"""Estimator → fit → deploy → predict as CSV and JSON → batch transform → the model without its estimator."""

import boto3
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel

from .session import BUCKET, DATA, INSTANCE, ROLE, SOURCES, found, rows, session

sagemaker_session = session()
estimator = SKLearn(
    entry_point="train.py",
    source_dir=str(SOURCES / "sklearn_iris"),
    dependencies=[str(SOURCES / "shared")],
    framework_version="1.2-1",
    py_version="py3",
    instance_type=INSTANCE,
    instance_count=1,
    role=ROLE,
    sagemaker_session=sagemaker_session,
    hyperparameters={"max-iter": 500, "penalty-name": "two words"},
    metric_definitions=[{"Name": "train:accuracy", "Regex": "accuracy=([0-9.]+);"}],
    base_job_name="iris",
)
train = sagemaker_session.upload_data(str(DATA / "iris" / "train"), key_prefix="iris/train")
estimator.fit({"train": train}, logs="All")
job = boto3.client("sagemaker").describe_training_job(TrainingJobName=estimator.latest_training_job.name)

features, labels = rows("iris")
predictor = estimator.deploy(initial_instance_count=1, instance_type=INSTANCE)
predictor.serializer, predictor.deserializer = CSVSerializer(), CSVDeserializer()
as_csv = [float(row[0]) for row in predictor.predict(features)]
predictor.serializer, predictor.deserializer = JSONSerializer(), JSONDeserializer()
as_json = predictor.predict(features)
predictor.delete_model()
predictor.delete_endpoint()

transformer = estimator.transformer(
    1, INSTANCE, strategy="MultiRecord", accept="text/csv", assemble_with="Line"
)
lines = "\n".join(",".join(map(str, row)) for row in features)
source = sagemaker_session.upload_string_as_file_body(lines, BUCKET, "batch/in/rows.csv")
transformer.transform(source, content_type="text/csv", split_type="Line", logs=False)
batch = sagemaker_session.read_s3_file(
    BUCKET, f"{transformer.output_path.partition(BUCKET + '/')[2]}/rows.csv.out"
)

model = SKLearnModel(
    model_data=estimator.model_data,
    role=ROLE,
    entry_point="train.py",
    source_dir=str(SOURCES / "sklearn_iris"),
    framework_version="1.2-1",
    sagemaker_session=sagemaker_session,
)
again = model.deploy(1, INSTANCE, serializer=JSONSerializer(), deserializer=JSONDeserializer())
found(
    status=job["TrainingJobStatus"],
    metrics={metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]},
    labels=labels,
    csv=as_csv,
    json=as_json,
    batch=[float(line) for line in batch.split()],
    again=again.predict(features),
)
again.delete_endpoint()
