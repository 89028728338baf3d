import pytest

from sagemaker_local.jobs.locations import Location
from sagemaker_local.jobs.outcome import JobFailed


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        ("data/train", "data/train", "train"),
        ("data/train", "data/train/a.csv", "a.csv"),
        ("data/train/", "data/train/dt=1/a.csv", "dt=1/a.csv"),
        ("data/train", "data/train-2.csv", "train-2.csv"),
        ("data/train", "data/trainings/b.csv", "trainings/b.csv"),
        ("", "a/b.csv", "a/b.csv"),
        ("tra", "train.csv", "train.csv"),
        ("data/", "data//odd.csv", "odd.csv"),
    ],
)
def test_where_an_object_of_a_prefix_goes(prefix, key, path):
    assert Location("bucket", prefix).relative_path(key) == path


@pytest.mark.parametrize("key", ["data/../../etc/passwd", "data/a/..", "data/."])
def test_no_key_leads_out_of_the_directory(key):
    with pytest.raises(JobFailed, match="cannot be a file path"):
        Location("bucket", "data/").relative_path(key)


def test_parsing_and_joining():
    location = Location.parse("s3://my-bucket/some/prefix/")
    assert str(location.join("a", "b.csv")) == "s3://my-bucket/some/prefix/a/b.csv"
    assert Location.parse("s3://my-bucket") == Location("my-bucket", "")
    assert str(Location("my-bucket", "").join("a")) == "s3://my-bucket/a"


@pytest.mark.parametrize("uri", ["https://bucket/key", "s3://", "s3://UPPER/key", "bucket/key"])
def test_what_is_no_s3_uri_is_refused(uri):
    with pytest.raises(JobFailed, match="is not an S3 URI"):
        Location.parse(uri)
