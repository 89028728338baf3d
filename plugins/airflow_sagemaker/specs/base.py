"""What every spec shares: frozen, no unknown fields, and the words of a request that all jobs use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

JsonObject: TypeAlias = dict[str, Any]


class Spec(BaseModel):
    """A value that says what is wanted. A misspelt field is an error, and nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Places(Protocol):
    """Where short names lead: answered by the connection, so a spec runs in any account."""

    @property
    def role_arn(self) -> str:
        """The role that jobs run under."""
        ...

    def s3_uri(self, location: str) -> str:
        """The full URI of a location, which may be relative to the connection's bucket."""
        ...

    def image_uri(self, image: str) -> str:
        """The full URI of an image, which may be a bare name in the connection's registry."""
        ...


class Resources(Spec):
    """Machines of a job."""

    instance_type: str = "ml.m5.large"
    instance_count: int = Field(default=1, ge=1)
    volume_gb: int = Field(default=30, ge=1)

    def to_cluster(self) -> JsonObject:
        """The block of training (``ResourceConfig``) and processing (``ClusterConfig``)."""
        return {
            "InstanceType": self.instance_type,
            "InstanceCount": self.instance_count,
            "VolumeSizeInGB": self.volume_gb,
        }


def text_of(value: str | int | float | bool) -> str:
    """A hyper-parameter or environment value as containers read it; booleans as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_map(values: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """All values as containers read them."""
    return {key: text_of(value) for key, value in values.items()}
