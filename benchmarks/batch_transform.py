"""Batch transform in the local SageMaker beside `predict` in a process that reads the same file.

    .venv/bin/python -m benchmarks.batch_transform            # three models, 3 rounds, files of 250 MB
    .venv/bin/python -m benchmarks.batch_transform --quick    # 60 MB, 2 rounds

The limit is measured in the image's own environment by a processing job: the fastest of four CSV readers,
then the same model's predict in blocks, in one process and in one for each core. Its answers are dropped:
writing them as text is part of batch transform's time and not of the limit's. Batch transform's time is from
the first payload's being read from S3 to the output's being durable there, as the job's log tells it; the
container's start is not in it.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
from botocore.config import Config

from benchmarks.local_server import REGION, REGISTRY, ROLE, ROOT, local_server
from benchmarks.reporting import Report

IMAGE = f"{REGISTRY}/batch-models:latest"
BUCKET = "batch"
ONE, SEVERAL, OURS = "predict, one process", "predict, a process a core", "batch transform"
SUMMARY = re.compile(r"([\d,]+) rows, .* out in ([\d.]+) s")
MEGABYTE = 1_000_000
BLOCK_ROWS = 20_000


@dataclass(frozen=True)
class Subject:
    """A model and its rows.

    Attributes:
        name: As in the table.
        kind: What the training program calls it.
        framework: To compile it; None leaves it as trained.
    """

    name: str
    kind: str
    framework: str | None


SUBJECTS = (
    Subject("scikit-learn pipeline on digits, compiled", "digits", "SKLEARN"),
    Subject("scikit-learn pipeline on digits, as trained", "digits", None),
    Subject("XGBoost, 300 trees of depth 6, 30 features, compiled", "trees", "XGBOOST"),
)


class House:
    """The local SageMaker as a client sees it."""

    def __init__(self, url: str, pid: int) -> None:
        session: Any = boto3.session.Session()

        def client(service: str) -> Any:
            return session.client(
                service,
                endpoint_url=url,
                region_name=REGION,
                aws_access_key_id="benchmark",
                aws_secret_access_key="benchmark",  # noqa: S106 - the server takes any
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
            )

        self.pid = pid
        self.sagemaker, self.s3, self.logs = client("sagemaker"), client("s3"), client("logs")
        self.s3.create_bucket(Bucket=BUCKET)

    def until(self, kind: str, name: str) -> dict[str, Any]:
        """Wait for a job's end; its description."""
        describe = getattr(self.sagemaker, f"describe_{kind}_job")
        argument = "".join(part.title() for part in kind.split("_")) + "JobName"
        status = argument.removesuffix("Name") + "Status"
        while True:
            described: dict[str, Any] = describe(**{argument: name})
            if described[status].upper() == "COMPLETED":
                return described
            if described[status].upper() in ("FAILED", "STOPPED"):
                raise SystemExit(
                    f"{kind} job {name}: {described.get('FailureReason')}\n{self.log(kind, name)}"
                )
            time.sleep(0.1)

    def log(self, kind: str, name: str) -> str:
        """The end of what a job printed."""
        group = f"/aws/sagemaker/{kind.title()}Jobs"
        events = self.logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")["events"]
        return "\n".join(event["message"] for event in events[-30:])

    def train(self, kind: str) -> str:
        """Train a model; the URI of its artefact."""
        name = _unique("train")
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn=ROLE,
            HyperParameters={"kind": kind},
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        return str(self.until("training", name)["ModelArtifacts"]["S3ModelArtifacts"])

    def compile(self, artefact: str, framework: str, features: int) -> str:
        """Compile it; the URI of the artefact."""
        name = _unique("compile")
        self.sagemaker.create_compilation_job(
            CompilationJobName=name,
            RoleArn=ROLE,
            InputConfig={
                "S3Uri": artefact,
                "DataInputConfig": json.dumps({"input": [1, features]}),
                "Framework": framework,
            },
            OutputConfig={"S3OutputLocation": f"s3://{BUCKET}/compiled/{name}", "TargetDevice": "ml_m5"},
            StoppingCondition={"MaxRuntimeInSeconds": 900},
        )
        return str(self.until("compilation", name)["ModelArtifacts"]["S3ModelArtifacts"])

    def limit(self, artefact: str, data: str) -> dict[str, Any]:
        """What predict does in processes of its own."""
        name = _unique("limit")
        inputs = [
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/{key}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for key, uri in {"model": artefact, "data": data}.items()
        ]
        output = {
            "OutputName": "result",
            "S3Output": {
                "S3Uri": f"s3://{BUCKET}/limits/{name}",
                "LocalPath": "/opt/ml/processing/result",
                "S3UploadMode": "EndOfJob",
            },
        }
        self.sagemaker.create_processing_job(
            ProcessingJobName=name,
            RoleArn=ROLE,
            AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["limit"]},
            ProcessingInputs=inputs,
            ProcessingOutputConfig={"Outputs": [output]},
            ProcessingResources={
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
            },
        )
        self.until("processing", name)
        found = self.s3.get_object(Bucket=BUCKET, Key=f"limits/{name}/limit.json")["Body"].read()
        limit: dict[str, Any] = json.loads(found)
        return limit

    def transform(self, artefact: str, data: str, concurrent: int) -> tuple[int, float]:
        """Rows and rows/s of a transform job."""
        name = _unique("transform")
        model = _unique("model")
        self.sagemaker.create_model(
            ModelName=model,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": artefact},
            ExecutionRoleArn=ROLE,
        )
        self.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            MaxConcurrentTransforms=concurrent,
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data}},
                "ContentType": "text/csv",
                "SplitType": "Line",
            },
            TransformOutput={
                "S3OutputPath": f"s3://{BUCKET}/out/{name}",
                "Accept": "text/csv",
                "AssembleWith": "Line",
            },
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
        self.until("transform", name)
        found = SUMMARY.search(self.log("transform", name))
        if found is None:
            raise SystemExit(f"the log of {name} tells no rows:\n{self.log('transform', name)}")
        rows = int(found[1].replace(",", ""))
        for each in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{name}/")["Contents"]:
            lines = sum(
                part.count(b"\n")
                for part in self.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].iter_chunks()
            )
            if lines != rows:
                raise SystemExit(f"{name}: {rows} rows went in and {lines} came out")
            self.s3.delete_object(Bucket=BUCKET, Key=each["Key"])
        return rows, rows / float(found[2])


