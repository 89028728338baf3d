"""Small objects in S3 by location: what gates, bars and publications read and write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_sagemaker.errors import RequestRejectedError
from airflow_sagemaker.hooks.faults import if_found, translated
from airflow_sagemaker.hooks.sagemaker import SageMakerHook
from airflow_sagemaker.specs.connection import DEFAULT_CONNECTION_ID


class ObjectStorageHook:
    """Objects by location (``s3://bucket/key``, or a key in the connection's bucket).

    :param aws_conn_id: the Airflow connection
    :param sagemaker: a hook to share the connection with
    """

    def __init__(
        self, aws_conn_id: str = DEFAULT_CONNECTION_ID, *, sagemaker: SageMakerHook | None = None
    ) -> None:
        self.sagemaker = sagemaker or SageMakerHook(aws_conn_id)

    @property
    def _client(self) -> Any:
        return self.sagemaker.client("s3")

    def uri(self, location: str) -> str:
        """The full URI of a location."""
        return self.sagemaker.s3_uri(location)

    def split(self, location: str) -> tuple[str, str]:
        """Bucket and key of a location."""
        bucket, _, key = self.uri(location).removeprefix("s3://").partition("/")
        return bucket, key

    def exists(self, location: str) -> bool:
        """Whether there is such an object."""
        bucket, key = self.split(location)
        thing = f"Object {self.uri(location)}"
        return if_found(thing, self._client.head_object, Bucket=bucket, Key=key) is not None

    def read_bytes(self, location: str) -> bytes:
        """The whole object; an error that names it where there is none."""
        bucket, key = self.split(location)
        thing = f"Object {self.uri(location)}"
        found = if_found(thing, self._client.get_object, Bucket=bucket, Key=key)
        if found is None:
            raise RequestRejectedError(
                thing, "there is no such object", "Check the task that should have written it"
            )
        with translated(thing):
            body: bytes = found["Body"].read()
        return body

    def read_text(self, location: str) -> str:
        """The whole object as text."""
        return self.read_bytes(location).decode()

    def read_json(self, location: str) -> Any:
        """The whole object as JSON."""
        return json.loads(self.read_bytes(location))

    def write_bytes(
        self,
        location: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Put an object, replacing what was there at once; gives its URI."""
        bucket, key = self.split(location)
        with translated(f"Object {self.uri(location)}"):
            self._client.put_object(
                Bucket=bucket, Key=key, Body=data, ContentType=content_type, Metadata=dict(metadata or {})
            )
        return self.uri(location)

    def write_text(self, location: str, text: str, *, content_type: str = "text/plain") -> str:
        """Put a text; gives its URI."""
        return self.write_bytes(location, text.encode(), content_type=content_type)

    def write_json(self, location: str, value: Any) -> str:
        """Put a JSON document; the same value gives the same bytes."""
        text = json.dumps(value, indent=2, sort_keys=True) + "\n"
        return self.write_bytes(location, text.encode(), content_type="application/json")

    def copy(self, source: str, destination: str) -> str:
        """Copy an object inside S3; gives the destination's URI."""
        from_bucket, from_key = self.split(source)
        to_bucket, to_key = self.split(destination)
        with translated(f"Copy of {self.uri(source)} to {self.uri(destination)}"):
            self._client.copy_object(
                Bucket=to_bucket, Key=to_key, CopySource={"Bucket": from_bucket, "Key": from_key}
            )
        return self.uri(destination)

    def delete(self, location: str) -> None:
        """Delete an object; one that is not there is no error."""
        bucket, key = self.split(location)
        with translated(f"Object {self.uri(location)}"):
            self._client.delete_object(Bucket=bucket, Key=key)
