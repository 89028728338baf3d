"""What a request is refused with: a status and a text that says what would be accepted."""

from __future__ import annotations


class Refusal(Exception):
    """A request that gets no prediction.

    Attributes:
        status: Of the answer.
        retry_after_s: When to come again, where that would help.
    """

    status = 500

    def __init__(self, text: str, status: int | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status
        self.retry_after_s = retry_after_s


class BadRequest(Refusal):
    """The body is not what its content type says, or not what the model takes."""

    status = 400


class NotAcceptable(Refusal):
    """No content type that the caller accepts can be written."""

    status = 406


class UnsupportedContentType(Refusal):
    """The body's content type cannot be read."""

    status = 415


class TooLarge(Refusal):
    """The body is longer than MODEL_SERVER_MAX_BODY_MB."""

    status = 413


class Busy(Refusal):
    """More requests wait than MODEL_SERVER_QUEUE allows."""

    status = 503


class StartError(Exception):
    """The server cannot start; the text says why and what to do."""
