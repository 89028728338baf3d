"""How data comes to jobs and goes from them: FastFile, manifests, shards, continuous upload, isolation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.training_probe import (
    BUCKET,
    ask_sandboxes,
    channel,
    training,
    unique,
    until,
)

__all__ = ["training"]

OF_THE_SANDBOX = (
    "test_fast_file_shows_objects_that_nobody_can_change",
    "test_an_isolated_job_has_no_network",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What a sandbox must do by itself is asked of both."""
    ask_sandboxes(metafunc, OF_THE_SANDBOX)


LISTING = """
    root = base / "input/data/train"
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    say(files={str(path.relative_to(root)): path.read_text() for path in files})
"""


def test_fast_file_shows_objects_that_nobody_can_change(training):
    prefix = unique("fast")
    for name in ("a.csv", "deep/b.csv"):
        training.put(f"{prefix}/{name}", name.encode())
    script = """
        target = base / "input/data/train/a.csv"
        refused = {}
        for what, attempt in {
            "write": lambda: target.write_text("changed"),
            "append": lambda: target.open("a"),
            "chmod": lambda: target.chmod(0o777),
            "remove": lambda: target.unlink(),
            "add": lambda: (target.parent / "new").write_text("x"),
            "truncate": lambda: os.truncate(target, 0),
        }.items():
            try:
                attempt()
            except OSError as error:
                refused[what] = error.strerror
        say(refused=refused, links=target.stat().st_nlink)
    """
    name = training.train(
        script,
        LISTING,
        InputDataConfig=[channel("train", f"s3://{BUCKET}/{prefix}/", InputMode="FastFile")],
    )
    assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)
    told = training.told(name)["algo-1"]
    assert set(told["refused"]) == {"write", "append", "chmod", "remove", "add", "truncate"}
    assert set(told["refused"].values()) == {"Read-only file system"}
    assert told["links"] == 2, "the program reads the object store's own bytes"
    assert told["files"] == {"a.csv": "a.csv", "deep/b.csv": "deep/b.csv"}
    assert training.get(f"{prefix}/a.csv") == b"a.csv"


def test_fast_file_of_a_running_job_outlives_its_object(training):
    prefix = unique("fast")
    training.put(f"{prefix}/a", b"first")
    script = """
        say(ready=True)
        started = time.time()
        while time.time() < started + 2:
            time.sleep(0.05)
            if (base / "input/data/train/a").read_text() != "first":
                sys.exit("it changed")
    """
    name = training.train(
        script,
        InputDataConfig=[channel("train", f"s3://{BUCKET}/{prefix}", InputMode="FastFile")],
    )
    until(lambda: training.told(name))
    training.put(f"{prefix}/a", b"later")
    training.s3.delete_object(Bucket=BUCKET, Key=f"{prefix}/a")
    assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)


def test_a_manifest_and_shards_share_objects_out(training):
    prefix = unique("shards")
    for number in range(5):
        training.put(f"{prefix}/{number}", str(number).encode())
    manifest = [{"prefix": f"s3://{BUCKET}/{prefix}/"}, *map(str, range(5))]
    training.put(f"{prefix}.manifest", json.dumps(manifest).encode())
    name = training.train(
        LISTING,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5},
        InputDataConfig=[
            channel(
                "train",
                f"s3://{BUCKET}/{prefix}.manifest",
                source={"S3DataType": "ManifestFile", "S3DataDistributionType": "ShardedByS3Key"},
                ShuffleConfig={"Seed": 7},
            )
        ],
    )
    assert training.ended(name)["TrainingJobStatus"] == "Completed", training.said(name)
    shares = [set(told["files"]) for told in training.told(name).values()]
    assert sorted(map(len, shares)) == [2, 3]
    assert set.union(*shares) == {"0", "1", "2", "3", "4"}


def test_processing_shards_and_uploads_while_it_runs(training):
    prefix = unique("processing")
    for number in range(4):
        training.put(f"{prefix}/in/{number}", b"x")
    script = """
        inputs = sorted(os.listdir(base / "processing/input"))
        host = json.loads((base / "config/resourceconfig.json").read_text())["current_host"]
        save(f"processing/output/{host}", ",".join(inputs))
        say(done=True)
        signal.pause()
    """
    name = training.process(
        script,
        count=2,
        ProcessingInputs=[
            {
                "InputName": "in",
                "S3Input": {
                    "S3Uri": f"s3://{BUCKET}/{prefix}/in/",
                    "LocalPath": "/opt/ml/processing/input",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "ShardedByS3Key",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/{prefix}/out",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "Continuous",
                    },
                }
            ]
        },
    )
    until(lambda: len(training.keys(f"{prefix}/out/")) == 2)
    assert training.keys(f"{prefix}/out/") == [f"{prefix}/out/algo-1", f"{prefix}/out/algo-2"]
    assert training.get(f"{prefix}/out/algo-1") == b"0,2"
    assert training.get(f"{prefix}/out/algo-2") == b"1,3"
    training.sagemaker.stop_processing_job(ProcessingJobName=name)
    assert training.processed(name)["ProcessingJobStatus"] == "Stopped"


def test_an_isolated_job_has_no_network(training):
    script = """
        import urllib.parse
        endpoint = urllib.parse.urlparse(os.environ['AWS_ENDPOINT_URL'])
        try:
            socket.create_connection((endpoint.hostname, endpoint.port), 5)
        except OSError as error:
            say(refused=error.strerror)
        listener = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(listener.getsockname(), 5)
        say(itself=True, interfaces=sorted(name for _, name in socket.if_nameindex()))
    """
    isolated = training.train(script, EnableNetworkIsolation=True)
    open_ = training.train(script)
    assert training.ended(isolated)["TrainingJobStatus"] == "Completed", training.said(isolated)
    told = training.told(isolated)["algo-1"]
    assert told == {"refused": "Connection refused", "itself": True, "interfaces": ["lo"]}
    assert training.ended(open_)["TrainingJobStatus"] == "Completed"
    assert "refused" not in training.told(open_)["algo-1"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"InputMode": "Pipe"}, "InputMode Pipe"),
        ({"source": {"S3DataType": "AugmentedManifestFile"}}, "AugmentedManifestFile"),
        ({"RecordWrapperType": "RecordIO"}, "RecordIO"),
        ({"InputMode": "FastFile", "CompressionType": "Gzip"}, "not supported in FastFile mode"),
        ({"source": {"InstanceGroupNames": ["gone"]}}, "instance groups that ResourceConfig does not have"),
    ],
)
def test_what_inputs_cannot_be_is_refused_by_name(training, change: dict[str, Any], text: str):
    with pytest.raises(ClientError, match=text) as caught:
        training.train("pass", InputDataConfig=[channel("train", f"s3://{BUCKET}/x", **change)])
    assert caught.value.response["Error"]["Code"] == "ValidationException"
