"""Programs get what their instance type has and no more, by whatever this machine can enforce it with."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Executor, Limits, Program
from sagemaker_local.executors.cgroups import Cgroups
from sagemaker_local.executors.confinement import Confinement
from sagemaker_local.executors.local import LocalExecutor

MIB = 1024 * 1024
HUNGRY = """#!/usr/bin/env python
import sys
hoard = []
for _ in range(int(sys.argv[1])):
    hoard.append(bytearray(b"x" * 2**20))
print("had it all", flush=True)
"""
BUSY = r"""#!/usr/bin/env python
import multiprocessing, os, time
def spin(stop):
    while time.monotonic() < stop:
        pass
    times = os.times()
    os.write(1, b"cpu %f\n" % (times.user + times.system))
stop = time.monotonic() + 1.5
others = [multiprocessing.Process(target=spin, args=(stop,)) for _ in range(2)]
for other in others: other.start()
for other in others: other.join()
"""


async def run(executor: Executor, image: str, opt_ml: Path, limits: Limits, *arguments: str):
    lines: list[str] = []
    opt_ml.mkdir(exist_ok=True)
    await executor.prepare(image, lines.append)
    program = Program(image, opt_ml, ("program", *arguments), limits=limits)
    running = await executor.start(program, lines.append)
    return await running.wait(), running, lines


def needs_cgroups(executor: Executor, controller: str) -> Cgroups:
    assert isinstance(executor, LocalExecutor)
    cgroups = Cgroups.find(executor.scratch)
    if cgroups is None or controller not in cgroups.controllers:
        pytest.skip(f"no control groups for {controller} here")
    return cgroups


async def test_memory_beyond_the_limit_is_not_had_and_told(executor, make_image, tmp_path):
    needs_cgroups(executor, "memory")
    image = make_image("hungry", {"program": HUNGRY})
    code, running, lines = await run(executor, image, tmp_path / "ml", Limits(memory_bytes=96 * MIB), "300")
    assert code == 128 + signal.SIGKILL, lines
    assert running.out_of_memory
    assert "had it all" not in lines


async def test_memory_below_the_limit_is_had(executor, make_image, tmp_path):
    image = make_image("hungry", {"program": HUNGRY})
    code, running, lines = await run(executor, image, tmp_path / "ml", Limits(memory_bytes=256 * MIB), "32")
    assert (code, running.out_of_memory, lines) == (0, False, ["had it all"])


async def test_without_control_groups_rlimits_keep_memory(executor, make_image, tmp_path):
    executor.confinement = Confinement(None)
    image = make_image("hungry", {"program": HUNGRY})
    code, _, lines = await run(executor, image, tmp_path / "ml", Limits(memory_bytes=96 * MIB), "300")
    assert code == 1
    assert "MemoryError" in lines


async def test_without_control_groups_affinity_keeps_processors(executor, make_image, tmp_path):
    executor.confinement = Confinement(None)
    program = "#!/usr/bin/env python\nimport os\nprint(len(os.sched_getaffinity(0)))\n"
    image = make_image("counter", {"program": program})
    _, _, lines = await run(executor, image, tmp_path / "ml", Limits(vcpus=1))
    assert lines == ["1"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor is no limit here")
async def test_processors_are_shared_out_by_quota(executor, make_image, tmp_path):
    needs_cgroups(executor, "cpu")
    image = make_image("busy", {"program": BUSY})
    code, _, lines = await run(executor, image, tmp_path / "ml", Limits(vcpus=0.5))
    used = sum(float(line.split()[1]) for line in lines)
    assert code == 0
    assert used < 1.5, "two processes had 0.5 vCPUs for 1.5 s: unlimited they use up to 3 s"


async def test_groups_go_with_their_program(executor, make_image, tmp_path):
    cgroups = needs_cgroups(executor, "memory")
    image = make_image("hungry", {"program": HUNGRY})
    await run(executor, image, tmp_path / "ml", Limits(memory_bytes=64 * MIB), "1")
    assert not any(place.exists() for place in cgroups.places.values())


SERVER = """
import asyncio, pathlib, sys
from sagemaker_local.executors.base import Limits, Program
from sagemaker_local.executors.choice import choose_executor
from sagemaker_local.settings import Settings

async def main(image, data, containers, name):
    settings = Settings(data_dir=pathlib.Path(data), containers_dir=pathlib.Path(containers), executor=name)
    executor = choose_executor(settings)
    opt_ml = pathlib.Path(data, "ml")
    opt_ml.mkdir()
    running = await executor.start(Program(image, opt_ml, limits=Limits(memory_bytes=2**28)), print)
    print("started", flush=True)
    await running.wait()

