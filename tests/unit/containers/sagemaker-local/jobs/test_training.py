import dataclasses
import gzip
import io
import json
import re
import tarfile

import pytest

from sagemaker_local import expansion
from sagemaker_local.errors import ValidationException
from sagemaker_local.executors.choice import choose_executor

PROGRAM = (
    "#!/usr/bin/env python\nimport json, os, pathlib, signal, sys, time\nbase = pathlib.Path('/opt/ml')\n"
)


def image(make_image, text, name="trainer"):
    return make_image(name, {"train": PROGRAM + text})


def channel(name, uri, **more):
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
        "ContentType": "text/csv",
        **more,
    }


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}


async def test_a_model_is_trained_from_its_channels_and_uploaded(jobs, make_image):
    uri = image(
        make_image,
        """
config = {path.name: json.loads(path.read_text()) for path in (base / "input/config").iterdir()}
(base / "model" / "config.json").write_text(json.dumps(config))
(base / "model" / "data").write_text((base / "input/data/train/a.csv").read_text())
(base / "output/data/notes.txt").write_text(os.environ["SM_CHANNEL_TRAIN"] + os.environ["SM_HP_MAX_DEPTH"])
print("loss=0.5;"); print("loss=0.25;")
""",
    )
    jobs.put("train/a.csv", b"1,2\n")
    await jobs.train(
        "t1",
        uri,
        InputDataConfig=[channel("train", "s3://bucket/train/")],
        HyperParameters={"max-depth": "3"},
        AlgorithmSpecification={
            "TrainingImage": uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
        },
        Tags=[{"Key": "team", "Value": "a"}],
    )
    document = await jobs.ended("training_job", "t1")

    assert document["TrainingJobStatus"] == "Completed", document
    steps = [step["Status"] for step in document["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(step["StartTime"] <= step["EndTime"] for step in document["SecondaryStatusTransitions"])
    assert document["CreationTime"] <= document["TrainingStartTime"] <= document["TrainingEndTime"]
    assert document["FinalMetricDataList"][0]["Value"] == 0.25
    took_s = max(1, round(document["TrainingEndTime"] - document["TrainingStartTime"]))
    assert document["BillableTimeInSeconds"] == document["TrainingTimeInSeconds"] == took_s
    assert document["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/models/t1/output/model.tar.gz"
    model = members(jobs.read("models/t1/output/model.tar.gz"))
    assert model["data"] == b"1,2\n"
    config = json.loads(model["config.json"])
    assert config["hyperparameters.json"] == {"max-depth": "3"}
    assert config["inputdataconfig.json"]["train"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
        "ContentType": "text/csv",
    }
    assert config["resourceconfig.json"]["hosts"] == ["algo-1"]
    notes = members(jobs.read("models/t1/output/output.tar.gz"))["notes.txt"]
    assert notes == b"/opt/ml/input/data/train3"
    assert jobs.lines("training_job", "t1") == ["loss=0.5;", "loss=0.25;"]
    assert jobs.store.tags(document["TrainingJobArn"]) == {"team": "a"}
    assert not (jobs.settings.data_dir / "jobs" / "training_job" / "t1").exists()


async def test_the_same_model_gives_the_same_artefact(jobs, make_image):
    uri = image(make_image, "(base / 'model/b').write_text('b'); (base / 'model/a').write_text(' ' * 1000)")
    for name in ("first", "second"):
        await jobs.train(name, uri)
        await jobs.ended("training_job", name)
    assert jobs.read("models/first/output/model.tar.gz") == jobs.read("models/second/output/model.tar.gz")


async def test_uncompressed_output_and_gzipped_input(jobs, make_image):
    uri = image(make_image, "(base / 'model/m').write_text((base / 'input/data/train/a.csv').read_text())")
    jobs.put("train/a.csv.gz", gzip.compress(b"1,2\n"))
    await jobs.train(
        "plain",
        uri,
        InputDataConfig=[channel("train", "s3://bucket/train", CompressionType="Gzip")],
        OutputDataConfig={"S3OutputPath": "s3://bucket/models/", "CompressionType": "NONE"},
    )
    document = await jobs.ended("training_job", "plain")
    assert document["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/models/plain/output/model/"
    assert jobs.read("models/plain/output/model/m") == b"1,2\n"


async def test_gzipped_input_that_grows_without_end_fails_the_job_and_not_the_disk(
    jobs, make_image, monkeypatch
):
    monkeypatch.setattr(expansion, "ALLOWED_BYTES", 1_000_000)
    uri = image(make_image, "sys.exit(4)")
    for part in ("a", "b"):  # either is small enough, both are not
        jobs.put(f"train/{part}.csv.gz", gzip.compress(bytes(600_000)))
    await jobs.train(
        "bomb", uri, InputDataConfig=[channel("train", "s3://bucket/train", CompressionType="Gzip")]
    )
    document = await jobs.ended("training_job", "bomb")
    assert document["TrainingJobStatus"] == "Failed"
    reason = document["FailureReason"]
    assert reason.startswith(
        "ClientError: Data download failed:s3://bucket/train/b.csv.gz cannot be decompressed"
    )
    assert "more than 200 times" in reason


@pytest.mark.parametrize(
    "packed", [b"a,b", gzip.compress(b"1,2" * 1000, mtime=0)[:-20], gzip.compress(b"", mtime=0)[:8]]
)
async def test_input_that_is_no_gzip_says_so(jobs, make_image, packed):
    jobs.put("train/a.csv.gz", packed)
    uri = image(make_image, "sys.exit(4)")
    await jobs.train(
        "plain", uri, InputDataConfig=[channel("train", "s3://bucket/train", CompressionType="Gzip")]
    )
    document = await jobs.ended("training_job", "plain")
    assert "s3://bucket/train/a.csv.gz is not gzip-compressed" in document["FailureReason"]


async def test_a_failure_is_told_in_the_programs_own_words(jobs, make_image):
    uri = image(make_image, "(base / 'output/failure').write_text('the data is empty'); sys.exit(4)")
    await jobs.train("t1", uri)
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == document["SecondaryStatus"] == "Failed"
    assert document["FailureReason"] == "AlgorithmError: the data is empty, exit code: 4"
    assert jobs.keys("models/") == []


async def test_without_its_own_words_the_last_lines_tell_and_the_exit_code_is_never_cut(jobs, make_image):
    uri = image(make_image, "print('x' * 3000)\nraise RuntimeError('no convergence')")
    await jobs.train("t1", uri)
    reason = (await jobs.ended("training_job", "t1"))["FailureReason"]
    assert reason.endswith("RuntimeError: no convergence, exit code: 1")
    assert len(reason) == 1024


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://bucket/nothing/", 'No S3 objects found under S3 URL "s3://bucket/nothing/"'),
        ("s3://no-such-bucket/x", 'permissions on bucket "no-such-bucket"'),
    ],
)
async def test_missing_data_fails_the_job_as_on_aws(jobs, make_image, uri, reason):
    await jobs.train("t1", image(make_image, ""), InputDataConfig=[channel("train", uri)])
    document = await jobs.ended("training_job", "t1")
    assert document["FailureReason"].startswith("ClientError: Data download failed:")
    assert reason in document["FailureReason"]


async def test_an_unknown_image_names_those_that_there_are(jobs, make_image):
    image(make_image, "", name="digits")
    await jobs.train("t1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/digit:1")
    reason = (await jobs.ended("training_job", "t1"))["FailureReason"]
    assert reason.startswith("ClientError: Cannot pull algorithm container")
    assert "There are: digits" in reason


async def test_a_missing_output_bucket_fails_the_job(jobs, make_image):
    await jobs.train("t1", image(make_image, ""), OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/x"})
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == "Failed"
    assert "NoSuchBucket" in document["FailureReason"]


async def test_a_stopped_job_saves_its_model_after_sigterm(jobs, make_image):
    uri = image(
        make_image,
        """
def leave(*_):
    (base / "model/partial").write_text("yes")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready")
while True: time.sleep(1)
""",
    )
    await jobs.train("t1", uri)
    await jobs.printed("training_job", "t1", "ready")
    await jobs.call("StopTrainingJob", TrainingJobName="t1")
    assert jobs.document("training_job", "t1")["TrainingJobStatus"] == "Stopping"
    await jobs.call("StopTrainingJob", TrainingJobName="t1")
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == document["SecondaryStatus"] == "Stopped"
    assert members(jobs.read("models/t1/output/model.tar.gz"))["partial"] == b"yes"


async def test_a_job_past_its_time_is_stopped_and_says_so(jobs, make_image):
    uri = image(make_image, "time.sleep(600)")
    await jobs.train("t1", uri, StoppingCondition={"MaxRuntimeInSeconds": 1})
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == "Stopped"
    assert document["SecondaryStatus"] == "MaxRuntimeExceeded"


async def test_checkpoints_come_from_s3_and_go_back(jobs, make_image):
    uri = image(
        make_image,
        "(base / 'checkpoints/step').write_text(str(int((base / 'checkpoints/step').read_text()) + 1))",
    )
    jobs.put("checkpoints/step", b"7")
    await jobs.train("t1", uri, CheckpointConfig={"S3Uri": "s3://bucket/checkpoints/"})
    assert (await jobs.ended("training_job", "t1"))["TrainingJobStatus"] == "Completed"
    assert jobs.read("checkpoints/step") == b"8"


async def test_checkpoints_of_a_failed_job_are_kept_for_the_next(jobs, make_image):
    uri = image(make_image, "(base / 'checkpoints/step').write_text('3'); sys.exit(1)")
    await jobs.train("t1", uri, CheckpointConfig={"S3Uri": "s3://bucket/checkpoints/"})
    assert (await jobs.ended("training_job", "t1"))["TrainingJobStatus"] == "Failed"
    assert jobs.read("checkpoints/step") == b"3"


async def test_a_defect_of_the_server_is_tried_again(jobs, make_image, monkeypatch):
    start, broken = jobs.executor.start, [OSError("no more processes")]

    async def sometimes(program, log):
        if broken:
            raise broken.pop()
        return await start(program, log)

    monkeypatch.setattr(jobs.executor, "start", sometimes)
    await jobs.train("t1", image(make_image, ""), RetryStrategy={"MaximumRetryAttempts": 1})
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == "Completed", document
    assert "Restarting" in [step["Status"] for step in document["SecondaryStatusTransitions"]]


async def test_what_the_debugger_writes_goes_where_its_configuration_says(jobs, make_image):
    uri = image(
        make_image,
        """
config = json.loads((base / "input/config/debughookconfig.json").read_text())
(pathlib.Path(config["LocalPath"]) / "step-1").write_text("tensor")
(base / "output/tensorboard/events").write_text("event")
""",
    )
    await jobs.train(
        "t1",
        uri,
        DebugHookConfig={"S3OutputPath": "s3://bucket/debug", "LocalPath": "/opt/ml/output/mine"},
        TensorBoardOutputConfig={"S3OutputPath": "s3://bucket/board"},
        ProfilerConfig={"S3OutputPath": "s3://bucket/profile", "DisableProfiler": False},
    )
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == "Completed", jobs.lines("training_job", "t1")
    assert document["ProfilingStatus"] == "Enabled"
    assert jobs.read("debug/step-1") == b"tensor"
    assert jobs.read("board/events") == b"event"


async def test_fast_file_where_nothing_can_be_mounted_is_a_copy(jobs, make_image, monkeypatch):
    settings = dataclasses.replace(jobs.settings, executor="base-directory")
    monkeypatch.setattr(jobs.engine, "executor", choose_executor(settings))
    text = """
place = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "input/data/train/a")
print(place.read_text(), place.stat().st_nlink, pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "a").read_text())
place.write_text("changed")
"""
    jobs.put("train/a", b"text")
    fast = channel("train", "s3://bucket/train/", InputMode="FastFile")
    await jobs.train("t1", image(make_image, text), InputDataConfig=[fast])
    document = await jobs.ended("training_job", "t1")
    assert document["TrainingJobStatus"] == "Completed", document
    assert jobs.lines("training_job", "t1") == ["text 1 text"]
    assert jobs.read("train/a") == b"text"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/data"}}, "checkpoints in /data"),
        (
            {"DebugHookConfig": {"S3OutputPath": "s3://bucket/d", "LocalPath": "/opt/ml/../x"}},
            "DebugHookConfig's files in /opt/ml/../x",
        ),
        ({"ProfilerRuleConfigurations": [{}]}, "ProfilerRuleConfigurations of a training job"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "Pipe"}},
            "TrainingInputMode Pipe",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "Exactly one of TrainingImage"),
        ({"InputDataConfig": [channel("a", "s3://b/c"), channel("a", "s3://b/d")]}, "must be unique"),
        ({"InputDataConfig": [channel("a", "s3://b/c", InputMode="Pipe")]}, "InputMode Pipe (channel 'a')"),
    ],
)
async def test_what_cannot_be_done_is_refused_at_once(jobs, change, text):
    with pytest.raises(ValidationException, match=re.escape(text)):
        await jobs.train("t1", "image", **change)
    assert jobs.store.list("training_job") == []
