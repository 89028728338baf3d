"""Which names buckets and keys may have.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

from __future__ import annotations

import re

from sagemaker_local.s3.errors import InvalidBucketName, KeyTooLong

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
RESERVED_PREFIXES = ("xn--", "sthree-")
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
KEY_MAXIMUM_BYTES = 1024


def check_bucket_name(name: str) -> None:
    """Refuse a name that AWS refuses.

    Raises:
        InvalidBucketName: with the name.
    """
    if (
        not BUCKET_NAME.fullmatch(name)
        or ".." in name
        or IP_ADDRESS.fullmatch(name)
        or name.startswith(RESERVED_PREFIXES)
        or name.endswith(RESERVED_SUFFIXES)
    ):
        raise InvalidBucketName(name)


def check_key(key: str) -> None:
    """Refuse a key that is too long; any other text is a key.

    Raises:
        KeyTooLong: more than 1,024 bytes of UTF-8.
    """
    size = len(key.encode("utf-8"))
    if size > KEY_MAXIMUM_BYTES:
        raise KeyTooLong(size, KEY_MAXIMUM_BYTES)
