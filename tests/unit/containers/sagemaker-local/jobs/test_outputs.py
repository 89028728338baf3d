import os
import tarfile

import pytest

from sagemaker_local.jobs.outputs import files, pack


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "b/deep").mkdir(parents=True)
    (root / "b/deep/file").write_text("text")
    (root / "a").write_text("a")
    (root / "run").write_text("#!")
    (root / "run").chmod(0o700)
    (root / "link").symlink_to("a")
    os.mkfifo(root / "pipe")
    return root


def test_an_archive_depends_on_content_alone(tree, tmp_path):
    pack([tree], tmp_path / "one")
    os.utime(tree / "a", (1, 1))
    (tree / "b").chmod(0o700)
    pack([tree], tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as tar:
        found = {member.name: oct(member.mode) for member in tar}
    assert list(found) == ["a", "b", "link", "run", "b/deep", "b/deep/file"]
    assert (found["a"], found["run"]) == ("0o644", "0o755")


def test_an_empty_directory_gives_an_empty_archive(tmp_path):
    (tmp_path / "empty").mkdir()
    pack([tmp_path / "empty"], tmp_path / "archive")
    with tarfile.open(tmp_path / "archive") as tar:
        assert tar.getnames() == []


def test_only_files_that_lie_inside_are_uploaded(tree, tmp_path):
    (tmp_path / "outside").write_text("secret")
    (tree / "escape").symlink_to(tmp_path / "outside")
    found = [str(path.relative_to(tree)) for path in files(tree)]
    assert found == ["a", "link", "run", "b/deep/file"]


def test_hosts_fill_one_archive_and_the_first_of_two_files_counts(tmp_path):
    said: list[str] = []
    for host in ("one", "two"):
        (tmp_path / host / "parts").mkdir(parents=True)
        (tmp_path / host / "parts" / host).write_text(host)
        (tmp_path / host / "same").write_text(host)
    pack([tmp_path / "one", tmp_path / "two"], tmp_path / "archive", said.append)
    with tarfile.open(tmp_path / "archive") as tar:
        assert sorted(tar.getnames()) == ["parts", "parts/one", "parts/two", "same"]
        same = tar.extractfile("same")
        assert same is not None
        assert same.read() == b"one"
    assert said == ["sagemaker-local: same is left out: several hosts have a file of that name"]
