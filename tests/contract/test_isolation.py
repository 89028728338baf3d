"""What a program in a sandbox can get hold of: nothing of the store, of other jobs, or of the server."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import LocalServer, named_below

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DOCKERFILE = (
    "FROM python:3.11-slim\nCOPY src/ /opt/program/\nENV PATH=/opt/program:$PATH\nWORKDIR /opt/program\n"
)
SERVER_SECRET = f"secret-of-the-server-{uuid.uuid4().hex}"
SPY = r'''#!/usr/bin/env python
"""Tries to get at what is not its own, and reports."""

import ctypes, json, os, pathlib, socket, sys, time, urllib.request

base = pathlib.Path("/opt/ml")
settings = json.loads((base / "input/config/hyperparameters.json").read_text())
data, server, needle = settings["data"], int(settings["server"]), settings["other"][::-1].encode()
(base / "model").mkdir(exist_ok=True)
(base / "mine.txt").write_text(settings["mine"])
if "wait_s" in settings:
    time.sleep(float(settings["wait_s"]))
    sys.exit(0)
if "steal" in settings:
    links = {"output/failure": "credentials", "model": ".", "checkpoints": "s3", "output/data": "."}
    for name, target in links.items():
        path = base / name
        if path.is_dir():
            os.rename(path, base / ("was-" + name.replace("/", "-")))
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(os.path.join(data, target))
    time.sleep(2.5)  # checkpoints are looked at meanwhile
    sys.exit(int(settings["steal"]))
found = {}


def attempt(name, action):
    try:
        found[name] = repr(action())
    except BaseException as error:
        found[name] = f"refused: {error!r}"


def search(*roots):
    """Every file below that holds the other job's secret or the server's."""
    hits = []
    for root in roots:
        for folder, folders, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue
                try:
                    with open(path, "rb") as file:
                        if needle in file.read(1_000_000):
                            hits.append(path)
                except OSError:
                    pass
    return hits


def processes():
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    return {pid: open(f"/proc/{pid}/cmdline", "rb").read().decode() for pid in pids}


def environments():
    texts = []
    for pid in os.listdir("/proc"):
        try:
            texts.append(open(f"/proc/{pid}/environ", "rb").read().decode())
        except OSError:
            pass
    return texts


def ptrace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"


def read_memory(pid):
    with open(f"/proc/{pid}/mem", "rb") as memory:
        return memory.read(1)


def unix_sockets():
    reached = []
    for line in open("/proc/net/unix").read().splitlines()[1:]:
        path = line.split()[7:8]
        if not path:
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_UNIX, kind) as each:
                try:
                    each.connect(path[0].replace("@", "\0", 1) if path[0].startswith("@") else path[0])
                    reached.append(path[0])
                except OSError:
                    pass
    return reached


attempt("data", lambda: os.listdir(data))
attempt("store", lambda: open(f"{data}/sagemaker.sqlite", "rb").read(16))
attempt("objects", lambda: os.listdir(f"{data}/s3"))
attempt("key", lambda: open(f"{data}/credentials").read())
attempt("write", lambda: open(f"{data}/s3/written-by-a-job", "w").write("x"))
attempt("write beside", lambda: open(f"{data}/../written-by-a-job", "w").write("x"))
attempt("write system", lambda: open("/etc/written-by-a-job", "w").write("x"))
attempt("write program", lambda: open("/opt/program/train", "a").write("x"))
attempt("environ", lambda: open(f"/proc/{server}/environ").read())
attempt("memory", lambda: read_memory(server))
attempt("root", lambda: os.listdir(f"/proc/{server}/root{data}"))
attempt("signal", lambda: os.kill(server, 0))
attempt("ptrace", lambda: ptrace(server))
attempt("processes", processes)
attempt("environments", environments)
attempt("search", lambda: search(data, "/opt", "/tmp", "/var/tmp", "/run", "/dev/shm", os.path.dirname(data)))
attempt("sockets", unix_sockets)
attempt("mount", lambda: ctypes.CDLL(None, use_errno=True).mount(b"none", b"/mnt", b"tmpfs", 0, None))
attempt("capabilities", lambda: [line for line in open("/proc/self/status") if line.startswith("CapEff")])
health = os.environ["AWS_ENDPOINT_URL"] + "/_local/health"
attempt("network", lambda: urllib.request.urlopen(health, timeout=10).status)
(base / "model" / "report.json").write_text(json.dumps(found))
'''


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image whose program spies."""
    folder = tmp_path_factory.mktemp("isolation-containers")
    source = folder / "spy" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text(DOCKERFILE)
    (source / "train").write_text(SPY)
    (source / "train").chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=["bubblewrap", "unshare"])
def sandboxed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, containers: Path
) -> Iterator[LocalServer]:
    """A server for each kind of sandbox, with a key file and a secret in its environment."""
    data = tmp_path_factory.mktemp(f"isolation-{request.param}") / "data"
    server = LocalServer(data, containers, "--executor", request.param, "--jobs", "4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_SERVER", SERVER_SECRET)
        try:
            server.start()
        except BaseException:
            if "is not available" in server.log.read_text():
                pytest.skip(server.log.read_text().splitlines()[-1])
            raise
    (data / "credentials").write_text(SERVER_SECRET)
    server.client("s3").create_bucket(Bucket="isolation")
    yield server
    server.stop()


