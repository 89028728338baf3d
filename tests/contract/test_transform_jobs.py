"""Batch transform over boto3: every row once, in order; an object whole or not at all."""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.serving_probe import BUCKET, Probe, eventually, probe, unique

__all__ = ["probe"]
OFTEN = {"Delay": 1, "MaxAttempts": 300}


class Job:
    """One transform job with an input and an output prefix of its own."""

    def __init__(self, probe: Probe, objects: dict[str, bytes]) -> None:
        self.probe = probe
        self.name = unique("transform")
        self.prefix = f"input/{self.name}"
        for key, body in objects.items():
            probe.s3.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=body)

    def start(
        self,
        content_type: str = "text/csv",
        split: str = "Line",
        assemble: str = "Line",
        data_type: str = "S3Prefix",
        uri: str | None = None,
        compression: str = "None",
        environment: dict[str, str] | None = None,
        **more: Any,
    ) -> Job:
        source = {"S3DataType": data_type, "S3Uri": uri or f"s3://{BUCKET}/{self.prefix}/"}
        self.probe.sagemaker.create_transform_job(
            TransformJobName=self.name,
            ModelName=self.probe.model(**(environment or {})),
            TransformInput={
                "DataSource": {"S3DataSource": source},
                "ContentType": content_type,
                "SplitType": split,
                "CompressionType": compression,
            },
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/output/{self.name}", "AssembleWith": assemble},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        )
        return self

    def described(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.probe.sagemaker.describe_transform_job(TransformJobName=self.name)
        return answer

    def outputs(self) -> dict[str, bytes]:
        """The bodies of the output objects, by key below the output path."""
        prefix = f"output/{self.name}/"
        found = self.probe.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): self.probe.s3.get_object(Bucket=BUCKET, Key=each["Key"])[
                "Body"
            ].read()
            for each in found
        }

    def completed(self) -> dict[str, bytes]:
        self.probe.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
            TransformJobName=self.name, WaiterConfig=OFTEN
        )
        return self.outputs()

    def failed(self) -> str:
        def reason() -> str:
            described = self.described()
            assert described["TransformJobStatus"] in ("InProgress", "Failed")
            return str(described.get("FailureReason", ""))

        return str(eventually(reason))


def rows(count: int) -> bytes:
    generator = random.Random(7)
    return b"".join(b"%d,%d\n" % (number, generator.randrange(10**9)) for number in range(count))


@pytest.mark.parametrize("concurrent", [1, 4])
@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_every_row_has_its_row_in_order(probe: Probe, strategy: str, concurrent: int) -> None:
    big = rows(60_000 if strategy == "MultiRecord" else 300)
    small = b"1,2\n3,4"  # without a last line end
    job = Job(probe, {"dt=1/data.csv": big, "small.csv": small, "empty.csv": b""}).start(
        BatchStrategy=strategy, MaxConcurrentTransforms=concurrent, MaxPayloadInMB=1
    )
    assert job.completed() == {
        "dt=1/data.csv.out": big,
        "small.csv.out": small + b"\n",
        "empty.csv.out": b"",
    }


@pytest.mark.parametrize("megabytes", [0, 6])
def test_an_object_that_is_not_split_is_one_request(probe: Probe, megabytes: int) -> None:
    body = rows(40_000)
    job = Job(probe, {"a.csv": body, "b.csv": b"no end"}).start(
        split="None", assemble="None", MaxPayloadInMB=megabytes
    )
    assert job.completed() == {"a.csv.out": body, "b.csv.out": b"no end"}


