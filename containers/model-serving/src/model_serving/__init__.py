"""A SageMaker model server around a user's functions: docs/serving.md.

An image's module needs no import of this; to go on where its own functions end, there are
``content.write`` and the refusals.
"""

from model_serving.errors import BadRequest, NotAcceptable, Refusal, StartError, UnsupportedContentType

__all__ = ["BadRequest", "NotAcceptable", "Refusal", "StartError", "UnsupportedContentType"]
