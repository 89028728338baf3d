"""What a tag stands for: of images that are folders the server tells a digest of their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

LATEST = [{"imageTag": "latest"}]
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def image(folder: Path, text: str, base: str = "python:3.11-slim") -> None:
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY src/ /opt/program/\n")
    (folder / "src" / "train").write_text(text)


def digest(ecr: Any, repository: str, **image_id: str) -> str:
    wanted = [image_id] if image_id else LATEST
    (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=wanted)["images"]
    return str(found["imageId"]["imageDigest"])


def test_the_digest_follows_the_files(start_server: Callable[..., Any], tmp_path: Path) -> None:
    containers = tmp_path / "containers"
    image(containers / "base", "one")
    image(containers / "made", "one", base="base")
    ecr = start_server(containers=containers).client("ecr")
    first = digest(ecr, "made")
    assert first.startswith("sha256:")
    assert digest(ecr, "made") == digest(ecr, "made", imageTag="other") == first
    assert digest(ecr, "team/made") == first, "as jobs find their folders"
    (containers / "made" / "__pycache__").mkdir()
    (containers / "made" / "__pycache__" / "x.pyc").write_text("x")
    assert digest(ecr, "made") == first
    image(containers / "base", "two")
    second = digest(ecr, "made")
    assert second != first, "what it is made from counts"
    (containers / "made" / "src" / "train").chmod(0o755)
    assert digest(ecr, "made") not in {first, second}

    missed = ecr.batch_get_image(repositoryName="made", imageIds=[{"imageDigest": first}])
    assert (missed["images"], missed["failures"][0]["failureCode"]) == ([], "ImageNotFound")
    with pytest.raises(ClientError) as refused:
        digest(ecr, "nobody-made-this")
    assert refused.value.response["Error"]["Code"] == "RepositoryNotFoundException"

    ecr.create_repository(repositoryName="made")
    assert ecr.batch_get_image(repositoryName="made", imageIds=LATEST)["images"] == [], "ECR's own is ECR's"
    layers = [{"mediaType": "layer", "digest": f"sha256:{1:064}", "size": 1}]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": layers[0], "layers": layers}
    put = ecr.put_image(repositoryName="made", imageManifest=json.dumps(manifest), imageTag="latest")
    assert digest(ecr, "made") == put["image"]["imageId"]["imageDigest"]
