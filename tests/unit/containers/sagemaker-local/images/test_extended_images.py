"""Images that build on others: of the user's, and of AWS's."""

import subprocess
import sys
import zipfile

import pytest

from sagemaker_local.executors.base import ImageError, Program
from sagemaker_local.executors.container import lay_out
from sagemaker_local.images.catalogue import FRAMEWORKS
from sagemaker_local.images.environments import Environment, EnvironmentCache
from sagemaker_local.images.image import ImageFolders
from sagemaker_local.images.writable_layer import LAYER, write_layer


@pytest.fixture
def steps():
    return []


@pytest.fixture
def images(settings, steps):
    class NoBuild(EnvironmentCache):
        async def environment(self, requirements, version, log):
            steps.append((list(requirements), version))
            return Environment(settings.data_dir, settings.data_dir)

    return ImageFolders(settings.containers_dir, NoBuild(settings.data_dir))


async def test_an_image_builds_on_an_image_of_the_users_own(images, make_image, steps, settings):
    base = make_image(
        "base",
        {"train": "base", "serve": "base"},
        "FROM python:3.11\nENV COLOUR=red SHAPE=round\nWORKDIR /srv/app\nCOPY src/ ./\n"
        'ENTRYPOINT ["./train"]\n',
    )
    uri = make_image(
        "better",
        {"train": "better"},
        f"FROM {base}\nENV COLOUR=blue\nCOPY src/ ./\nRUN pip install humanize==4.12.0\n",
    )
    image = await images.image(uri, print)
    assert (image.environment["COLOUR"], image.environment["SHAPE"]) == ("blue", "round")
    assert (image.workdir, image.entrypoint) == ("/srv/app", ("./train",))
    root = settings.data_dir / "root"
    root.mkdir()
    image.copy_files(root)
    assert {path.name: path.read_text() for path in (root / "srv/app").iterdir()} == {
        "train": "better",
        "serve": "base",
    }
    ((requirements, version),) = steps
    assert version == "3.11"
    assert [step.lines for step in requirements] == [("humanize==4.12.0",)]


async def test_an_image_builds_on_one_of_awss(images, make_image, steps, settings):
    uri = make_image(
        "sentiment",
        {"train.py": "print()"},
        "FROM 763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:2.5.1\n"
        "COPY src/ /opt/ml/code\nENV SAGEMAKER_PROGRAM=train.py SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code\n",
    )
    image = await images.image(uri, print)
    # The whole chain, from the bottom, each after the one it builds on.
    assert [step.file.parent for step in steps[0][0]] == [
        FRAMEWORKS / name for name in ("script_mode", "pytorch", "huggingface")
    ]
    assert image.environment["MODEL_SERVER_MODULE"] == "huggingface_model"
    opt_ml = settings.data_dir / "ml"
    lay_out(Program(uri, opt_ml, ("train",)), image, settings.data_dir / "run")
    assert (opt_ml / "code/train.py").read_text() == "print()"


async def test_an_image_cannot_build_on_itself(images, make_image):
    uri = make_image("digits", {}, "FROM registry/digits:1\n")
    with pytest.raises(ImageError, match="line 1: 'registry/digits:1' is this image itself"):
        await images.image(uri, print)


def test_what_a_program_installs_stays_in_its_layer(tmp_path):
    shared = tmp_path / "shared"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", shared], check=True)
    (packages,) = shared.glob("lib/python3*/site-packages")
    (packages / "below.py").write_text("WHERE = 'shared'")
    (packages / "both.py").write_text("WHERE = 'shared'")
    script = shared / "bin" / "tell"
    script.write_text(
        f"#!{shared}/bin/python\nimport below, both, sys\nprint(below.WHERE, both.WHERE, sys.prefix)\n"
    )
    script.chmod(0o755)
    root = tmp_path / "root"
    write_layer(root, Environment(shared, shared))
    layer = root / LAYER.lstrip("/")
    wheel = tmp_path / "both.zip"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("both.py", "WHERE = 'layer'")
    (own,) = layer.glob("lib/python3*/site-packages")
    zipfile.ZipFile(wheel).extractall(own)
    said = subprocess.check_output(
        [layer / "bin/tell"], text=True, env={"PATH": f"{layer}/bin:/usr/bin:/bin"}
    ).split()
    assert said == ["shared", "layer", str(layer)]
