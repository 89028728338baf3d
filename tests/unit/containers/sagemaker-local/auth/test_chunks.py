"""The examples of AWS's own documentation of signed chunks.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sagemaker_local.auth.chunks import ChunkSignatures
from sagemaker_local.auth.signature import signing_key
from sagemaker_local.s3.chunked import ChunkedDecoder
from sagemaker_local.s3.errors import IncompleteBody, S3Error

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@dataclass
class Example:
    seed: str
    chunks: tuple[str, str, str]
    trailer: bytes = b""
    trailer_signature: str = ""

    def signatures(self) -> ChunkSignatures:
        key = signing_key(SECRET, "20130524", "us-east-1", "s3")
        scope = "20130524/us-east-1/s3/aws4_request"
        return ChunkSignatures(key, "20130524T000000Z", scope, self.seed, trailer=bool(self.trailer))

    def body(self) -> bytes:
        first, second, last = (signature.encode() for signature in self.chunks)
        body = b"10000;chunk-signature=" + first + b"\r\n" + b"a" * 65536 + b"\r\n"
        body += b"400;chunk-signature=" + second + b"\r\n" + b"a" * 1024 + b"\r\n"
        body += b"0;chunk-signature=" + last + b"\r\n"
        if self.trailer:
            body += self.trailer + b"\r\nx-amz-trailer-signature:" + self.trailer_signature.encode() + b"\r\n"
        return body + b"\r\n"


EXAMPLES = [
    Example(
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        (
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ),
    ),
    Example(
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        (
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ),
        b"x-amz-checksum-crc32c:sOO8/Q==",
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
    ),
]


def decode(example: Example, body: bytes) -> bytes:
    decoder = ChunkedDecoder(example.signatures())
    payload = b"".join(decoder.feed(body[start : start + 7000]) for start in range(0, len(body), 7000))
    decoder.finish()
    return payload


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documented_examples(example: Example) -> None:
    assert decode(example, example.body()) == b"a" * (65536 + 1024)


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\naaaa", b"\r\nabaa"),
        (b"chunk-signature=", b"chunk-signature=0"),
        (b";chunk-signature=", b";other="),
        (b"\r\n400;chunk-signature=", b"\r\n400;x="),
        (b"\r\n0;chunk-signature=", b"\r\n0;x="),
        (b"\r\n\r\n", b"\r\nx-amz-meta:added\r\n\r\n"),
    ],
)
def test_any_change_is_noticed(example: Example, old: bytes, new: bytes) -> None:
    body = example.body().replace(old, new, 1)
    assert body != example.body()
    with pytest.raises(S3Error) as error:
        decode(example, body)
    assert error.value.code == "SignatureDoesNotMatch"


def test_the_trailer_must_be_the_signed_one() -> None:
    example = EXAMPLES[1]
    for old, new in ((b"sOO8", b"sOO9"), (b"trailer-signature:d8", b"trailer-signature:d9")):
        with pytest.raises(S3Error):
            decode(example, example.body().replace(old, new))
    with pytest.raises(S3Error):
        decode(example, example.body().split(b"x-amz-trailer-signature")[0] + b"\r\n")


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_body_cut_between_chunks_is_no_body(example: Example) -> None:
    with pytest.raises(IncompleteBody):
        decode(example, example.body().split(b"0;chunk")[0].split(b"\r\n400;")[0] + b"\r\n")
