import pytest

from sagemaker_local.images.pip_install import Install, NotUnderstood, installs


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ("apt-get update && apt-get install -y gcc", []),
        ("pip install --upgrade pip setuptools", [Install((), (), ())]),
        (
            "pip3 install --no-cache-dir 'pandas>=2,<3' numpy==2.4.6",
            [Install((), ("pandas>=2,<3", "numpy==2.4.6"), ())],
        ),
        (
            "python3 -m pip install -r /tmp/a.txt -r/tmp/b.txt",
            [Install(("/tmp/a.txt", "/tmp/b.txt"), (), ())],
        ),
        ("uv pip install --system humanize", [Install((), ("humanize",), ())]),
        (
            "pip install torch --extra-index-url https://example.com/cpu -f /wheels",
            [Install((), ("torch",), ("--extra-index-url https://example.com/cpu", "-f /wheels"))],
        ),
        ("cd /x; pip install a || pip install b", [Install((), ("a",), ()), Install((), ("b",), ())]),
        ("pip install git+https://example.com/x.git", [Install((), ("git+https://example.com/x.git",), ())]),
        ("echo pip install nothing", []),
    ],
)
def test_what_a_line_installs(run, found):
    assert list(installs(run)) == found


@pytest.mark.parametrize(
    "run", ["pip install .", "pip install /opt/x.whl", "pip install --target /x a", "pip install 'a"]
)
def test_what_cannot_be_honoured(run):
    with pytest.raises(NotUnderstood):
        list(installs(run))