def test_the_log_tells_the_settings_and_what_was_done(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n2\n", "b.csv": b"3"}).start(MaxConcurrentTransforms=2, MaxPayloadInMB=1)
    job.completed()
    events = probe.logs.filter_log_events(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=f"{job.name}/"
    )["events"]
    said = [event["message"] for event in events if event["logStreamName"].endswith("/data-log")]
    assert said[0] == (
        "[sagemaker logs]: MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=MULTI_RECORD"
    )
    assert said[1].startswith("sagemaker-local: 2 of 2 objects, 3 rows, 0.0 MB in")
    assert len(said) == 2  # a short job has no lines on the way


def test_gzipped_input_is_unpacked(probe: Probe) -> None:
    body = rows(5_000)
    job = Job(probe, {"a.csv.gz": gzip.compress(body)}).start(compression="Gzip")
    assert job.completed() == {"a.csv.gz.out": body}


def test_a_manifest_names_the_objects(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n", "deep/b.csv": b"2\n", "not-named.csv": b"3\n"})
    manifest = [{"prefix": f"s3://{BUCKET}/{job.prefix}/"}, "a.csv", "deep/b.csv"]
    probe.s3.put_object(Bucket=BUCKET, Key=f"{job.name}.manifest", Body=json.dumps(manifest))
    job.start(data_type="ManifestFile", uri=f"s3://{BUCKET}/{job.name}.manifest")
    assert job.completed() == {"a.csv.out": b"1\n", "deep/b.csv.out": b"2\n"}


def test_one_object_may_be_named_by_its_key(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n"})
    assert job.start(uri=f"s3://{BUCKET}/{job.prefix}/a.csv").completed() == {"a.csv.out": b"1\n"}


def test_a_bad_object_fails_the_job_and_the_good_ones_are_written(probe: Probe) -> None:
    job = Job(probe, {"bad.csv": b"1\npoison\n", "good.csv": b"1\n"}).start("application/x-unlike-poison")
    reason = job.failed()
    assert f"s3://{BUCKET}/{job.prefix}/bad.csv" in reason
    assert "status 400: row is poison" in reason
    assert "1 of 2 objects failed" in reason
    assert job.outputs() == {"good.csv.out": b"1\n"}


def test_an_object_is_written_only_when_all_of_it_succeeded(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n2\npoison\n4\n"}).start(
        "application/x-unlike-poison", BatchStrategy="SingleRecord"
    )
    assert "row is poison" in job.failed()
    assert job.outputs() == {}


def test_a_server_error_is_tried_again(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n"}).start("application/x-flaky")
    assert job.completed() == {"a.csv.out": b"1\n"}


@pytest.mark.parametrize(
    ("content_type", "body", "timeout_s", "reason"),
    [
        ("application/x-status", b"503", 60, "status 503: asked for 503 (after 1 retries)"),
        ("application/x-pause", b"5", 1, "no answer within 1 seconds (after 1 retries)"),
        ("application/x-die", b"1", 60, "closed the connection"),
    ],
)
def test_retries_end(probe: Probe, content_type: str, body: bytes, timeout_s: int, reason: str) -> None:
    job = Job(probe, {"a.csv": body}).start(
        content_type,
        ModelClientConfig={"InvocationsTimeoutInSeconds": timeout_s, "InvocationsMaxRetries": 1},
    )
    assert reason in job.failed()


@pytest.mark.parametrize("split", ["Line", "None"])
def test_a_record_over_the_payload_limit_fails(probe: Probe, split: str) -> None:
    job = Job(probe, {"a.csv": b"7" * (2 * 1024 * 1024)}).start(split=split, MaxPayloadInMB=1)
    assert "larger than MaxPayloadInMB" in job.failed()


def test_no_objects_fail_the_job(probe: Probe) -> None:
    assert "No S3 objects found" in Job(probe, {}).start().failed()


def test_a_container_that_does_not_come_up_fails_the_job(probe: Probe) -> None:
    reason = Job(probe, {"a.csv": b"1\n"}).start(environment={"EXIT_CODE": "7"}).failed()
    assert "does not serve" in reason
    assert "exit code 7" in reason


def test_the_container_knows_the_job_s_settings(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"1\n"}).start(
        "application/x-variables",
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=2,
        MaxConcurrentTransforms=3,
        Environment={"MODE": "batch"},
    )
    variables = json.loads(job.completed()["a.csv.out"])
    assert variables["SAGEMAKER_BATCH"] == "true"
    assert variables["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert variables["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "2"
    assert variables["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "3"
    assert variables["MODE"] == "batch"


def test_a_stopped_job_ends_and_writes_nothing(probe: Probe) -> None:
    job = Job(probe, {"a.csv": b"30"}).start("application/x-pause")

    def printed() -> list[Any]:
        try:
            found: list[Any] = probe.logs.filter_log_events(
                logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=job.name
            )["events"]
        except ClientError:  # the first job of the server makes the group when it prints
            return []
        return found

    eventually(printed)
    probe.sagemaker.stop_transform_job(TransformJobName=job.name)
    eventually(lambda: job.described()["TransformJobStatus"] == "Stopped")
    assert job.outputs() == {}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"split": "RecordIO"}, "RecordIO"),
        ({"compression": "Bzip2"}, "Bzip2"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "100"),
    ],
)
def test_what_is_not_served_is_refused_when_the_job_is_created(
    probe: Probe, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        Job(probe, {}).start(**more)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_columns_are_filtered_and_joined_row_by_row(probe: Probe) -> None:
    body = b"".join(b"id-%d,%d,%d\n" % (number, number, number * 2) for number in range(30_000))
    job = Job(probe, {"a.csv": body}).start(
        MaxPayloadInMB=1,
        MaxConcurrentTransforms=4,
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )
    wanted = b"".join(b"id-%d,%d\n" % (number, number * 2) for number in range(30_000))
    assert job.completed() == {"a.csv.out": wanted}
    assert job.described()["DataProcessing"]["JoinSource"] == "Input"


def test_json_lines_are_joined_under_a_name(probe: Probe) -> None:
    job = Job(probe, {"a.jsonl": b'{"id": 1, "x": [1, 2]}\n{"id": 2, "x": [3, 4]}'}).start(
        "application/jsonlines", DataProcessing={"InputFilter": "$.x", "JoinSource": "Input"}
    )
    lines = [json.loads(line) for line in job.completed()["a.jsonl.out"].splitlines()]
    assert lines == [
        {"id": 1, "x": [1, 2], "SageMakerOutput": [1, 2]},
        {"id": 2, "x": [3, 4], "SageMakerOutput": [3, 4]},
    ]


def test_a_record_that_the_filter_does_not_fit_fails_its_object(probe: Probe) -> None:
    job = Job(probe, {"bad.jsonl": b'{"y": 1}\n', "good.jsonl": b'{"x": 1}\n'}).start(
        "application/jsonlines", DataProcessing={"InputFilter": "$.x"}
    )
    assert 'bad.jsonl: the filter $.x selects nothing of the record {"y": 1}' in job.failed()
    assert job.outputs() == {"good.jsonl.out": b"1\n"}


def test_a_wrong_filter_is_refused_at_once(probe: Probe) -> None:
    with pytest.raises(ClientError, match="InputFilter '\\$\\[' is not a valid JSONPath"):
        Job(probe, {}).start(DataProcessing={"InputFilter": "$["})
