"""What is left of a sandbox is removed, whatever others do to it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sagemaker_local.executors.process import remove_tree


def test_a_folder_that_another_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "passing").mkdir(parents=True)
    (tree / "staying").mkdir()
    access = os.access

    def removed_first(path: str, mode: int) -> bool:
        if path.endswith("passing"):
            os.rmdir(path)
        return access(path, mode)

    monkeypatch.setattr(os, "access", removed_first)
    remove_tree(tree)
    assert not tree.exists()
