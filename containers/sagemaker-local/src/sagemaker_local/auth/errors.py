"""Why a request is not let in, and how each protocol says it: a table.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sagemaker_local.errors import AwsError

Refusal = Literal[
    "missing", "incomplete", "malformed-query", "unknown-key", "signature", "skewed", "expired", "scope",
    "token", "expired-token", "unsigned-headers", "body", "not-yet",
]  # fmt: skip

CODES: Mapping[Refusal, tuple[tuple[str, int], tuple[str, int], tuple[str, int]]] = {
    "missing": (
        ("MissingAuthenticationTokenException", 403),
        ("MissingAuthenticationToken", 403),
        ("AccessDenied", 403),
    ),
    "incomplete": (
        ("IncompleteSignatureException", 400),
        ("IncompleteSignature", 400),
        ("AuthorizationHeaderMalformed", 400),
    ),
    "malformed-query": (
        ("IncompleteSignatureException", 400),
        ("IncompleteSignature", 400),
        ("AuthorizationQueryParametersError", 400),
    ),
    "unknown-key": (
        ("UnrecognizedClientException", 400),
        ("InvalidClientTokenId", 403),
        ("InvalidAccessKeyId", 403),
    ),
    "signature": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
        ("SignatureDoesNotMatch", 403),
    ),
    "skewed": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
        ("RequestTimeTooSkewed", 403),
    ),
    "expired": (("InvalidSignatureException", 400), ("SignatureDoesNotMatch", 403), ("AccessDenied", 403)),
    "not-yet": (("InvalidSignatureException", 400), ("SignatureDoesNotMatch", 403), ("AccessDenied", 403)),
    "scope": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
        ("AuthorizationHeaderMalformed", 400),
    ),
    "token": (("UnrecognizedClientException", 400), ("InvalidClientTokenId", 403), ("InvalidToken", 400)),
    "expired-token": (("ExpiredTokenException", 400), ("ExpiredToken", 403), ("ExpiredToken", 400)),
    "unsigned-headers": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
        ("AccessDenied", 403),
    ),
    "body": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
        ("XAmzContentSHA256Mismatch", 400),
    ),
}
"""Reason → code and status of the JSON services, the query services, S3."""

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)


class NotLetIn(AwsError):
    """A request that is not authenticated.

    Args:
        reason: A key of :data:`CODES`.
        message: AWS's words.
        protocol: Of the call, which decides code and status.
        details: S3's further elements.
    """

    def __init__(
        self, reason: Refusal, message: str, protocol: str, details: Mapping[str, str] | None = None
    ) -> None:
        json, query, s3 = CODES[reason]
        code, status_code = {"query": query, "s3": s3}.get(protocol, json)
        super().__init__(message, code=code, status_code=status_code)
        self.reason = reason
        self.details = dict(details or {})
