"""Cuts what a container prints into lines; standard output and standard error each keep their own."""

from __future__ import annotations

import codecs

from sagemaker_local.executors.base import LineSink
from sagemaker_local.executors.process import LINE_CHARACTERS


class Lines:
    """One stream of a container.

    Args:
        log: Takes the lines.
    """

    def __init__(self, log: LineSink) -> None:
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes) -> None:
        """Take what was printed; hands complete lines on."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._hand_on(line.removesuffix("\r"))
        while len(self._rest) > LINE_CHARACTERS:
            self._hand_on(self._rest[:LINE_CHARACTERS])
            self._rest = self._rest[LINE_CHARACTERS:]

    def close(self) -> None:
        """Hand on what has no line end."""
        if rest := self._rest + self._decoder.decode(b"", final=True):
            self._hand_on(rest.removesuffix("\r"))
        self._rest = ""

    def _hand_on(self, line: str) -> None:
        for start in range(0, max(len(line), 1), LINE_CHARACTERS):
            self._log(line[start : start + LINE_CHARACTERS])
