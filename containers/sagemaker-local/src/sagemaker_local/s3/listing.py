"""One page of a bucket's keys: prefix, delimiter, where to go on.

With a delimiter a listing skips each common prefix with one search in the index, however many keys it has.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from sagemaker_local.s3 import index
from sagemaker_local.s3.records import ObjectInfo

BATCH = 1000


@dataclass(slots=True)
class Page:
    """A page of a listing.

    Attributes:
        last: The last key or common prefix on the page.
        truncated: Whether there is more after it.
    """

    objects: list[ObjectInfo] = field(default_factory=list)
    common_prefixes: list[str] = field(default_factory=list)
    last: str = ""
    truncated: bool = False

    @property
    def count(self) -> int:
        """Keys and common prefixes on the page."""
        return len(self.objects) + len(self.common_prefixes)


def successor(prefix: str) -> str | None:
    """The first text in key order after all that start with ``prefix``; None when there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if 0xD800 <= point <= 0xDFFF:  # surrogates are no characters of their own in UTF-8
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[:-1] + chr(point)
        prefix = prefix[:-1]
    return None


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What ``key`` is rolled up into, if anything."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def list_page(
    connection: sqlite3.Connection, bucket: str, *, prefix: str, delimiter: str, after: str, max_keys: int
) -> Page:
    """The keys and common prefixes after ``after``, in order.

    ``after`` may be a key or a common prefix as an earlier page gave it; all of that prefix is then skipped.
    """
    page = Page()
    end = successor(prefix)
    start, inclusive = prefix, True
    if after >= prefix:  # Python orders text by code point, which is UTF-8's order
        start, inclusive = after, False
        if after.startswith(prefix) and common_prefix(after, prefix, delimiter) == after:
            beyond = successor(after)
            if beyond is None:
                return page
            start, inclusive = beyond, True
    if max_keys == 0:
        return page
    ahead = 2  # grows while no common prefix is met: after a jump most of a big batch would be thrown away
    while True:
        ahead = min(BATCH, ahead * 2)
        limit = ahead if delimiter else min(BATCH, max_keys - page.count + 1)
        batch = index.objects_from(connection, bucket, start, inclusive=inclusive, end=end, limit=limit)
        jump: str | None = None
        for info in batch:
            if page.count == max_keys:
                page.truncated = True
                return page
            rolled_up = common_prefix(info.key, prefix, delimiter)
            if rolled_up is None:
                page.objects.append(info)
                page.last = start = info.key
                inclusive = False
                continue
            page.common_prefixes.append(rolled_up)
            page.last = rolled_up
            jump = successor(rolled_up)
            if jump is None:
                return page
            start, inclusive, ahead = jump, True, 2
            break
        if jump is None and len(batch) < limit:
            return page