@contextmanager
def memory_of(pid: int) -> Iterator[dict[str, float]]:
    """Peaks in MB, of the process and of all below it together, while the block runs."""
    peaks = {"server": 0.0, "container": 0.0}
    ended = threading.Event()
    server = psutil.Process(pid)

    def look() -> None:
        while not ended.wait(0.05):
            below = 0
            for each in server.children(recursive=True):
                try:
                    below += each.memory_full_info().pss
                except psutil.Error:
                    continue
            peaks["server"] = max(peaks["server"], server.memory_info().rss / MEGABYTE)
            peaks["container"] = max(peaks["container"], below / MEGABYTE)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peaks
    finally:
        ended.set()
        looking.join()


def rows_of(kind: str, size: int) -> io.BytesIO:
    """A file of about that size: a block of rows over and over, for no reader remembers what it read."""
    generator = np.random.default_rng(7)
    if kind == "digits":
        from sklearn.datasets import load_digits

        pixels = load_digits().data.astype(int)
        block = pixels[generator.integers(0, len(pixels), BLOCK_ROWS)]
        lines = [",".join(map(str, row)) for row in block.tolist()]
    else:
        block = generator.normal(size=(BLOCK_ROWS, 30)) * generator.choice([1, 10, 1000], 30)
        lines = [",".join(f"{value:.6g}" for value in row) for row in block.tolist()]
    text = ("\n".join(lines) + "\n").encode()
    return io.BytesIO(text * max(1, size // len(text)))


def _unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def main() -> None:
    """Train, compile, measure in turns, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 MB and 2 rounds instead of 250 MB and 3")
    parser.add_argument("--megabytes", type=int, help="size of each input file")
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--concurrent", type=int, default=0, help="MaxConcurrentTransforms; 0: the image says"
    )
    parser.add_argument("--only", choices=["digits", "trees"], help="one kind of model")
    parser.add_argument(
        "--serving", type=Path, default=ROOT / "containers" / "model-serving", help="base image"
    )
    options = parser.parse_args()
    if not options.serving.is_dir():
        raise SystemExit(
            f"{options.serving} is not there: give the folder of the serving base with --serving"
        )
    size = (options.megabytes or (60 if options.quick else 250)) * MEGABYTE
    rounds = options.rounds or (2 if options.quick else 3)
    report = Report(
        "batch_transform",
        "Batch transform, rows/s",
        ONE,
        ["numpy", "scikit-learn", "uvicorn"],
        quick=options.quick,
    )
    with tempfile.TemporaryDirectory(prefix="batch-images-") as folder:
        images = Path(folder)
        shutil.copytree(options.serving, images / "model-serving")
        shutil.copytree(ROOT / "benchmarks" / "batch_transform_image", images / "batch-models")
        with local_server({}, "--containers", str(images)) as server:
            measure(House(server.url, server.pid), report, options, size, rounds)
    report.publish()


def measure(house: House, report: Report, options: argparse.Namespace, size: int, rounds: int) -> None:
    """Every model, the limit and batch transform in turns."""
    for subject in SUBJECTS:
        if options.only not in (None, subject.kind):
            continue
        features = 64 if subject.kind == "digits" else 30
        artefact = house.train(subject.kind)
        if subject.framework:
            artefact = house.compile(artefact, subject.framework, features)
        key = f"data/{subject.kind}/rows.csv"
        house.s3.upload_fileobj(rows_of(subject.kind, size), BUCKET, key)
        data = f"s3://{BUCKET}/{key}"
        limits, rates = [], []
        for _ in range(rounds):
            limits.append(house.limit(artefact, data))
            with memory_of(house.pid) as peaks:
                rows, rate = house.transform(artefact, data, options.concurrent)
            rates.append(rate)
        report.add(subject.name, ONE, [each["one"] for each in limits], unit="rows/s")
        report.add(subject.name, SEVERAL, [each["several"] for each in limits], unit="rows/s")
        report.add(subject.name, OURS, rates, unit="rows/s")
        report.aim(subject.name, subject.name, OURS, at_least=0.5)
        report.aim(f"{subject.name}, both on all cores", subject.name, OURS, at_least=0.5, against=SEVERAL)
        readers = {
            name: statistics.median(each["readers"][name] for each in limits) for name in limits[0]["readers"]
        }
        shown = ", ".join(f"{name} {rate / 1000:,.0f}" for name, rate in readers.items())
        report.note(
            f"{subject.kind}: {rows:,} rows; readers, thousand rows/s: {shown}; fastest: "
            f"{limits[-1]['fastest']}; peak memory: server {peaks['server']:.0f} MB, container "
            f"{peaks['container']:.0f} MB"
        )


if __name__ == "__main__":
    main()
