"""Links and paths in the documents lead somewhere, and every document is reached."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import CODE, DOCS, ROOT, Document

NAMES = ("architecture", "operators", "pipelines", "local-sagemaker", "containers")
PAGES = (
    *NAMES,
    "compose",
    "capacity",
    "failures",
    "housekeeping",
    "security",
    *sorted(f"local-sagemaker/{path.stem}" for path in (DOCS / "local-sagemaker").glob("*.md")),
)


@pytest.fixture(scope="module", params=PAGES)
def document(request: pytest.FixtureRequest) -> Document:
    return Document(request.param)


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links(document: Document) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.text):
        name, _, fragment = target.partition("#")
        path = (document.path.parent / name).resolve() if name else document.path
        assert path.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert fragment in map(anchor, headings), target


OF_A_MODEL = {"code/inference.py"}
"""Paths in an archive of a model's, not here."""
BASES = (ROOT, ROOT / "plugins/airflow_sagemaker", ROOT / "containers/sagemaker-local/src/sagemaker_local")


def test_paths(document: Document) -> None:
    for name in CODE.findall(document.text):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", name) and re.search(r"\.(py|yaml|toml|md|in|c)$", name):
            assert name in OF_A_MODEL or any((base / name).exists() for base in BASES), name


def test_each_document_is_reached_from_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert not [name for name in NAMES[1:] if f"]({name}.md" not in text]
