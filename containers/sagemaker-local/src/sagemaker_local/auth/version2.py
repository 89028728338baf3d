"""Presigned S3 URLs of signature version 2, which boto3 and the AWS CLI still make unless told otherwise.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import HmacV1Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from starlette.types import Scope

from sagemaker_local.auth.keys import AccessKey


def is_presigned(query: dict[str, str]) -> bool:
    """Whether a query carries such a signature."""
    return {"AWSAccessKeyId", "Signature", "Expires"} <= query.keys()


def compute(scope: Scope, key: AccessKey, bucket_of_host: str) -> str:
    """The signature that the request should have."""
    text = scope["query_string"].decode("latin-1")
    query = dict(parse_qsl(text, keep_blank_values=True))
    headers: Any = HTTPHeaders()
    for name, value in scope["headers"]:
        name = name.decode("latin-1").lower()
        if name.startswith("x-amz-") or name in ("content-md5", "content-type"):
            headers[name] = value.decode("latin-1")
    for name, value in query.items():
        if name.lower().startswith("x-amz-"):
            headers[name.lower()] = value
    raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    path = f"/{bucket_of_host}{raw_path}" if bucket_of_host else raw_path
    auth = _Version2(Credentials(key.access_key_id, key.secret, key.session_token))
    auth.expires = query["Expires"]
    return str(
        auth.get_signature(
            scope["method"], urlsplit(f"http://server{raw_path}?{text}"), headers, auth_path=path
        )
    )


class _Version2(HmacV1Auth):
    """botocore's signer; what stands in place of the date is the URL's end."""

    expires = ""

    def _get_date(self) -> str:
        return self.expires
