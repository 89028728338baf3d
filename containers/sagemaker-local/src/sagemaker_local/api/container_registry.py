"""ECR: moto's, but for the images of the containers directory, which are in no repository.

BatchGetImage is how a client learns what a tag stands for now. A repository that was created through ECR is
moto's; one that was not, and whose name leads to a folder here, has that folder's content as its digest.
"""

from __future__ import annotations

import json
from typing import Any

from sagemaker_local.executors.base import ImageError
from sagemaker_local.images.catalogue import ImageCatalogue
from sagemaker_local.images.digest import content_digest
from sagemaker_local.moto_bridge import Answer, Call
from sagemaker_local.services import Services

MISSING = b"RepositoryNotFoundException"


def batch_get_image(services: Services, call: Call) -> Answer:
    """BatchGetImage, without manifests for images that are folders: they have none."""
    answer = services.moto(call)
    if answer.status < 400 or MISSING not in answer.body or services.executor.name == "docker":
        return answer
    try:
        request: Any = json.loads(call.body)
        repository, wanted = str(request["repositoryName"]), list(request["imageIds"])
        catalogue = ImageCatalogue(services.settings.containers_dir, services.settings.images_file)
        registry = str(request.get("registryId") or services.settings.account)
        uri = f"{registry}.dkr.ecr.{services.settings.region}.amazonaws.com/{repository}"
        folder = catalogue.known(uri)
        if folder is None:
            return answer
        digest = content_digest(catalogue, folder)
    except (ValueError, KeyError, TypeError, AttributeError, ImageError, OSError):
        return answer
    images, failures = [], []
    for image in wanted:
        if image.get("imageDigest", digest) == digest:
            identity = {**image, "imageDigest": digest}
            images.append({"registryId": registry, "repositoryName": repository, "imageId": identity})
        else:
            reason = "Requested image not found"
            failures.append({"imageId": image, "failureCode": "ImageNotFound", "failureReason": reason})
    body = json.dumps({"images": images, "failures": failures}).encode()
    return Answer(200, {"content-type": "application/x-amz-json-1.1"}, body)