asyncio.run(main(*sys.argv[1:]))
"""


def test_groups_go_even_when_the_server_is_killed(executor, make_image, settings):
    cgroups = needs_cgroups(executor, "memory")
    image = make_image("sleeper", {"program": "#!/bin/sh\nexec sleep 600\n"}, dockerfile=SLEEPER)
    arguments = (image, str(settings.data_dir), str(settings.containers_dir), executor.name)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"started\n"
    assert all(list(place.iterdir()) for place in cgroups.places.values())
    server.kill()
    server.wait()
    server.stdout.close()
    deadline = time.monotonic() + 30
    while any(place.exists() for place in cgroups.places.values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


SLEEPER = 'FROM python:3.11-slim\nCOPY src/ /opt/program/\nENTRYPOINT ["/opt/program/program"]\n'


def test_a_sweep_removes_what_is_left(tmp_path):
    cgroups = Cgroups.find(tmp_path)
    if cgroups is None:
        pytest.skip("no control groups here")
    group = cgroups.make("left", Limits(memory_bytes=2**28))
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        for directory in group.directories:
            (directory / "cgroup.procs").write_text(str(sleeper.pid))
        cgroups.sweep()
        assert sleeper.wait(10) == -signal.SIGKILL
    assert not any(place.exists() for place in cgroups.places.values())


def test_a_sweep_may_meet_a_keeper_that_removes_the_same(tmp_path, monkeypatch):
    place = tmp_path / "parent" / "sagemaker-local-x"
    place.mkdir(parents=True)
    entries = Path.iterdir

    def removed_first(directory: Path) -> Iterator[Path]:
        if directory == place:
            place.rmdir()
        return entries(directory)

    monkeypatch.setattr(Path, "iterdir", removed_first)
    Cgroups({"memory": place}, unified=True).sweep()
    assert not place.exists()


def test_what_is_left_does_not_drive_the_next_server_elsewhere(tmp_path):
    before = Cgroups.find(tmp_path)
    if before is None:
        pytest.skip("no control groups here")
    before.make("left", Limits(memory_bytes=2**28))
    after = Cgroups.find(tmp_path)
    assert after is not None
    assert after == before
    Confinement(after)
    assert not any(place.exists() for place in before.places.values())


def v2(tmp_path: Path) -> tuple[Path, Path]:
    """Files as the kernel shows them, as far as files can: a directory of ours gets none by itself."""
    root = tmp_path / "cgroup"
    own = root / "user.slice" / "app.slice"
    own.mkdir(parents=True)
    for directory in (root, own.parent, own):
        (directory / "cgroup.controllers").write_text("cpu memory pids\n")
        (directory / "cgroup.subtree_control").write_text("cpu memory\n")
    membership = tmp_path / "self"
    membership.write_text("0::/user.slice/app.slice\n")
    return root, membership


def test_v2_writes_what_the_kernel_wants(tmp_path, monkeypatch):
    from sagemaker_local.executors import cgroups as module

    def make(directory: Path, unified: bool) -> None:
        assert unified
        directory.mkdir(parents=True, exist_ok=True)

    root, _ = v2(tmp_path)
    monkeypatch.setattr(module, "_make", make)
    place = root / "user.slice/app.slice/sagemaker-local-x"
    groups = Cgroups(dict.fromkeys(("memory", "cpu"), place), unified=True)
    group = groups.make("7", Limits(vcpus=1.5, memory_bytes=2**30))
    assert group.directories == (place / "7",)
    assert group.events == place / "7" / "memory.events"
    assert (place / "7" / "memory.max").read_text() == str(2**30)
    assert (place / "7" / "cpu.max").read_text() == "150000 100000"


def test_v2_without_the_right_to_make_groups_is_not_used(tmp_path):
    root, membership = v2(tmp_path)
    for path in root.rglob("cgroup.controllers"):
        path.write_text("pids\n")
    (root / "cgroup.controllers").write_text("pids\n")
    assert Cgroups.find(tmp_path, root, membership) is None


def test_no_limits_cost_nothing(tmp_path):
    confined = Confinement(None).confine(Limits(), tmp_path)
    assert confined.command == ()
    assert not confined.out_of_memory
    assert dataclasses.replace(confined, oom_file=tmp_path / "missing").out_of_memory is False
