"""CloudWatch Logs' filter patterns for unstructured events: terms, phrases, ``?any``, ``-none``.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sagemaker_local.errors import AwsError

TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?:\s+|$)')


class InvalidParameterException(AwsError):
    """A parameter has a value that cannot be."""

    code = "InvalidParameterException"


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test of messages.

    Raises:
        InvalidParameterException: a pattern for JSON or space-delimited events, or a regular expression,
            which are not there, or no pattern at all.
    """
    text = pattern.strip()
    if text.startswith(("{", "[", "%")):
        raise InvalidParameterException(
            f'The local CloudWatch Logs knows filter patterns of terms only (term, "a phrase", ?any, -none), '
            f"not JSON, space-delimited or regular-expression patterns: {pattern}"
        )
    every: list[str] = []
    some: list[str] = []
    none: list[str] = []
    position = 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None:
            raise InvalidParameterException(f"Invalid filter pattern at character {position + 1}: {pattern}")
        sign, phrase, term = match.groups()
        wanted = term if phrase is None else re.sub(r"\\(.)", r"\1", phrase)
        {"": every, "?": some, "-": none}[sign].append(wanted)
        position = match.end()

    def matches(message: str) -> bool:
        return (
            all(term in message for term in every)
            # As on AWS, ?terms count only when no other terms must be there.
            and (bool(every) or not some or any(term in message for term in some))
            and not any(term in message for term in none)
        )

    return matches
