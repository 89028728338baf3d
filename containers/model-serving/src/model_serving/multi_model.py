"""The multi-model API: models come and go while the server runs.

One process holds them all, so that a model that was loaded is there for every request; several predictions
run in its threads (compiled models leave the interpreter meanwhile).
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from model_serving.errors import BadRequest, Refusal
from model_serving.handlers import Functions, Handler, load
from model_serving.settings import Settings

PAGE = 100
CGROUP_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is served, and where it came from."""

    url: str
    handler: Handler


class Models:
    """The models of the process, by name."""

    def __init__(self, settings: Settings, functions: Functions) -> None:
        self._settings = settings
        self._functions = functions
        self._loaded: dict[str, Loaded] = {}
        self._loading: set[str] = set()

    def handler(self, name: str) -> Handler:
        """The model of a name.

        Raises:
            Refusal: 404.
        """
        return self._known(name).handler

    def reserve(self, body: bytes) -> tuple[str, str]:
        """Name and path of a model that is to be loaded.

        Raises:
            Refusal: 400, 404 (no such directory), 409 (it is loaded) or 507 (there is no room).
        """
        try:
            asked = orjson.loads(body)
            name, url = str(asked["model_name"]), str(asked["url"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise BadRequest('send {"model_name": "…", "url": "/opt/ml/models/…/model"}') from None
        if name in self._loaded or name in self._loading:
            raise Refusal(f"model {name!r} is loaded already", 409)
        if not Path(url).is_dir():
            raise Refusal(f"model {name!r}: {url!r} is no directory", 404)
        limit = self._settings.max_models
        if limit and len(self._loaded) + len(self._loading) >= limit:
            raise Refusal(
                f"model {name!r}: {limit} models are loaded (MODEL_SERVER_MAX_MODELS); unload one", 507
            )
        size = sum(path.stat().st_size for path in Path(url).rglob("*") if path.is_file())
        free = free_bytes()
        if free is not None and size > free:
            raise Refusal(f"model {name!r} has {size} bytes, {free} are free; unload another", 507)
        self._loading.add(name)
        return name, url

    def load(self, name: str, url: str) -> None:
        """Load what was reserved; in a thread.

        Raises:
            Refusal: 507 or 500.
        """
        try:
            handler = load(self._functions, Path(url), self._settings.columns)
            self._loaded[name] = Loaded(url, handler)
        except MemoryError:
            raise Refusal(f"model {name!r}: there is not enough memory; unload another", 507) from None
        except Exception as error:  # what loading one model raises must not end the others
            raise Refusal(f"model {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
        finally:
            self._loading.discard(name)

    def unload(self, name: str) -> Handler:
        """Forget a model; requests under way still get their answers.

        Raises:
            Refusal: 404.
        """
        known = self._known(name)
        del self._loaded[name]
        return known.handler

    def describe(self, name: str) -> dict[str, Any]:
        """One model.

        Raises:
            Refusal: 404.
        """
        return {"modelName": name, "modelUrl": self._known(name).url}

    def page(self, token: str) -> dict[str, Any]:
        """A page of the list; the token is the last name of the one before."""
        names = sorted(name for name in self._loaded if name > token)
        page: dict[str, Any] = {"models": [self.describe(name) for name in names[:PAGE]]}
        if len(names) > PAGE:
            page["nextPageToken"] = names[PAGE - 1]
        return page

    def _known(self, name: str) -> Loaded:
        if name not in self._loaded:
            raise Refusal(f"model {name!r} is not loaded; POST /models first", 404)
        return self._loaded[name]


def free_bytes() -> int | None:
    """Memory that is left to this container, or None where nobody says."""
    found = []
    for limit_file, used_file in CGROUP_LIMITS:
        try:
            found.append(int(Path(limit_file).read_text()) - int(Path(used_file).read_text()))
        except (OSError, ValueError):
            continue
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    return min(found, default=None)
