import pytest

from sagemaker_local.executors.base import ImageError
from sagemaker_local.images.dockerfile import expand, read_dockerfile


@pytest.fixture
def read(tmp_path):
    def parse(text):
        path = tmp_path / "Dockerfile"
        path.write_text(text)
        return read_dockerfile(path, "/base/bin")

    return parse


def test_a_usual_dockerfile(read, tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy\n")
    found = read(
        """# syntax=docker/dockerfile:1
ARG VERSION=3.11
FROM python:${VERSION}-slim
LABEL team="a b"
RUN apt-get update && \\
    # a comment in between
    apt-get install -y libgomp1
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
ENV PATH=/opt/program:$PATH GREETING="hello there" DOLLAR=\\$HOME
ENV OLD style value
WORKDIR /opt
WORKDIR program
COPY --chown=me:me --chmod=755 src/ ./
COPY ["a b.txt", "c.txt", "/data/"]
USER 1000
EXPOSE 8080
ENTRYPOINT ["python", "main.py"]
CMD ["--help"]
"""
    )
    assert found.python_version == "3.11"
    assert found.environment["PATH"] == "/opt/program:/base/bin"
    assert found.environment["GREETING"] == "hello there"
    assert found.environment["DOLLAR"] == "$HOME"
    assert found.environment["OLD"] == "style value"
    assert found.workdir == "/opt/program"
    assert [(copy.sources, copy.destination, copy.mode) for copy in found.copies] == [
        (("requirements.txt",), "/", None),
        (("src/",), "/opt/program/", 0o755),
        (("a b.txt", "c.txt"), "/data/", None),
    ]
    assert (found.entrypoint, found.command) == (("python", "main.py"), ("--help",))
    assert [step.file for step in found.requirements] == [tmp_path / "requirements.txt"]


def test_the_shell_form_runs_in_a_shell_and_an_entrypoint_drops_the_cmd_before_it(read):
    found = read("FROM ubuntu\nCMD echo default\nENTRYPOINT python main.py $HOME\n")
    assert found.entrypoint == ("/bin/sh", "-c", "python main.py $HOME")
    assert found.command == ()
    assert found.python_version is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("FROM python:3.12", "several FROM"),
        ("COPY --from=builder /a /b", "COPY --from is not supported"),
        ("ADD https://example.com/x /x", "ADD of 'https://example.com/x'"),
        ("ADD data.tar.gz /data", "unpack it"),
        ("RUN pip install .", "pip install . is not supported"),
        ("RUN pip install --target=/opt/x a", "pip install --target is not supported"),
        ("RUN pip install -r absent.txt", "no COPY before it puts a file there"),
        ("RUN <<EOF", "here-documents"),
        ("SHELL ['bash']", "SHELL is not supported"),
        ("COPPY a b", "unknown instruction COPPY"),
        ("COPY a", "needs sources and a destination"),
        ('ENV A="open', "No closing quotation"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_line(read, line, reason):
    with pytest.raises(ImageError, match="line 2") as caught:
        read(f"FROM python:3.11\n{line}\n")
    assert reason in str(caught.value)


def test_instructions_before_from_and_a_missing_file(read, tmp_path):
    with pytest.raises(ImageError, match="WORKDIR before FROM"):
        read("WORKDIR /a\nFROM python")
    with pytest.raises(ImageError, match="has no FROM"):
        read("# nothing\n")
    with pytest.raises(ImageError, match="it needs a Dockerfile"):
        read_dockerfile(tmp_path / "missing" / "Dockerfile")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A/${A}", "1/1"),
        ("${B:-x}${A:-x}", "x1"),
        ("${A:+set}${B:+set}", "set"),
        ("$B", ""),
        ("\\$A", "$A"),
    ],
)
def test_variables(text, value):
    assert expand(text, {"A": "1"}) == value


@pytest.mark.parametrize(
    ("base", "version"),
    [
        ("python:3.11-slim", "3.11"),
        ("docker.io/library/python:3.12.4", "3.12"),
        ("python:3", None),
        ("pythonic:3.11", None),
        ("ubuntu:24.04", None),
    ],
)
def test_the_python_of_a_base(read, base, version):
    assert read(f"FROM {base}\n").python_version == version
