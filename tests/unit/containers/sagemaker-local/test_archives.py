"""Archives made to get out of their directory, and those that people make."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sagemaker_local import archives
from sagemaker_local.archives import UnsafeArchive, unpack

FILE, FOLDER, LINK, HARD_LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
FIFO, DEVICE = tarfile.FIFOTYPE, tarfile.CHRTYPE
Member = tuple[str, bytes, str]
"""Name, type, and content or where it links to."""


def archive(path: Path, members: Sequence[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o6777
            content = text.encode() if kind == FILE else b""
            member.size = len(content)
            if kind in (LINK, HARD_LINK):
                member.linkname = text
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_what_people_pack(tmp_path: Path, mode: str) -> None:
    members = [
        ("./", FOLDER, ""),
        ("./model.bin", FILE, "weights"),
        ("code/inference.py", FILE, "program"),
        ("blobs/abc", FILE, "blob"),
        ("snapshots/main/config.json", LINK, "../../blobs/abc"),
        ("copy", HARD_LINK, "model.bin"),
        ("model.bin", FILE, "again"),
    ]
    unpack(archive(tmp_path / "a", members, mode), tmp_path / "out")
    read = {
        name: (tmp_path / "out" / name).read_text()
        for name in ("code/inference.py", "snapshots/main/config.json")
    }
    assert read == {"code/inference.py": "program", "snapshots/main/config.json": "blob"}
    assert (tmp_path / "out/model.bin").read_text() == "again"
    assert (tmp_path / "out/copy").read_text() == "weights"
    assert (tmp_path / "out/model.bin").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "members",
    [
        [("../escape", FILE, "x")],
        [("/tmp/escape", FILE, "x")],
        [("a/../../escape", FILE, "x")],
        [("..", FOLDER, "")],
        [("link", LINK, "/etc")],
        [("link", LINK, "..")],
        [("link", LINK, "../out-of-here")],
        [("link", LINK, "")],
        [("root", LINK, "."), ("escape", LINK, "root/../x")],
        [("folder", FOLDER, ""), ("link", LINK, "folder"), ("link/file", FILE, "x")],
        [("link", LINK, "."), ("link/link/link/file", FILE, "x")],
        [("hard", HARD_LINK, "/etc/passwd")],
        [("hard", HARD_LINK, "../../etc/passwd")],
        [("link", LINK, "file"), ("hard", HARD_LINK, "link")],
        [("hard", HARD_LINK, "not-there")],
        [("pipe", FIFO, "")],
        [("device", DEVICE, "")],
        [("a", FILE, "x"), ("a/b", FILE, "x")],
        [("a/b", FILE, "x"), ("a", FILE, "x")],
        [("", FILE, "x")],
    ],
)
def test_what_is_refused(tmp_path: Path, members: list[Member]) -> None:
    with pytest.raises(UnsafeArchive):
        unpack(archive(tmp_path / "a", members), tmp_path / "out")


names = st.text(alphabet="ab./", min_size=1, max_size=8)
members = st.tuples(names, st.sampled_from([FILE, FOLDER, LINK, HARD_LINK, LINK, FIFO]), names)


def outside(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not os.path.realpath(path).startswith(os.path.realpath(directory)):
                yield path


@settings(max_examples=60, deadline=None)
@given(st.lists(members, max_size=8))
@example([("a", LINK, "."), ("b", LINK, "a/a/.."), ("b/x", FILE, "x")])
def test_nothing_lands_or_leads_outside(packed: list[Member]) -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder)
        file = archive(base / "a", packed)
        before = {path: path.stat().st_mtime_ns for path in base.iterdir()}
        with suppress(tarfile.TarError, EOFError, OSError, RuntimeError):
            unpack(file, base / "deep" / "out")
        after = {path: path.stat().st_mtime_ns for path in base.iterdir() if path.name != "deep"}
        assert after == before
        assert [path.name for path in (base / "deep").iterdir()] == ["out"]
        assert not list(outside(base / "deep" / "out"))


def test_a_bomb_is_stopped_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ALLOWED_BYTES", 10_000)
    with tarfile.open(tmp_path / "bomb", "w:gz") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = 30_000_000
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(UnsafeArchive, match="200 times"):
        unpack(tmp_path / "bomb", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        header = tarfile.TarInfo("pax")
        header.type, header.size = kind, 2**33
        (tmp_path / "a").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
        with pytest.raises(UnsafeArchive, match="extended header"):
            unpack(tmp_path / "a", tmp_path / "out")


def test_a_multitude_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBERS_MAXIMUM", 10)
    with pytest.raises(UnsafeArchive, match="more than 10"):
        unpack(archive(tmp_path / "a", [(str(n), FILE, "") for n in range(11)]), tmp_path / "out")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_no_archive(noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        for content in (noise, gzip.compress(noise)):
            path.write_bytes(content)
            with suppress(tarfile.TarError, EOFError, OSError):
                unpack(path, Path(folder) / "out")


def test_an_archive_cut_short(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a", [("file", FILE, "x" * 5000)], "w").read_bytes()
    (tmp_path / "b").write_bytes(whole[:2000])
    with pytest.raises((tarfile.TarError, EOFError)):
        unpack(tmp_path / "b", tmp_path / "out")
