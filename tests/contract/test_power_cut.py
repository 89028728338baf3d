"""kill -9 at random moments under load: what was answered is there, and whole, and nothing else is left.

`POWER_CUTS` sets how many kills (default 12), `POWER_CUT_SEED` repeats a run.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.contract.conftest import ROOT, SOURCE, LocalServer
from tests.contract.power_cut import (
    BUCKET,
    ENDED,
    ENDPOINT,
    LIVE,
    Ledger,
    Load,
    intact,
    orphan_blobs,
    prepare,
    processes_of,
)
from tests.contract.serving_probe import artefact

ROUNDS = int(os.environ.get("POWER_CUTS", "12"))
SEED = int(os.environ.get("POWER_CUT_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
DEADLINE_S = 600.0


def eventually(what: str, holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while left := holds():
        assert time.monotonic() < deadline, f"{what}: still {left!r} after {DEADLINE_S} s"
        time.sleep(0.1)


def kill_while_starting(server: LocalServer, after_s: float) -> None:
    with server.log.open("ab") as log:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        process = subprocess.Popen(
            server._command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    time.sleep(after_s)
    process.kill()
    process.wait()


def check_objects(server: LocalServer, ledger: Ledger) -> None:
    s3 = server.client("s3")
    for key, possible in ledger.objects.items():
        try:
            found = hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            found = None
        assert found in possible, f"{key} is neither what was answered nor what was under way"
        ledger.objects[key] = {found}


def check_jobs(server: LocalServer, ledger: Ledger) -> None:
    sagemaker = server.client("sagemaker")
    for name in ledger.jobs[-40:]:
        described = sagemaker.describe_training_job(TrainingJobName=name)
        status, secondary = described["TrainingJobStatus"], described["SecondaryStatus"]
        assert status in LIVE + ENDED, (name, status)
        steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
        assert steps[-1] == secondary
        assert steps[0] == "Starting", steps
        assert ("TrainingEndTime" in described) == (status in ENDED), described
        if status == "Failed":
            assert described["FailureReason"]
        if status == "Completed":
            uri = described["ModelArtifacts"]["S3ModelArtifacts"]
            server.client("s3").head_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))


def check_logs(server: LocalServer, messages: list[str]) -> None:
    if messages:
        paginator = server.client("logs").get_paginator("filter_log_events")
        since_ms = int(messages[0].split("-")[0]) // 1_000_000 - 1000
        pages = paginator.paginate(logGroupName="power", logStreamNames=["cuts"], startTime=since_ms)
        found = {event["message"] for page in pages for event in page["events"]}
        assert not set(messages) - found, "log events that were answered are gone"


def check_rest(server: LocalServer, ledger: Ledger) -> None:
    check_logs(server, ledger.messages[-1000:])
    sagemaker = server.client("sagemaker")
    for arn, values in list(ledger.groups.items())[-25:]:
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"][0]["Value"] in values.split()
    alarms = server.client("cloudwatch").describe_alarms(AlarmNames=list(ledger.alarms) or ["none"])[
        "MetricAlarms"
    ]
    thresholds = {alarm["AlarmName"]: alarm["Threshold"] for alarm in alarms}
    for name, possible in ledger.alarms.items():
        if len(possible) == 1 or name in thresholds:
            assert thresholds[name] in possible
            ledger.alarms[name] = {thresholds[name]}
    endpoint = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    assert endpoint["EndpointStatus"] in ("InService", "Updating", "SystemUpdating", "RollingBack"), endpoint


def test_kills_at_random_moments(start_server: Callable[..., LocalServer]) -> None:
    dice, ledger = random.Random(SEED), Ledger()
    print(f"POWER_CUT_SEED={SEED}")  # shown when the test fails
    images: Path = ROOT / "tests" / "contract" / "images"
    server = start_server("--jobs", "2", "--stop-grace-s", "2", containers=images)
    prepare(server, artefact("v1"))
    for number in itertools.count():
        if number >= ROUNDS and ledger.jobs and ledger.answers > ROUNDS * 5:
            break
        # A slow machine answers less in the same time: it is killed more often.
        assert number < ROUNDS * 10, "so few answers show nothing"
        load = Load(server, ledger, dice)
        time.sleep(dice.choice([0.05, 0.3, 1.0, 2.0]) * dice.random() + 0.02)
        url = server.url
        server.kill()
        load.join()
        eventually("programs outlive their server", functools.partial(processes_of, url))
        if dice.random() < 0.3:
            kill_while_starting(server, dice.random() * 1.5)
        unfinished = set((server.data / "s3" / "tmp").iterdir())
        server.start()
        assert not ledger.refused, (number, ledger.refused)
        # Jobs that go on write others.
        assert not unfinished & set((server.data / "s3" / "tmp").iterdir())
        check_objects(server, ledger)
        check_jobs(server, ledger)
        check_rest(server, ledger)

    # And then, left alone, everything comes to its end.
    check_logs(server, ledger.messages)
    sagemaker = server.client("sagemaker")
    eventually(
        "jobs live for ever",
        lambda: sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"],
    )
    eventually(
        "jobs stop for ever",
        lambda: sagemaker.list_training_jobs(StatusEquals="Stopping")["TrainingJobSummaries"],
    )
    eventually(
        "the endpoint",
        lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] != "InService",
    )
    runtime = server.client("sagemaker-runtime")
    assert runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=b"1")["Body"].read() == b"1"
    names = {each["TrainingJobName"] for page in sagemaker.get_paginator("list_training_jobs").paginate()
             for each in page["TrainingJobSummaries"]}  # fmt: skip
    assert set(ledger.jobs) <= names
    eventually("blobs that nothing names", lambda: orphan_blobs(server.data))
    eventually("scratch of jobs", lambda: [path.name for path in (server.data / "jobs").glob("*/*")])
    url = server.url
    server.stop()
    eventually("programs outlive their server", lambda: processes_of(url))
    assert set(intact(server.data).values()) == {"ok"}
    counts = f"{len(ledger.jobs)} jobs, {len(ledger.messages)} log events"
    print(f"{number} kills, {ledger.answers} answers, {counts}")
