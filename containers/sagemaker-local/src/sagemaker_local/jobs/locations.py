"""``s3://bucket/key`` and what it means as an input."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from sagemaker_local.jobs.outcome import client_error

S3_URI = re.compile(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket and a key or prefix in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Read an S3 URI.

        Raises:
            JobFailed: it is none.
        """
        match = S3_URI.fullmatch(uri)
        if match is None:
            raise client_error(f"'{uri}' is not an S3 URI: write s3://bucket/prefix")
        return cls(match.group(1), match.group(2) or "")

    def join(self, *parts: str) -> Location:
        """Another location below this one."""
        return Location(self.bucket, "/".join([self.key.strip("/"), *parts]).strip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def relative_path(self, key: str) -> str:
        """Where an object that this prefix matches goes below the input's directory.

        A prefix is a string, not a folder: ``data/train`` matches ``data/train``, ``data/train/a.csv`` and
        ``data/train-2.csv``, which become ``train``, ``a.csv`` and ``train-2.csv``.

        Raises:
            JobFailed: the key leads out of the directory.
        """
        folder = self.key if self.key.endswith("/") or not self.key else f"{self.key}/"
        start = len(folder) if key.startswith(folder) else self.key.rfind("/") + 1
        path = key[start:].lstrip("/")
        if ".." in path.split("/") or posixpath.normpath(path) in {"", "."}:
            raise client_error(f"the key '{key}' in bucket '{self.bucket}' cannot be a file path")
        return path
