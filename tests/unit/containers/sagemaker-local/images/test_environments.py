import asyncio
import subprocess
import sys
from typing import Any

import pytest

from sagemaker_local.executors.base import ImageError
from sagemaker_local.images import environments
from sagemaker_local.images.environments import EnvironmentCache, Requirements, cache_directory, find_python


@pytest.fixture
def cache(tmp_path):
    return EnvironmentCache(tmp_path / "venvs")


@pytest.fixture
def package(tmp_path):
    """A requirement that installs without a network."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "sl_probe.py").write_text("ANSWER = 42\n")
    wheel = tmp_path / "sl_probe-1-py3-none-any.whl"
    import zipfile

    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(folder / "sl_probe.py", "sl_probe.py")
        archive.writestr(
            "sl_probe-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: sl-probe\nVersion: 1\n"
        )
        archive.writestr(
            "sl_probe-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("sl_probe-1.dist-info/RECORD", "")
    return wheel


@pytest.mark.parametrize("installer", ["uv", "pip"])
async def test_requirements_are_installed_once_and_shared(cache, package, tmp_path, installer, monkeypatch):
    if installer == "pip":
        monkeypatch.setattr(environments, "uv_command", lambda: None)
    elif environments.uv_command() is None:
        pytest.skip("uv is not installed")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"sl-probe @ {package.as_uri()}\n")
    lines: list[str] = []
    both = await asyncio.gather(*(cache.environment(requirements, None, lines.append) for _ in range(2)))
    assert both[0] == both[1]
    assert sum("building" in line for line in lines) == 1
    command = [both[0].bin / "python", "-c", "import sl_probe; print(sl_probe.ANSWER)"]
    assert subprocess.check_output(command, text=True) == "42\n"  # noqa: ASYNC221


async def test_a_half_built_environment_is_built_anew(cache):
    whole = await cache.environment(None, None, print)
    (whole.directory / environments.MARKER).unlink()
    (whole.directory / "rubbish").touch()
    again = await cache.environment(None, None, print)
    assert again == whole
    assert not (whole.directory / "rubbish").exists()


async def test_a_failing_build_says_what_failed_and_is_not_kept(cache, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"nothing @ {(tmp_path / 'missing-1-py3-none-any.whl').as_uri()}\n")
    for _ in range(2):
        with pytest.raises(ImageError, match=r"requirements\.txt failed with exit code [12]: .*missing"):
            await cache.environment(requirements, None, print)


async def test_a_cancelled_build_leaves_nothing_complete(cache):
    task: asyncio.Task[Any] = asyncio.create_task(cache.environment(None, None, lambda line: task.cancel()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(cache.directory.glob(f"*/{environments.MARKER}")) == []
    assert (await cache.environment(None, None, print)).bin.is_dir()


async def test_a_python_that_is_not_installed_gives_way_to_the_servers_and_says_so():
    lines: list[str] = []
    python = await find_python("2.6", lines.append)
    assert python.version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "asks for Python 2.6, which is not installed" in lines[0]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SAGEMAKER_LOCAL_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path


async def test_a_change_in_an_included_file_makes_another_environment(cache, tmp_path):
    (tmp_path / "requirements.txt").write_text("-r base.txt\n")
    (tmp_path / "base.txt").write_text("# one\n")
    before = await cache.environment(tmp_path / "requirements.txt", None, print)
    (tmp_path / "base.txt").write_text("# two\n")
    assert await cache.environment(tmp_path / "requirements.txt", None, print) != before
    (tmp_path / "base.txt").unlink()
    with pytest.raises(ImageError, match=r"base\.txt cannot be read"):
        await cache.environment(tmp_path / "requirements.txt", None, print)


async def test_what_is_said_of_a_build_is_said_on_the_event_loop(cache, package):
    """Jobs' logs are of the event loop's thread, and an index is asked in another."""
    lines = []

    def write(line):
        asyncio.get_running_loop()
        lines.append(line)

    without = "--extra-index-url http://127.0.0.1:1/simple"
    steps = [Requirements(lines=(str(package),), options=(without,))]
    await cache.environment(steps, None, write)
    assert f"sagemaker-local: goes on without {without}: it does not answer" in lines
