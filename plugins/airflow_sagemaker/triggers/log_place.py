"""Where a job or an endpoint prints: which streams of which group, and from when on.

Source of the names: https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogPlace:
    """Streams of one log group.

    :param group: the log group
    :param prefix: ``<job>/`` for the streams of a job, and the stream ``<job>`` that a compilation job has;
        any other beginning as it stands, such as ``<tuning job>-``; empty for all streams of the group
    :param since_ms: leave out what was printed before, in milliseconds since the epoch
    """

    group: str
    prefix: str = ""
    since_ms: int | None = None

    @property
    def stream_prefix(self) -> str:
        """What to ask AWS for; it may answer with more than :meth:`takes`."""
        return self.prefix.removesuffix("/")

    def takes(self, stream: str) -> bool:
        """Whether the stream is one of these."""
        return stream.startswith(self.prefix) or f"{stream}/" == self.prefix

    def short(self, stream: str) -> str:
        """A stream's name as people want to read it: ``algo-1`` of ``<job>/algo-1-<epoch>``."""
        if f"{stream}/" == self.prefix or not self.prefix:
            return stream
        parts = stream.removeprefix(self.prefix).split("/")
        instance = 0 if self.prefix.endswith("/") else -1
        parts[instance] = parts[instance].rsplit("-", 1)[0]
        return "/".join(parts)

    def line(self, stream: str, text: str) -> str:
        """A line of the task log."""
        return f"[{self.short(stream)}] {text}"
