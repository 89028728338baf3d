"""The access keys that the server accepts, and where they come from."""

from __future__ import annotations

import configparser
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ENVIRONMENT_ID = "SAGEMAKER_LOCAL_ACCESS_KEY_ID"
ENVIRONMENT_SECRET = "SAGEMAKER_LOCAL_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
MINIMUM_SECRET_CHARACTERS = 16
TEMPORARY = re.compile(
    r"<AccessKeyId>(?P<id>[^<]+)</AccessKeyId>\s*<SecretAccessKey>(?P<secret>[^<]+)</SecretAccessKey>\s*"
    r"<SessionToken>(?P<token>[^<]+)</SessionToken>\s*(<Expiration>(?P<expires>[^<]+)</Expiration>)?"
)


class CredentialsError(ValueError):
    """The credentials that the server was given cannot be used; says why and what to do."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One key; the secrets never show in logs.

    Attributes:
        access_key_id: Its public half.
        secret: What requests are signed with.
        session_token: Comes along with every request that a temporary key signs.
        expires_at_s: Unix time at which a temporary key ends.
    """

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at_s: float | None = None


LOCAL_KEY = AccessKey("local", "local")
"""What programs get from a server that checks nothing."""


class KeyRing:
    """Keys by their id."""

    def __init__(self, *keys: AccessKey) -> None:
        self._keys = {key.access_key_id: key for key in keys}

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key, also when it has expired: the caller is told so."""
        return self._keys.get(access_key_id)

    def learn(self, answer: bytes) -> None:
        """Take the temporary key in an answer of STS; it ends with its time, or with the server."""
        match = TEMPORARY.search(answer.decode("utf-8", "replace"))
        if match is None:
            return
        expires = datetime.fromisoformat(match["expires"]).timestamp() if match["expires"] else None
        now_s = time.time()
        self._keys = {
            id: key for id, key in self._keys.items() if key.expires_at_s is None or key.expires_at_s > now_s
        }
        self._keys[match["id"]] = AccessKey(match["id"], match["secret"], match["token"], expires)


def generate() -> AccessKey:
    """A new key, as long as AWS's."""
    return AccessKey(f"AKIALOCAL{secrets.token_hex(6).upper()[:11]}", secrets.token_urlsafe(30))


def read_file(path: Path) -> tuple[AccessKey, ...]:
    """Every profile of an AWS shared credentials file.

    Raises:
        CredentialsError: it is missing, open to others, malformed, or holds a guessable secret.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if path.stat().st_mode & 0o077:
            raise CredentialsError(f"{path} can be read by other users; run: chmod 600 {path}")
        parser.read_string(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path} cannot be read: {error}") from error
    except configparser.Error as error:
        raise CredentialsError(
            f"{path} is no AWS credentials file: {error.message.splitlines()[0]}"
        ) from error
    found = []
    for profile in parser.sections():
        section = parser[profile]
        try:
            id, secret = section["aws_access_key_id"], section["aws_secret_access_key"]
        except KeyError as error:
            raise CredentialsError(f"{path}: profile '{profile}' has no {error.args[0]}") from error
        found.append(_checked(id, secret, section.get("aws_session_token"), f"{path}: profile '{profile}'"))
    if not found:
        raise CredentialsError(f"{path} has no profile, such as [default]")
    return tuple(found)


def from_environment(environment: Mapping[str, str]) -> tuple[AccessKey, ...]:
    """The key in ``SAGEMAKER_LOCAL_ACCESS_KEY_ID`` and ``…_SECRET_ACCESS_KEY``, if any.

    Raises:
        CredentialsError: one is there without the other, or the secret is guessable.
    """
    id, secret = environment.get(ENVIRONMENT_ID), environment.get(ENVIRONMENT_SECRET)
    if not id and not secret:
        return ()
    if not id or not secret:
        raise CredentialsError(f"{ENVIRONMENT_ID} and {ENVIRONMENT_SECRET} must both be set, or neither")
    return (_checked(id, secret, None, ENVIRONMENT_SECRET),)


def generated_file(path: Path) -> tuple[AccessKey, ...]:
    """The key in a file of the server's own, made at the first start, readable by its owner alone."""
    if not path.exists():
        key = generate()
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(
                f"[default]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret}\n"
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return read_file(path)


def _checked(id: str, secret: str, token: str | None, where: str) -> AccessKey:
    if not re.fullmatch(r"[\w-]{1,128}", id):
        raise CredentialsError(f"{where}: an access key id has letters, digits, '_' and '-' only")
    if len(secret) < MINIMUM_SECRET_CHARACTERS:
        raise CredentialsError(f"{where}: the secret is shorter than {MINIMUM_SECRET_CHARACTERS} characters")
    return AccessKey(id, secret, token)
