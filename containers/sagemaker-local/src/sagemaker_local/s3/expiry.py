"""How long a presigned URL is good for, whoever signed it.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sagemaker_local.s3.errors import S3Error


def check_expiry(query: Mapping[str, str]) -> None:
    """Hold a presigned URL to its time, in either version of signing.

    Raises:
        S3Error: AccessDenied, as on AWS.
    """
    try:
        if "X-Amz-Date" in query and "X-Amz-Expires" in query:
            signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            expires = signed + timedelta(seconds=int(query["X-Amz-Expires"]))
        elif "Signature" in query and "Expires" in query:
            expires = datetime.fromtimestamp(int(query["Expires"]), UTC)
        else:
            return
    except (ValueError, OverflowError) as error:
        raise S3Error(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\", X-Amz-Expires a number",
            code="AuthorizationQueryParametersError",
        ) from error
    if datetime.now(UTC) > expires:
        raise S3Error(
            "Request has expired",
            code="AccessDenied",
            status_code=403,
            details={"Expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
        )
