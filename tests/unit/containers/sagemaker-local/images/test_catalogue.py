import pytest

from sagemaker_local.executors.base import ImageError
from sagemaker_local.images.catalogue import FRAMEWORKS, ImageCatalogue, aws_images, difference

REGISTRIES = (
    "683313688378.dkr.ecr.us-east-1.amazonaws.com",
    "492215442770.dkr.ecr.eu-central-1.amazonaws.com",
    "451049120500.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "public.ecr.aws/deep-learning-containers",
)


@pytest.fixture
def containers(settings):
    return settings.containers_dir


@pytest.mark.parametrize("registry", REGISTRIES)
@pytest.mark.parametrize(
    ("image", "runtime"),
    [
        ("sagemaker-scikit-learn:1.2-1-cpu-py3", "scikit-learn"),
        ("sagemaker-xgboost:1.7-1", "xgboost"),
        ("pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker", "pytorch"),
        ("pytorch-inference@sha256:0123", "pytorch"),
        ("tensorflow-inference:2.18.0-cpu", "tensorflow"),
        ("huggingface-pytorch-training:2.5.1-transformers4.49.0-gpu-py311-cu124-ubuntu22.04", "huggingface"),
        ("xgboost-neo:latest", "neo"),
    ],
)
def test_images_of_aws_stand_for_runtimes_in_every_region(containers, registry, image, runtime):
    assert ImageCatalogue(containers).folder(f"{registry}/{image}") == FRAMEWORKS / runtime


def test_every_runtime_of_the_table_is_there_and_pins_the_package_that_its_tag_tells():
    for folder, package in aws_images().packages.items():
        assert (FRAMEWORKS / folder / "Dockerfile").is_file()
        told = difference("uri", FRAMEWORKS / folder)
        assert told is not None
        assert told.split(f"stands for {package} ")[1][0].isdigit()
    assert not set(aws_images().folders) & set(aws_images().refused)


def test_a_folder_of_the_users_own_comes_first(containers, make_image):
    uri = make_image("sagemaker-xgboost", {})
    assert ImageCatalogue(containers).folder(uri) == containers / "sagemaker-xgboost"
    assert difference(uri, containers / "sagemaker-xgboost") is None


def test_an_image_of_aws_that_is_not_served_is_refused_by_name(containers):
    with pytest.raises(ImageError, match=r"Cannot pull algorithm container.*Spark is not served here"):
        ImageCatalogue(containers).folder(f"{REGISTRIES[0]}/sagemaker-spark-processing:3.3-cpu-py39-v1.1")


def test_an_unknown_image_is_answered_as_by_aws_with_a_way_out(containers):
    words = r"does not exist or its permissions are incorrect.*folder 'churn'.*--images"
    with pytest.raises(ImageError, match=words):
        ImageCatalogue(containers).folder(f"{REGISTRIES[0]}/churn:1")


def test_a_name_without_a_registry_is_no_image_of_aws(containers):
    with pytest.raises(ImageError):
        ImageCatalogue(containers).folder("xgboost")


def test_a_table_of_the_users_maps_patterns(containers, make_image, tmp_path):
    make_image("churn", {})
    table = tmp_path / "images.toml"
    table.write_text(
        '[images]\n"*/team/model:*" = "churn"\n"*/legacy:1.*" = "aws:scikit-learn"\n"*/gone:*" = "gone"\n'
    )
    catalogue = ImageCatalogue(containers, table)
    assert catalogue.folder("registry/team/model:7") == containers / "churn"
    assert catalogue.folder("registry/legacy:1.2") == FRAMEWORKS / "scikit-learn"
    with pytest.raises(ImageError, match=r"maps '\*/gone:\*' to 'gone'.*no Dockerfile.*aws:xgboost"):
        catalogue.folder("registry/gone:1")


@pytest.mark.parametrize("text", ["images = 1", "[image]\na = 'b'", "[images]\na = 1", "nonsense"])
def test_a_table_that_is_wrong_is_refused_at_the_start(containers, tmp_path, text):
    table = tmp_path / "images.toml"
    table.write_text(text)
    with pytest.raises(ImageError, match=r"images\.toml"):
        ImageCatalogue(containers, table)
