"""The routes of a serving container: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.

With SAGEMAKER_MULTI_MODEL those of a multi-model container as well:
https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .model import JSON, Answer, Model, Rest
from .user_code import base_directory

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MEGABYTES = 6
"""The most that a real-time invocation carries."""

NOT_FOUND = Answer(b"not found", "text/plain", 404)


class Loaded:
    """A model and the lock that keeps its script to one thread."""

    def __init__(self, model: Model, url: str = "") -> None:
        self.model = model
        self.url = url
        self.lock = asyncio.Lock()

    async def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answer an invocation; what the script raises is the answer."""
        async with self.lock:
            try:
                return await asyncio.to_thread(self.model.answer, body, headers)
            except Exception as error:  # what the user's code raises is the answer
                traceback.print_exc()
                return Answer(f"{error}\n{traceback.format_exc()}".encode(), "text/plain", 500)


class App:
    """One worker.

    Args:
        load: Makes a model from its directory.
        single: The model of a container that has one.
    """

    def __init__(self, load: Callable[[Path], Model], single: Model | None) -> None:
        self.load = load
        self.single = Loaded(single) if single is not None else None
        self.models: dict[str, Loaded] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = await self.route(scope["method"], scope["path"], body, headers)
        fields = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.body})

    async def route(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to a request."""
        match [method, *path.strip("/").split("/")]:
            case ["GET", "ping"]:
                return Answer(b"", JSON)
            case ["GET", "execution-parameters"]:
                return _json(
                    {
                        "MaxConcurrentTransforms": 1,
                        "BatchStrategy": "MULTI_RECORD",
                        "MaxPayloadInMB": MEGABYTES,
                    }
                )
            case ["POST", "invocations"] if self.single is not None:
                return await self.single.answer(body, headers)
            case ["GET", "models"]:
                return _json({"models": [_described(name, each) for name, each in self.models.items()]})
            case ["POST", "models"]:
                return await self._load(json.loads(body))
            case ["GET", "models", name]:
                found = self.models.get(unquote(name))
                return _json(_described(unquote(name), found)) if found else NOT_FOUND
            case ["DELETE", "models", name]:
                return Answer(b"{}") if self.models.pop(unquote(name), None) else NOT_FOUND
            case ["POST", "models", name, "invoke"]:
                found = self.models.get(unquote(name))
                return await found.answer(body, headers) if found else NOT_FOUND
            case ["POST", *_] if self.single is not None and isinstance(self.single.model, Rest):
                # Scripts call it while they hold the lock.
                return await asyncio.to_thread(self.single.model.rest, path, body)
        return NOT_FOUND

    async def _load(self, request: Mapping[str, str]) -> Answer:
        name, url = request["model_name"], request["url"]
        if name in self.models:
            return Answer(f"{name} is loaded already".encode(), "text/plain", 409)
        try:
            model = await asyncio.to_thread(self.load, Path(url))
        except MemoryError as error:
            return Answer(str(error).encode(), "text/plain", 507)
        except Exception:  # as above
            traceback.print_exc()
            return Answer(traceback.format_exc().encode(), "text/plain", 500)
        self.models[name] = Loaded(model, url)
        return Answer(b"{}")


def create() -> App:
    """The application of a worker; the model is loaded before it answers."""
    module = importlib.import_module(os.environ["MODEL_SERVER_MODULE"])
    if os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true":
        return App(module.load, None)
    return App(module.load, module.load(base_directory() / "model"))


def _described(name: str, loaded: Loaded) -> dict[str, str]:
    return {"modelName": name, "modelUrl": loaded.url}


def _json(content: object) -> Answer:
    return Answer(json.dumps(content).encode())


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
