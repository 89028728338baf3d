"""moto as a library behind our router: IAM, STS, ECR, SNS, SQS and EventBridge, which run nothing.

moto keeps its state in memory: roles, topics and queues made through it are gone after a restart, unlike
everything else in this server. Its errors, HTML pages included, leave here in AWS's shape. It takes
seconds to import, so nothing is imported before the first call.

moto's WSGI application is an internal of moto: the version is pinned exactly in requirements.in.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from sagemaker_local.errors import AwsError, InternalFailure, UnknownOperationException
from sagemaker_local.s3 import xml

logger = logging.getLogger(__name__)

# The query protocol's XML namespaces.
NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
}

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request for moto."""

    service: str
    action: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class MotoBridge:
    """Calls moto, one request at a time: its backends are not made for threads.

    Args:
        account: The account that moto answers as.
        region: The region of services that have regions.
    """

    def __init__(self, account: str, region: str) -> None:
        self._account, self._region = account, region
        self._lock = threading.Lock()
        self._application: WsgiApp | None = None
        self._events_called = False
        self.calls = 0
        """Counts what may have changed something: all calls but those that receive messages."""

    @property
    def has_rules(self) -> bool:
        """Whether somebody waits for events on the default bus; loads nothing."""
        if not self._events_called:
            return False
        from moto.events.models import events_backends

        return bool(events_backends[self._account][self._region].event_buses["default"].rules)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """For whoever goes to moto's backends himself, while nobody else does."""
        with self._lock:
            yield
            self.calls += 1

    def __call__(self, call: Call) -> Answer:
        """Answer a request; what moto cannot do is answered in AWS's shape and names the operation."""
        try:
            with self._lock:
                answer = self._run(call)
                self._events_called = self._events_called or call.service == "events"
                self.calls += call.action != "ReceiveMessage"
        except NotImplementedError:
            return error_answer(
                call.service,
                UnknownOperationException(
                    f"The local SageMaker does not implement {call.service} {call.action}"
                ),
            )
        except Exception as error:  # moto's defects are of any class
            logger.exception("moto failed in %s %s", call.service, call.action)
            return error_answer(
                call.service,
                InternalFailure(
                    f"{call.service} {call.action} failed in moto: {error!r}; see the server's log"
                ),
            )
        if answer.status >= 400 and (not answer.body or b"<html" in answer.body[:200].lower()):
            failure = f"moto has no answer to {call.service} {call.action}, only HTTP {answer.status}"
            return error_answer(call.service, InternalFailure(failure, status_code=answer.status))
        return answer

    def queue_wait_s(self, name: str) -> int:
        """ReceiveMessageWaitTimeSeconds of an SQS queue; 0 where there is none."""
        with self._lock:
            if self._application is None:
                return 0  # and no queue
            from moto.sqs import sqs_backends

            queue = sqs_backends[self._account][self._region].queues.get(name)
            return 0 if queue is None else int(queue.receive_message_wait_time_seconds or 0)

    def publish(self, topic_arn: str, message: str) -> None:
        """Publish to an SNS topic, whose subscribers are moto's.

        Raises:
            RuntimeError: there is no such topic.
        """
        form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic_arn, "Message": message}
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "authorization": f"AWS4-HMAC-SHA256 Credential=local/20100331/{self._region}/sns/aws4_request",
        }
        answer = self(Call("sns", "Publish", "POST", "/", "", headers, urlencode(form).encode()))
        if answer.status != 200:
            raise RuntimeError(f"SNS takes nothing for {topic_arn}: {answer.body[:500]!r}")

    def _run(self, call: Call) -> Answer:
        if self._application is None:
            self._application = _load()
        status_and_headers: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
            status_and_headers[:] = [int(status.split(" ", 1)[0]), headers]

        chunks = self._application(self._environ(call), start_response)
        try:
            body = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, headers = status_and_headers
        return Answer(status, {name.lower(): value for name, value in headers}, body)

    def _environ(self, call: Call) -> dict[str, Any]:
        host = f"{call.service}.{self._region}.amazonaws.com"
        environ: dict[str, Any] = {
            "REQUEST_METHOD": call.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(call.path, "latin-1"),
            "QUERY_STRING": call.query,
            "CONTENT_LENGTH": str(len(call.body)),
            "CONTENT_TYPE": call.headers.get("content-type", ""),
            "SERVER_NAME": host,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(call.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in call.headers.items():
            if name not in ("content-length", "content-type", "transfer-encoding"):
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        # The host decides which of moto's backends answers, whatever address the client used.
        return environ | {"HTTP_HOST": host, "HTTP_X_MOTO_ACCOUNT_ID": self._account}


def _load() -> WsgiApp:
    """Moto's dispatcher; its applications are in debug mode, so exceptions come out as exceptions."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    application: WsgiApp = DomainDispatcherApplication(create_backend_app)
    return application


def error_answer(service: str, error: AwsError) -> Answer:
    """An error in the envelope of a service's protocol: XML for the query services, else JSON."""
    request_id = str(uuid.uuid4())
    if service not in NAMESPACES:
        return Answer(
            error.status_code,
            {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": request_id},
            json.dumps({"__type": error.code, "message": error.message}).encode(),
        )
    content: dict[str, xml.Value] = {
        "Error": {
            "Type": "Receiver" if error.status_code >= 500 else "Sender",
            "Code": error.code,
            "Message": error.message,
        },
        "RequestId": request_id,
    }
    return Answer(
        error.status_code,
        {"content-type": "text/xml", "x-amzn-requestid": request_id},
        xml.document("ErrorResponse", content, namespace=NAMESPACES[service]),
    )


def query_answer(service: str, action: str, result: Mapping[str, xml.Value]) -> Answer:
    """A result in the query protocol's envelope."""
    request_id = str(uuid.uuid4())
    content: dict[str, xml.Value] = {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    return Answer(
        200,
        {"content-type": "text/xml", "x-amzn-requestid": request_id},
        xml.document(f"{action}Response", content, namespace=NAMESPACES[service]),
    )
