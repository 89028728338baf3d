"""Build contexts: the same content has the same tag, and what is sent is what the folder holds."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from sagemaker_local.executors.base import Source
from sagemaker_local.executors.docker_context import bases, folder_context, source_context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "My_Image" / "src"
    source.mkdir(parents=True)
    (source.parent / "Dockerfile").write_text("FROM scratch\n")
    (source / "train").write_text("#!/bin/sh\n")
    (source / "train").chmod(0o755)
    (source / "link").symlink_to("train")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "train.pyc").write_text("x")
    return source.parent


def test_the_tag_follows_content_names_and_modes_and_nothing_else(folder):
    tag = folder_context(folder).tag()
    assert tag.startswith("sagemaker-local/my-image:")
    os.utime(folder / "src" / "train", (1, 1))
    (folder / "src" / "__pycache__" / "other.pyc").write_text("y")
    assert folder_context(folder).tag() == tag
    (folder / "src" / "train").chmod(0o644)
    changed = {tag, folder_context(folder).tag()}
    (folder / "src" / "train").write_text("#!/bin/bash\n")
    changed.add(folder_context(folder).tag())
    (folder / "src" / "train").rename(folder / "src" / "entrain")
    changed.add(folder_context(folder).tag())
    assert len(changed) == 4


def test_the_archive_holds_the_folder_with_modes_and_links(folder):
    with tarfile.open(fileobj=folder_context(folder).archive()) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert set(members) == {"Dockerfile", "src/train", "src/link"}
    assert members["src/train"].mode == 0o755
    assert (members["src/link"].issym(), members["src/link"].linkname) == (True, "train")
    assert {member.mtime for member in members.values()} == {0}


def test_a_source_gets_a_dockerfile_and_the_requirements_that_it_includes(tmp_path):
    code = tmp_path / "compilers"
    code.mkdir()
    (code / "run.py").write_text("print(1)\n")
    (tmp_path / "requirements-x.txt").write_text("-r more/base.txt\nnumpy\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("scipy\n")
    context = source_context(Source(code, tmp_path / "requirements-x.txt"))
    texts = dict(context.entries)
    assert set(texts) == {
        "Dockerfile",
        "requirements/requirements-x.txt",
        "requirements/more/base.txt",
        "program/run.py",
    }
    assert "pip install --no-cache-dir --no-input -r /tmp/requirements/requirements-x.txt" in str(
        texts["Dockerfile"]
    )


def test_a_base_that_is_a_folder_is_named_by_what_was_built_and_modes_go_with_the_files(folder):
    (folder / "Dockerfile").write_text(
        "FROM sagemaker-local/base\nCOPY --chmod=755 src/ /opt/program/\nCOPY other /\n"
    )
    (folder / "src" / "plain").write_text("text")
    (folder / "other").write_text("text")
    assert bases(folder) == ["sagemaker-local/base"]
    context = folder_context(folder, {"sagemaker-local/base": "sagemaker-local/base:123"})
    assert dict(context.entries)["Dockerfile"] == (
        "FROM sagemaker-local/base:123\nCOPY src/ /opt/program/\nCOPY other /\n"
    )
    with tarfile.open(fileobj=context.archive()) as tar:
        modes = {member.name: member.mode for member in tar.getmembers()}
    assert (modes["src/plain"], modes["other"]) == (0o755, 0o644)
    assert context.tag() != folder_context(folder, {"sagemaker-local/base": "sagemaker-local/base:4"}).tag()
