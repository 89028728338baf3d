"""Artefacts from S3 to a directory, and archives that try to leave it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.artefact import Artefact, ArtefactError


@pytest.fixture(autouse=True, params=["tarfile with filters", "Python 3.11.2"])
def tarfile_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Python has no extraction filters; what leaves the directory is refused there too."""
    if request.param == "Python 3.11.2":
        monkeypatch.delattr(tarfile, "data_filter")


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket("bucket")
    yield store
    store.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "opt" / "ml" / "model"


def archive(*members: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for member in members:
            body = b"x" * 3 if member.isreg() else b""
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_is_unpacked(objects: ObjectStore, model: Path, mode: str) -> None:
    objects.put(
        "bucket", "m.tar.gz", archive(tarfile.TarInfo("a.txt"), tarfile.TarInfo("d/b.txt"), mode=mode)
    )
    Artefact("s3://bucket/m.tar.gz").place(objects, model)
    assert {str(path.relative_to(model)) for path in model.rglob("*")} == {"a.txt", "d", "d/b.txt"}
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../escaped.txt"),
        tarfile.TarInfo("d/../../escaped.txt"),
        link("out", "/etc"),
        link("out", "../../.."),
    ],
    ids=lambda member: f"{member.name}->{member.linkname}",
)
def test_an_archive_that_points_outside_is_refused(
    objects: ObjectStore, model: Path, member: tarfile.TarInfo
) -> None:
    objects.put("bucket", "m.tar.gz", archive(member))
    with pytest.raises(ArtefactError, match=r"Failed to extract model data archive"):
        Artefact("s3://bucket/m.tar.gz").place(objects, model)
    assert not list(model.parents[2].rglob("escaped.txt"))


def test_a_link_cannot_carry_a_later_member_outside(objects: ObjectStore, model: Path) -> None:
    objects.put("bucket", "m.tar.gz", archive(link("out", ".."), tarfile.TarInfo("out/escaped.txt")))
    with pytest.raises(ArtefactError):
        Artefact("s3://bucket/m.tar.gz").place(objects, model)
    assert not (model.parent / "escaped.txt").exists()


@pytest.mark.parametrize(
    "body", [b"", b"no archive", archive(tarfile.TarInfo("a" * 90))[:60]], ids=["empty", "text", "cut"]
)
def test_a_broken_archive_says_where_it_is(objects: ObjectStore, model: Path, body: bytes) -> None:
    objects.put("bucket", "m.tar.gz", body)
    with pytest.raises(ArtefactError, match=r"valid tar\.gz archive") as failed:
        Artefact("s3://bucket/m.tar.gz").place(objects, model)
    assert "s3://bucket/m.tar.gz" in str(failed.value)


def test_uncompressed_models_keep_their_folders(objects: ObjectStore, model: Path) -> None:
    for key in ("models/one/a.bin", "models/one/deep/b.bin", "models/one/folder/", "models/other/c.bin"):
        objects.put("bucket", key, b"x")
    Artefact("s3://bucket/models/one/", is_prefix=True, compressed=False).place(objects, model)
    files = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    assert files == {"a.bin", "deep/b.bin"}


def test_a_key_that_points_outside_is_refused(objects: ObjectStore, model: Path) -> None:
    objects.put("bucket", "models/../../escaped.txt", b"x")
    with pytest.raises(ArtefactError, match="points outside the model"):
        Artefact("s3://bucket/models/", is_prefix=True, compressed=False).place(objects, model)


def test_one_uncompressed_object_keeps_its_name(objects: ObjectStore, model: Path) -> None:
    objects.put("bucket", "models/weights.bin", b"x")
    Artefact("s3://bucket/models/weights.bin", compressed=False).place(objects, model)
    assert [path.name for path in model.iterdir()] == ["weights.bin"]


def test_a_missing_object_is_named(objects: ObjectStore, model: Path) -> None:
    missing = Artefact("s3://bucket/none.tar.gz")
    assert not missing.exists(objects)
    with pytest.raises(ArtefactError, match=r"Failed to download model data .*s3://bucket/none.tar.gz"):
        missing.place(objects, model)


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://s3.us-east-1.amazonaws.com/bucket/a/b%20c.tar.gz", ("bucket", "a/b c.tar.gz")),
        ("https://s3-eu-west-1.amazonaws.com/bucket/b.tar.gz", ("bucket", "b.tar.gz")),
        ("https://my.bucket.s3.us-east-1.amazonaws.com/b.tar.gz", ("my.bucket", "b.tar.gz")),
    ],
)
def test_urls_of_s3_are_locations(uri: str, location: tuple[str, str]) -> None:
    assert Artefact(uri).location == location


def test_other_urls_are_none() -> None:
    with pytest.raises(ArtefactError, match="not a valid S3 URL"):
        _ = Artefact("https://example.com/model.tar.gz").location
