"""Signature version 4: reads what a request claims, and computes with botocore what it should be.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path
from starlette.types import Scope

from sagemaker_local.auth.errors import NotLetIn
from sagemaker_local.auth.keys import AccessKey

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"
AUTHORIZATION = re.compile(
    r"Credential=(?P<credential>[^,\s]+)\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its own signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str | None
    expires_s: int | None
    """Only of a presigned request."""

    @property
    def scope(self) -> str:
        """The credential's scope, as chunks sign it again."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_header(scope: Scope, protocol: str) -> Claim:
    """The claim in the Authorization header.

    Raises:
        NotLetIn: it is not version 4's, or lacks a part.
    """
    headers = _all(scope)
    value = headers.get("authorization", [""])[0]
    algorithm, _, rest = value.partition(" ")
    match = AUTHORIZATION.fullmatch(rest.strip())
    if algorithm != ALGORITHM or match is None:
        raise NotLetIn(
            "incomplete",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter; the algorithm must be "
            f"{ALGORITHM}.",
            protocol,
        )
    timestamp = headers.get("x-amz-date", headers.get("date", [""]))[0]
    if not re.fullmatch(r"\d{8}T\d{6}Z", timestamp):
        raise NotLetIn(
            "incomplete",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header in ISO8601 "
            "basic format.",
            protocol,
        )
    token = headers.get("x-amz-security-token", [None])[0]
    return _claim(match["credential"], match["headers"], match["signature"], timestamp, token, None, protocol)


def read_query(scope: Scope, protocol: str) -> Claim:
    """The claim of a presigned request.

    Raises:
        NotLetIn: a parameter is missing or malformed.
    """
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    missing = [name for name in PARAMETERS if name not in query]
    expires = query.get("X-Amz-Expires", "" if protocol == "s3" else "900")
    if missing or query["X-Amz-Algorithm"] != ALGORITHM or not expires.isascii() or not expires.isdigit():
        raise NotLetIn(
            "malformed-query",
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            protocol,
        )
    if not re.fullmatch(r"\d{8}T\d{6}Z", query["X-Amz-Date"]):
        raise NotLetIn(
            "malformed-query",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            protocol,
        )
    if len(expires) > 9 or int(expires) > 7 * 24 * 3600:
        raise NotLetIn(
            "malformed-query",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
            "less than 604800 seconds",
            protocol,
        )
    return _claim(
        query["X-Amz-Credential"],
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        query.get("X-Amz-Security-Token"),
        int(expires),
        protocol,
    )


def _claim(
    credential: str,
    headers: str,
    signature: str,
    timestamp: str,
    token: str | None,
    expires_s: int | None,
    protocol: str,
) -> Claim:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or parts[1] != timestamp[:8]:
        raise NotLetIn(
            "incomplete" if expires_s is None else "malformed-query",
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/aws4_request with the date of the request, got '{credential}'",
            protocol,
        )
    names = tuple(headers.lower().split(";"))
    key_id, date, region, service = parts[:4]
    return Claim(key_id, date, region, service, timestamp, names, signature, token, expires_s)


@dataclass(frozen=True, slots=True)
class Computed:
    """The signature that the request should have, and what it was computed from."""

    signature: str
    canonical_request: str
    string_to_sign: str


def compute(scope: Scope, claim: Claim, key: AccessKey, payload_hash: str) -> Computed:
    """Sign the request again with the key."""
    auth = _Verifier(key, claim, canonical_query(scope), is_s3=claim.service == "s3")
    headers = HTTPHeaders()
    for name, values in _all(scope).items():
        if name in claim.signed_headers:
            for value in values:
                headers[name] = value
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    path = (
        quote(unquote_to_bytes(raw_path), safe="/" + UNRESERVED)
        if claim.service == "s3"
        else raw_path.decode("latin-1")
    )
    request: Any = AWSRequest(method=scope["method"], url=f"http://server{path}")
    request.headers = headers
    request.context["timestamp"] = claim.timestamp
    auth.payload_hash = payload_hash
    canonical = auth.canonical_request(request)
    to_sign = auth.string_to_sign(request, canonical)
    return Computed(auth.signature(to_sign, request), canonical, to_sign)


class _Verifier(SigV4Auth):
    """botocore's signer, held to what the claim says was signed instead of what botocore would sign."""

    payload_hash = ""

    def __init__(self, key: AccessKey, claim: Claim, query: str, *, is_s3: bool) -> None:
        super().__init__(Credentials(key.access_key_id, key.secret), claim.service, claim.region)
        self._query, self._is_s3 = query, is_s3
        self._key = signing_key(key.secret, claim.date, claim.region, claim.service)

    def headers_to_sign(self, request: Any) -> Any:
        return request.headers

    def canonical_query_string(self, request: Any) -> str:
        return self._query

    def payload(self, request: Any) -> str:
        return self.payload_hash

    def _normalize_url_path(self, path: str) -> str:
        return path if self._is_s3 else quote(normalize_url_path(path), safe="/~")

    def signature(self, string_to_sign: str, request: Any) -> str:
        return hmac.new(self._key, string_to_sign.encode(), hashlib.sha256).hexdigest()


@functools.lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service, derived from the secret."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical_query(scope: Scope) -> str:
    """The query without its signature, encoded as AWS does and sorted."""
    pairs = []
    for pair in scope["query_string"].split(b"&"):
        name, _, value = pair.partition(b"=")
        if pair and name != b"X-Amz-Signature":
            pairs.append(tuple(quote(unquote_to_bytes(part), safe=UNRESERVED) for part in (name, value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _all(scope: Scope) -> dict[str, list[str]]:
    """Every header's values, in order."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(_text(value))
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
