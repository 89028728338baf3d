"""Load on a server that is about to be killed, and a ledger of what it has answered.

Every thread notes what it is about to do, does it, and notes the answer. Afterwards the server must have all
that it answered; what was under way may be there or not, whole either way.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.contract.conftest import LocalServer

MIB = 1024 * 1024
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
BUCKET = "power-cuts"
ENDPOINT = "power-cuts"
LIVE = ("InProgress", "Stopping")
ENDED = ("Completed", "Failed", "Stopped")
ABSENT = None

Cut = (BotoCoreError, ClientError, ConnectionError)


class Ledger:
    """What the server has promised.

    Attributes:
        objects: Key → the hashes that its body may have; ABSENT when it may be missing.
        jobs: Training jobs whose creation was answered.
        messages: Log messages that were taken, in order.
        groups: Model package groups whose creation was answered, with their tags.
        alarms: Alarms that were put, with their thresholds.
        refused: Answers that no client should get.
    """

    def __init__(self) -> None:
        self.objects: dict[str, set[str | None]] = {}
        self.jobs: list[str] = []
        self.messages: list[str] = []
        self.groups: dict[str, str] = {}
        self.alarms: dict[str, set[float]] = {}
        self.refused: list[str] = []
        self.answers = 0


class Load:
    """Threads that write as fast as they are answered, until the server is gone.

    Args:
        server: A running server.
        ledger: Where they note what was answered.
        dice: Decides what they write.
    """

    def __init__(self, server: LocalServer, ledger: Ledger, dice: random.Random) -> None:
        self.server, self.ledger = server, ledger
        once = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 20}
        self.clients = {
            name: server.client(name, **once)
            for name in ("s3", "sagemaker", "logs", "cloudwatch", "sagemaker-runtime")
        }
        kinds = (
            self.put,
            self.put,
            self.multipart,
            self.job,
            self.rollout,
            self.log,
            self.register,
            self.alarm,
            self.invoke,
        )
        self.threads = [
            threading.Thread(target=self._loop, args=(kind, random.Random(dice.random()), number))
            for number, kind in enumerate(kinds)
        ]
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads, which end with the server."""
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs although its server is dead"

    def _loop(self, act: Callable[[random.Random, int], None], dice: random.Random, number: int) -> None:
        while True:
            try:
                act(dice, number)
                self.ledger.answers += 1
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 500:
                    self.ledger.refused.append(str(error))
                time.sleep(0.02)
            except (BotoCoreError, ConnectionError):
                if self.server_is_gone():
                    return

    def server_is_gone(self) -> bool:
        """Whether the process was killed."""
        process = self.server._process  # read once: who has killed it forgets it
        return process is None or process.poll() is not None

    def put(self, dice: random.Random, number: int) -> None:
        """Overwrite or delete one of a few keys of this thread's own."""
        key = f"put/{number}/{dice.randrange(4)}"
        body = dice.randbytes(dice.choice([0, 10, 10_000, 400_000]))
        before = self.ledger.objects.get(key, {ABSENT})
        if dice.random() < 0.2:
            self.ledger.objects[key] = before | {ABSENT}
            self.clients["s3"].delete_object(Bucket=BUCKET, Key=key)
            self.ledger.objects[key] = {ABSENT}
            return
        digest = hashlib.sha256(body).hexdigest()
        self.ledger.objects[key] = before | {digest}
        self.clients["s3"].put_object(Bucket=BUCKET, Key=key, Body=body)
        self.ledger.objects[key] = {digest}

    def multipart(self, dice: random.Random, number: int) -> None:
        """Upload in two parts; sometimes give up."""
        s3, key = self.clients["s3"], f"multipart/{number}/{dice.randrange(3)}"
        upload = {"Bucket": BUCKET, "Key": key}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        bodies = [dice.randbytes(1000) * (5 * MIB // 1000 + 1), dice.randbytes(5000)]
        etags = [s3.upload_part(**upload, PartNumber=n, Body=b)["ETag"] for n, b in enumerate(bodies, 1)]
        if dice.random() < 0.2:
            s3.abort_multipart_upload(**upload)
            return
        digest = hashlib.sha256(b"".join(bodies)).hexdigest()
        self.ledger.objects[key] = self.ledger.objects.get(key, {ABSENT}) | {digest}
        parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        self.ledger.objects[key] = {digest}

    def job(self, dice: random.Random, _number: int) -> None:
        """Start a training job; sometimes stop one."""
        name = f"job-{uuid.UUID(int=dice.getrandbits(128)).hex[:16]}"
        self.clients["sagemaker"].create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": f"{REGISTRY}/echo:1", "TrainingInputMode": "File"},
            HyperParameters={"seconds": str(dice.choice([0, 0, 0.3]))},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
        )
        self.ledger.jobs.append(name)
        if dice.random() < 0.2:
            self.clients["sagemaker"].stop_training_job(TrainingJobName=dice.choice(self.ledger.jobs[-3:]))
        time.sleep(0.15)

    def rollout(self, dice: random.Random, _number: int) -> None:
        """Move the endpoint to the other config, as soon as it lets one."""
        config = dice.choice(["config-a", "config-b"])
        time.sleep(0.05)
        self.clients["sagemaker"].update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)

    def invoke(self, dice: random.Random, _number: int) -> None:
        """Ask the endpoint; it answers with the body."""
        body = str(dice.random()).encode()
        answer = self.clients["sagemaker-runtime"].invoke_endpoint(EndpointName=ENDPOINT, Body=body)
        assert answer["Body"].read() == body
        time.sleep(0.01)

    def log(self, dice: random.Random, _number: int) -> None:
        """Write a few lines; none of them may be lost."""
        messages = [f"{time.time_ns()}-{number}" for number in range(dice.randrange(1, 5))]
        at_ms = time.time_ns() // 1_000_000
        events = [{"timestamp": at_ms, "message": message} for message in messages]
        self.clients["logs"].put_log_events(logGroupName="power", logStreamName="cuts", logEvents=events)
        self.ledger.messages += messages

    def register(self, dice: random.Random, _number: int) -> None:
        """Create a group with a tag, then change the tag."""
        name = f"group-{uuid.UUID(int=dice.getrandbits(128)).hex[:16]}"
        sagemaker = self.clients["sagemaker"]
        tags = [{"Key": "k", "Value": "1"}]
        arn = sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=tags)[
            "ModelPackageGroupArn"
        ]
        self.ledger.groups[arn] = "1 2"
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "2"}])
        self.ledger.groups[arn] = "2"

    def alarm(self, dice: random.Random, number: int) -> None:
        """Put an alarm again and again, with another threshold."""
        name, threshold = f"alarm-{number}", float(dice.randrange(1000))
        self.ledger.alarms[name] = self.ledger.alarms.get(name, set()) | {threshold}
        self.clients["cloudwatch"].put_metric_alarm(
            AlarmName=name,
            Namespace="N",
            MetricName="M",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
        )
        self.ledger.alarms[name] = {threshold}


