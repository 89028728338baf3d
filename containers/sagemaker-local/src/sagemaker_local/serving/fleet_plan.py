"""What a fleet consists of: plain data that is kept with the endpoint, so that it comes back as it was."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sagemaker_local.serving.container import Container


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """A variant with everything resolved that its instances need.

    Attributes:
        name: VariantName.
        weight: Its share of the requests, among the others' weights; of a shadow variant, against its
            production variant's.
        instances: How many there are to be.
        container: What each runs.
        start_timeout_s: How long one may take to answer its first /ping.
        instance_type: ``ml.…``.
        serverless: ServerlessConfig of a serverless variant.
        shadow: It gets copies of requests, and nobody gets its answers.
    """

    name: str
    weight: float
    instances: int
    container: Container
    start_timeout_s: float | None = None
    instance_type: str | None = None
    serverless: Mapping[str, Any] | None = None
    shadow: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "name": self.name,
            "weight": self.weight,
            "instances": self.instances,
            "container": self.container.to_json(),
            "start_timeout_s": self.start_timeout_s,
            "instance_type": self.instance_type,
            "serverless": self.serverless,
            "shadow": self.shadow,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> VariantPlan:
        """The reverse of :meth:`to_json`."""
        return cls(**{**stored, "container": Container.from_json(stored["container"])})


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a fleet consists of; kept with the endpoint, so that it comes back after a restart as it was."""

    id: str
    config_name: str
    variants: Sequence[VariantPlan]
    data_capture: Mapping[str, Any] | None = None
    asynchronous: Mapping[str, Any] | None = None

    @classmethod
    def new(
        cls, config_name: str, variants: Sequence[VariantPlan], config: Mapping[str, Any] | None = None
    ) -> FleetPlan:
        """A plan with an identity of its own; the endpoint config's other settings come from ``config``."""
        given = config or {}
        return cls(
            secrets.token_hex(6),
            config_name,
            variants,
            data_capture=given.get("DataCaptureConfig"),
            asynchronous=given.get("AsyncInferenceConfig"),
        )

    @property
    def counts(self) -> dict[str, int]:
        """Instances by variant."""
        return {variant.name: variant.instances for variant in self.variants}

    @property
    def serving_counts(self) -> dict[str, int]:
        """Instances by variant, without the shadow variants."""
        return {variant.name: variant.instances for variant in self.variants if not variant.shadow}

    def resized(self, changes: Mapping[str, tuple[float | None, int | None]]) -> FleetPlan:
        """The plan with other weights and instance counts by variant; None keeps what there is."""
        variants = []
        for variant in self.variants:
            weight, count = changes.get(variant.name, (None, None))
            variants.append(
                replace(
                    variant,
                    weight=variant.weight if weight is None else weight,
                    instances=variant.instances if count is None else count,
                )
            )
        return replace(self, variants=variants)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        variants = [variant.to_json() for variant in self.variants]
        return {
            "id": self.id,
            "config_name": self.config_name,
            "variants": variants,
            "data_capture": self.data_capture,
            "asynchronous": self.asynchronous,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FleetPlan:
        """The reverse of :meth:`to_json`."""
        variants = [VariantPlan.from_json(variant) for variant in stored["variants"]]
        return cls(**{**stored, "variants": variants})
