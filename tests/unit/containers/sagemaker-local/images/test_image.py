import pytest

from sagemaker_local.executors.base import ImageError, Program
from sagemaker_local.executors.container import lay_out
from sagemaker_local.images.catalogue import repository_name
from sagemaker_local.images.environments import Environment, EnvironmentCache
from sagemaker_local.images.image import ImageFolders


@pytest.fixture
def images(settings):
    class NoBuild(EnvironmentCache):
        async def environment(self, requirements, version, log):
            return Environment(settings.data_dir, settings.data_dir)

    return ImageFolders(settings.containers_dir, NoBuild(settings.data_dir))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/digits:latest", "digits"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/digits", "digits"),
        ("localhost:5000/digits@sha256:0123", "digits"),
        ("digits:1", "digits"),
    ],
)
def test_the_folder_is_the_last_part_of_the_repository(uri, name):
    assert repository_name(uri) == name


@pytest.mark.parametrize("uri", ["registry/none:1", "registry/..", "registry/.", "registry/"])
def test_a_folder_that_is_not_there(images, make_image, uri):
    make_image("digits", {})
    with pytest.raises(ImageError, match="There are: digits"):
        images.folder(uri)


async def laid_out(images, uri, settings):
    image = await images.image(uri, print)
    program = Program(uri, settings.data_dir / "ml", ("train",))
    return lay_out(program, image, settings.data_dir / "run")


async def test_copies_merge_into_one_place_and_keep_their_modes(images, make_image, settings):
    uri = make_image(
        "digits",
        {"train": "1", "more.txt": "2"},
        "FROM python:3.11\nCOPY src/ /opt/program/\nCOPY src/more.txt /opt/program/renamed\n"
        "COPY --chmod=600 src/*.txt /opt/program/texts/\n",
    )
    (settings.containers_dir / "digits/src/__pycache__").mkdir()
    container = await laid_out(images, uri, settings)
    places = {mount.target: mount.source for mount in container.mounts}
    assert {place for place in places if not place.startswith("/etc/")} == {"/tmp", "/opt/program", "/opt/ml"}
    program = places["/opt/program"]
    assert sorted(path.name for path in program.iterdir()) == ["more.txt", "renamed", "texts", "train"]
    assert (program / "train").stat().st_mode & 0o777 == 0o755
    assert (program / "texts/more.txt").stat().st_mode & 0o777 == 0o600


async def test_a_running_job_keeps_the_files_that_it_started_with(images, make_image, settings):
    uri = make_image("digits", {"train": "old"})
    container = await laid_out(images, uri, settings)
    make_image("digits", {"train": "new"})
    place = next(mount.source for mount in container.mounts if mount.target == "/opt/program")
    assert (place / "train").read_text() == "old"


async def test_a_workdir_that_nothing_is_copied_to_exists(images, make_image, settings):
    uri = make_image("digits", {}, "FROM python:3.11\nWORKDIR /app\n")
    assert "/app" in {mount.target for mount in (await laid_out(images, uri, settings)).mounts}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("COPY missing /opt/x", "COPY of 'missing': there is no such file"),
        ("COPY ../other /opt/x", "outside the folder"),
        ("COPY src/ /etc/conf", "puts files in /etc/conf"),
    ],
)
async def test_copies_that_cannot_be_done(images, make_image, settings, line, reason):
    (settings.containers_dir / "other").mkdir()
    uri = make_image("digits", {}, f"FROM python:3.11\n{line}\n")
    with pytest.raises(ImageError, match=reason):
        await laid_out(images, uri, settings)
