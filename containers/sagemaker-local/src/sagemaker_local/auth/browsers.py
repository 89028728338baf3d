"""Keeps web pages out of a server on loopback that asks for no key.

A page that somebody visits can send requests to his loopback, and by DNS rebinding even read the answers.

A page gives itself away by headers that browsers set and scripts cannot: ``Origin``, ``Sec-Fetch-*``, and a
``Host`` that is the attacker's name. AWS's clients send none of the first two. Sources:
https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import wire

logger = logging.getLogger(__name__)

HARMLESS_NAMES = re.compile(r"([a-z0-9.-]+\.)?(localhost|amazonaws\.com(\.cn)?|internal)|[a-z0-9_-]+")
"""Names that no attacker can have point to loopback: reserved ones, AWS's, and those without a dot."""


class BrowserGuard:
    """An application before the application.

    Args:
        app: What answers a request that no foreign page made.
        hosts: Further names under which the server may be called.
        check_host: Whether the Host matters; a server that asks for keys cannot be rebound to any use.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), *, check_host: bool = True) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.check_host = check_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it with 403 and why."""
        why = self._why_not(scope)
        if why is None:
            await self.app(scope, receive, send)
            return
        logger.warning("refused %s %s: %s", scope["method"], scope["path"], why)
        response = PlainTextResponse(f"{why}\n", 403)
        response.headers["connection"] = "close"
        await response(scope, receive, send)

    def _why_not(self, scope: Scope) -> str | None:
        host = (wire.header(scope, b"host") or "").strip().lower()
        if self.check_host and host and not self._is_ours(host):
            return (
                f"The local SageMaker is not called '{host[:200]}'. If it is, start it with "
                f"--allow-host {host.rsplit(':', 1)[0][:200]}"
            )
        origin = wire.header(scope, b"origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return f"The local SageMaker serves no web pages of other origins, such as '{origin[:200]}'"
        if wire.header(scope, b"sec-fetch-site") in ("cross-site", "same-site") and not _follows_link(scope):
            return "The local SageMaker serves no web pages of other sites"
        return None

    def _is_ours(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if name in self.hosts or HARMLESS_NAMES.fullmatch(name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # a page at a bare address is that address's own, and no name was rebound


def _follows_link(scope: Scope) -> bool:
    """Whether somebody clicked a link, to a presigned URL say: nothing changes, the page reads nothing."""
    return (
        scope["method"] in ("GET", "HEAD")
        and wire.header(scope, b"sec-fetch-mode") == "navigate"
        and wire.header(scope, b"sec-fetch-dest") == "document"
    )