def start(server: LocalServer, mine: str, other: str, **more: Any) -> str:
    name = f"spy-{uuid.uuid4().hex[:12]}"
    isolated, checkpoint = more.pop("isolated", False), more.pop("checkpoint", None)
    settings = {"CheckpointConfig": {"S3Uri": checkpoint}} if checkpoint else {}
    server.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": f"{REGISTRY}/spy:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["train"],
        },
        HyperParameters={
            "data": str(server.data),
            "server": str(server.pid),
            "mine": mine,
            "other": other[::-1],
            **more,
        },
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": "s3://isolation/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        EnableNetworkIsolation=isolated,
        **settings,
    )
    return name


@pytest.mark.parametrize("code", ["0", "1"])
def test_links_left_behind_lead_nowhere(sandboxed: LocalServer, code: str) -> None:
    s3, sagemaker = sandboxed.client("s3"), sandboxed.client("sagemaker")
    name = start(sandboxed, mine="a", other="b", steal=code, checkpoint=f"s3://isolation/stolen-{code}")
    deadline = time.monotonic() + 180
    while (described := sagemaker.describe_training_job(TrainingJobName=name))[
        "TrainingJobStatus"
    ] == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert described["TrainingJobStatus"] == "Failed"
    assert SERVER_SECRET not in json.dumps(described, default=str)
    if code == "0":
        assert "a link stands in its place" in described["FailureReason"]
    for each in s3.list_objects_v2(Bucket="isolation").get("Contents", []):
        if name in each["Key"] or "stolen" in each["Key"]:
            raise AssertionError(f"{each['Key']} was uploaded from outside the job")


def report(server: LocalServer, name: str) -> dict[str, str]:
    waiter = server.client("sagemaker").get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 200})
    body = (
        server.client("s3")
        .get_object(Bucket="isolation", Key=f"models/{name}/output/model.tar.gz")["Body"]
        .read()
    )
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        member = tar.extractfile("report.json")
        assert member is not None
        found: dict[str, str] = json.load(member)
    return found


def hidden(answer: str) -> bool:
    return answer.startswith("refused") or answer == "[]"


@pytest.fixture(scope="module")
def spied(sandboxed: LocalServer) -> tuple[LocalServer, dict[str, str], str]:
    """The report of a program that ran beside another job with a secret of its own."""
    secret = f"secret-of-the-other-{uuid.uuid4().hex}"
    victim = start(sandboxed, mine=secret, other="nothing", wait_s="290")
    marks: Callable[[], list[Path]] = lambda: named_below(sandboxed.data / "jobs", "mine.txt")  # noqa: E731
    deadline = time.monotonic() + 120
    while not marks():
        assert time.monotonic() < deadline, "the other job never started"
        time.sleep(0.1)
    found = report(sandboxed, start(sandboxed, mine="own", other=secret))
    assert marks(), "the other job must still be there, or the search shows nothing"
    sagemaker = sandboxed.client("sagemaker")
    sagemaker.stop_training_job(TrainingJobName=victim)
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=victim, WaiterConfig={"Delay": 1, "MaxAttempts": 200})
    return sandboxed, found, secret


@pytest.mark.parametrize(
    "what", ["data", "store", "objects", "key", "environ", "memory", "root", "signal", "ptrace"]
)
def test_out_of_reach(spied: tuple[LocalServer, dict[str, str], str], what: str) -> None:
    assert hidden(spied[1][what]), spied[1][what]


@pytest.mark.parametrize("what", ["write system", "mount"])
def test_nothing_of_the_system_is_changed(spied: tuple[LocalServer, dict[str, str], str], what: str) -> None:
    assert spied[1][what].startswith("refused") or spied[1][what] == "-1"
    assert not Path("/etc/written-by-a-job").exists()


def test_what_it_writes_is_gone_with_it(spied: tuple[LocalServer, dict[str, str], str]) -> None:
    server = spied[0]
    assert not named_below(server.data.parent, "written-by-a-job")
    image = Path(str(server.data)).parents[1].glob("*/spy/src/train")
    assert all(path.read_text() == SPY for path in image)


def test_no_secret_is_anywhere(spied: tuple[LocalServer, dict[str, str], str]) -> None:
    _, found, secret = spied
    text = json.dumps(found)
    assert SERVER_SECRET not in text
    assert secret not in text
    assert found["search"] == "[]"


def test_other_processes_are_not_seen(spied: tuple[LocalServer, dict[str, str], str]) -> None:
    processes = spied[1]["processes"]
    assert "sagemaker_local --port" not in processes.replace("\\x00", " ")
    assert "pytest" not in processes
    assert processes.count("train") >= 1


def test_it_may_do_nothing_that_root_may(spied: tuple[LocalServer, dict[str, str], str]) -> None:
    assert "0000000000000000" in spied[1]["capabilities"], spied[1]["capabilities"]


def test_it_reaches_the_server_and_only_then(spied: tuple[LocalServer, dict[str, str], str]) -> None:
    server, found, _ = spied
    assert found["network"] == "200"
    isolated = report(server, start(server, mine="a", other="b", isolated=True))
    assert isolated["network"].startswith("refused")
    assert hidden(isolated["sockets"]), isolated["sockets"]