def prepare(server: LocalServer, artefact: bytes) -> None:
    """A bucket, a log stream, an endpoint in service and two configs for it."""
    s3, sagemaker, logs = server.client("s3"), server.client("sagemaker"), server.client("logs")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=artefact)
    logs.create_log_group(logGroupName="power")
    logs.create_log_stream(logGroupName="power", logStreamName="cuts")
    container = {"Image": f"{REGISTRY}/echo:1", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName="model", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    for name in ("config-a", "config-b"):
        variant = {
            "VariantName": "v",
            "ModelName": "model",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="config-a")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def processes_of(url: str) -> list[int]:
    """Programs that were started by the server that listened there; each start has a port of its own."""
    found, mark = [], f"AWS_ENDPOINT_URL={url}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            text = (directory / "environ").read_bytes() + (directory / "cmdline").read_bytes().replace(
                b"\0", b"="
            )
        except OSError:
            continue
        if mark in text:
            found.append(int(directory.name))
    return found


def orphan_blobs(data: Path) -> set[str]:
    """Blobs that the index does not name."""
    files = {path.name for path in (data / "s3" / "blobs").rglob("*") if path.is_file()}
    connection = sqlite3.connect(f"file:{data / 's3' / 'index.sqlite3'}?mode=ro", uri=True)
    try:
        from sagemaker_local.s3 import index

        connection.row_factory = sqlite3.Row
        return files - set(index.named_blobs(connection))
    finally:
        connection.close()


def intact(data: Path) -> dict[str, Any]:
    """SQLite's own word on each database."""
    found = {}
    for path in data.rglob("*.sqlite*"):
        if path.suffix not in (".sqlite", ".sqlite3"):
            continue
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        found[path.name] = connection.execute("PRAGMA integrity_check").fetchone()[0]
        connection.close()
    return found
