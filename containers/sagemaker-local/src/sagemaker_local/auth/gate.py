"""Stands before every service of a server that asks for authentication: lets in whoever signed the request.

``/_local/health`` is open. The rest of ``/_local/`` and invocations, which people call with curl and
browsers, also take the access key and its secret as HTTP Basic credentials.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import re
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.auth import chunks, signature, version2
from sagemaker_local.auth.errors import MISMATCH, NotLetIn
from sagemaker_local.auth.keys import AccessKey, KeyRing
from sagemaker_local.auth.signature import Claim
from sagemaker_local.errors import AwsError
from sagemaker_local.s3.request import HOST_SUFFIX

logger = logging.getLogger(__name__)

HEALTH = "/_local/health"
LOCAL = "/_local/"
CLOCK_SKEW_S = 15 * 60
BODY_BYTES = 64 * limits.MIB
"""A body that is not S3's is read whole before it is believed."""
GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Signed for us-east-1 whatever region is served."""
SHA256_HEX = re.compile(r"[0-9a-f]{64}")
MUST_BE_SIGNED = b"x-amz-"


class RequestEntityTooLarge(AwsError):
    """A body that nobody will read."""

    code, status_code = "RequestEntityTooLargeException", 413


class AuthenticationGate:
    """An application before the application.

    Args:
        app: What answers a request that is let in.
        keys: The keys that may sign.
        region: The region that a credential scope must name.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, region: str) -> None:
        self.app = app
        self.keys = keys
        self.region = region

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it in the words of its service."""
        path = scope["path"]
        if path == HEALTH:
            await self.app(scope, receive, send)
            return
        call = wire.identify(scope)
        local = path.startswith(LOCAL)
        try:
            if not ((local or call.service == "sagemaker-runtime") and self._basic(scope)):
                receive = await self._verified(scope, receive, call, local=local)
        except wire.Disconnected:
            return
        except AwsError as error:
            logger.info("not let in: %s %s: %s: %s", scope["method"], path, error.code, error.message)
            response = wire.error_response(call, error, path)
            if local:
                response = JSONResponse({"message": error.message}, 401)
                response.headers["www-authenticate"] = 'Basic realm="the local SageMaker", charset="UTF-8"'
            response.headers["connection"] = "close"  # a body may be on its way
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _basic(self, scope: Scope) -> bool:
        scheme, _, value = (wire.header(scope, b"authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        with contextlib.suppress(binascii.Error, ValueError):
            name, _, secret = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            key = self.keys.find(name)
            return (
                key is not None
                and key.session_token is None
                and hmac.compare_digest(key.secret.encode(), secret.encode())
            )
        return False

    async def _verified(self, scope: Scope, receive: Receive, call: wire.Call, *, local: bool) -> Receive:
        """The body, once the signature over the request is found to be right.

        Raises:
            NotLetIn: it is not.
        """
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if wire.header(scope, b"authorization") is not None:
            claim = signature.read_header(scope, call.protocol)
        elif call.protocol == "s3" and version2.is_presigned(query):
            self._verify_version2(scope, query)
            return receive
        elif "X-Amz-Signature" in query:
            claim = signature.read_query(scope, call.protocol)
        else:
            words = "Access Denied" if call.protocol == "s3" else "Missing Authentication Token"
            raise NotLetIn("missing", words, call.protocol)
        key = self._key(claim.access_key_id, claim.token, call.protocol)
        self._check_time(claim, call.protocol)
        if not local:
            self._check_scope(claim, call)
        self._check_signed_headers(scope, claim, call.protocol)
        if claim.service == "s3":
            payload = self._s3_payload(scope, claim, query)
        else:
            body = await self._body(receive)
            receive = wire.replay(body, receive)
            payload = self._payload(scope, body, call.protocol)
        computed = signature.compute(scope, claim, key, payload)
        if not hmac.compare_digest(computed.signature.encode(), claim.signature.encode()):
            details = {
                "AWSAccessKeyId": claim.access_key_id,
                "StringToSign": computed.string_to_sign,
                "SignatureProvided": claim.signature,
                "CanonicalRequest": computed.canonical_request,
            }
            raise NotLetIn("signature", MISMATCH, call.protocol, details)
        if payload in chunks.SIGNED_PAYLOADS:
            signing_key = signature.signing_key(key.secret, claim.date, claim.region, claim.service)
            trailer = payload.endswith("-TRAILER")
            scope.setdefault("extensions", {})[chunks.EXTENSION] = chunks.ChunkSignatures(
                signing_key, claim.timestamp, claim.scope, claim.signature, trailer=trailer
            )
        return receive

    def _key(self, access_key_id: str, token: str | None, protocol: str) -> AccessKey:
        key = self.keys.find(access_key_id)
        if key is None:
            words = (
                "The AWS Access Key Id you provided does not exist in our records."
                if protocol == "s3"
                else "The security token included in the request is invalid."
            )
            raise NotLetIn("unknown-key", words, protocol, {"AWSAccessKeyId": access_key_id})
        if not hmac.compare_digest((key.session_token or "").encode(), (token or "").encode()):
            raise NotLetIn("token", "The provided token is malformed or otherwise invalid.", protocol)
        if key.expires_at_s is not None and key.expires_at_s < time.time():
            raise NotLetIn("expired-token", "The provided token has expired.", protocol)
        return key

    @staticmethod
    def _check_time(claim: Claim, protocol: str) -> None:
        now = datetime.now(UTC)
        try:
            signed = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise NotLetIn("incomplete", f"The date {claim.timestamp} is no date", protocol) from error
        age_s = (now - signed).total_seconds()
        if claim.expires_s is not None:
            if age_s > claim.expires_s:
                details = {"X-Amz-Expires": str(claim.expires_s), "ServerTime": now.isoformat()}
                raise NotLetIn("expired", "Request has expired", protocol, details)
            if age_s < -CLOCK_SKEW_S:
                raise NotLetIn("not-yet", "Request is not valid yet", protocol)
        elif abs(age_s) > CLOCK_SKEW_S:
            if protocol == "s3":
                words = "The difference between the request time and the current time is too large."
            else:
                side, word = ("earlier", "expired") if age_s > 0 else ("later", "not yet current")
                words = (
                    f"Signature {word}: {claim.timestamp} is now {side} than "
                    f"{now:%Y%m%dT%H%M%SZ} by more than {CLOCK_SKEW_S // 60} min."
                )
            details = {
                "RequestTime": claim.timestamp,
                "ServerTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "MaxAllowedSkewMilliseconds": str(CLOCK_SKEW_S * 1000),
            }
            raise NotLetIn("skewed", words, protocol, details)

    def _check_scope(self, claim: Claim, call: wire.Call) -> None:
        if claim.service != call.signing_name:
            raise NotLetIn(
                "scope",
                f"Credential should be scoped to correct service: '{call.signing_name}'.",
                call.protocol,
            )
        regions = {self.region, "us-east-1"} if claim.service in GLOBAL_SERVICES else {self.region}
        if claim.region not in regions:
            words = (
                f"The authorization header is malformed; the region '{claim.region}' is wrong; expecting "
                f"'{self.region}'"
                if call.protocol == "s3"
                else f"Credential should be scoped to a valid region: '{self.region}'."
            )
            raise NotLetIn("scope", words, call.protocol, {"Region": self.region})

    @staticmethod
    def _check_signed_headers(scope: Scope, claim: Claim, protocol: str) -> None:
        names = {bytes(name).lower() for name, _ in scope["headers"]}
        needed = {b"host"} | {name for name in names if name.startswith(MUST_BE_SIGNED)}
        unsigned = sorted(
            name.decode("latin-1")
            for name in needed - {n.encode("latin-1", "replace") for n in claim.signed_headers}
        )
        if unsigned:
            words = (
                "There were headers present in the request which were not signed"
                if protocol == "s3"
                else f"'{unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization."
            )
            raise NotLetIn("unsigned-headers", words, protocol, {"HeadersNotSigned": ", ".join(unsigned)})

    @staticmethod
    def _s3_payload(scope: Scope, claim: Claim, query: dict[str, str]) -> str:
        """What stands for the body; S3 itself compares it with what arrives, chunk by chunk or at the end."""
        given = wire.header(scope, b"x-amz-content-sha256")
        if given is None and claim.expires_s is not None:
            return query.get("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
        if given is None:
            raise AwsError(
                "Missing required header for this request: x-amz-content-sha256", code="InvalidRequest"
            )
        known = ("UNSIGNED-PAYLOAD", chunks.UNSIGNED_TRAILER, *chunks.SIGNED_PAYLOADS)
        if given not in known and not SHA256_HEX.fullmatch(given):
            raise AwsError(
                f"x-amz-content-sha256 must be {', '.join(known)}, or a valid sha256 value.",
                code="InvalidArgument",
            )
        return given

    @staticmethod
    def _payload(scope: Scope, body: bytes, protocol: str) -> str:
        computed = hashlib.sha256(body).hexdigest()
        given = wire.header(scope, b"x-amz-content-sha256")
        if given is not None and not hmac.compare_digest(given.encode("latin-1"), computed.encode()):
            raise NotLetIn("body", MISMATCH, protocol)
        return computed

    @staticmethod
    async def _body(receive: Receive) -> bytes:
        try:
            return await wire.read_body(receive, BODY_BYTES)
        except wire.BodyTooLarge as error:
            raise RequestEntityTooLarge(f"The body has {error}") from error

    def _verify_version2(self, scope: Scope, query: dict[str, str]) -> None:
        token = query.get("x-amz-security-token")
        key = self._key(query["AWSAccessKeyId"], token, "s3")
        expires = query["Expires"]
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            raise NotLetIn("missing", "Invalid date (should be seconds since epoch): " + expires[:40], "s3")
        if int(expires) < time.time():
            end = f"{datetime.fromtimestamp(int(expires), UTC):%Y-%m-%dT%H:%M:%SZ}"
            raise NotLetIn("expired", "Request has expired", "s3", {"Expires": end})
        host = (wire.header(scope, b"host") or "").rsplit(":", 1)[0].lower()
        match = HOST_SUFFIX.fullmatch(host)
        bucket = match["bucket"] if match and match["bucket"] else ""
        computed = version2.compute(scope, key, bucket)
        if not hmac.compare_digest(computed.encode(), query["Signature"].encode("utf-8", "replace")):
            raise NotLetIn("signature", MISMATCH, "s3", {"AWSAccessKeyId": key.access_key_id})
