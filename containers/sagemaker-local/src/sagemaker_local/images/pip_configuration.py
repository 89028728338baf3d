"""Where pip of this machine takes packages from: its configuration files and ``PIP_*`` variables.

uv does not read them, and a mirror that only they name must serve our environments too, as well as what
programs install with pip when they run. Files and their order: https://pip.pypa.io/en/stable/topics/configuration/
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

SECTIONS = ("global", "install")


@dataclass(frozen=True, slots=True)
class PipConfiguration:
    """The options of pip that say where packages come from; empty where nothing is set."""

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False

    def for_uv(self) -> list[str]:
        """Options of ``uv pip install``; of several indexes the best version counts, as with pip."""
        options = [f"--default-index={self.index_url}"] if self.index_url else []
        options += [f"--index={url}" for url in self.extra_index_urls]
        options += [f"--find-links={link}" for link in self.find_links]
        options += [f"--allow-insecure-host={host}" for host in self.trusted_hosts]
        options += ["--no-index"] if self.no_index else []
        return [*options, "--index-strategy=unsafe-best-match"]

    def for_programs(self) -> dict[str, str]:
        """``PIP_*`` variables for programs that run pip."""
        values = {
            "PIP_INDEX_URL": self.index_url,
            "PIP_EXTRA_INDEX_URL": " ".join(self.extra_index_urls),
            "PIP_FIND_LINKS": " ".join(self.find_links),
            "PIP_TRUSTED_HOST": " ".join(self.trusted_hosts),
            "PIP_NO_INDEX": "1" if self.no_index else "",
        }
        return {name: value for name, value in values.items() if value}

    def local_directories(self) -> tuple[Path, ...]:
        """Directories of this machine among them, which a sandbox must show."""
        addresses = (self.index_url, *self.extra_index_urls, *self.find_links)
        paths = (_local(address) for address in addresses)
        return tuple(path for path in paths if path is not None and path.is_dir())


def read_pip_configuration(environment: Mapping[str, str] | None = None) -> PipConfiguration:
    """What pip would use; an option of a later place replaces that of an earlier one."""
    environment = os.environ if environment is None else environment
    options: dict[str, str] = {}
    if environment.get("PIP_CONFIG_FILE") != os.devnull:
        for path in _files(environment):
            options |= _of_file(path)
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return PipConfiguration(
        index_url=options.get("index-url", ""),
        extra_index_urls=tuple(options.get("extra-index-url", "").split()),
        find_links=tuple(options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        no_index=options.get("no-index", "").lower() in {"1", "true", "yes", "on"},
    )


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    for directory in reversed(environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)):
        yield Path(directory, "pip/pip.conf")
    yield Path("/etc/pip.conf")
    if home := environment.get("HOME"):
        yield Path(home, ".pip/pip.conf")
        yield Path(environment.get("XDG_CONFIG_HOME") or Path(home, ".config"), "pip/pip.conf")
    if chosen := environment.get("PIP_CONFIG_FILE"):
        yield Path(chosen)


def _of_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}  # pip complains about such a file by itself
    found: dict[str, str] = {}
    for section in SECTIONS:
        if parser.has_section(section):
            found |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    return found


def _local(address: str) -> Path | None:
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(address) if address.startswith("/") else None
