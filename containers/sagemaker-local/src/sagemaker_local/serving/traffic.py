"""Which fleet takes a request while an update moves an endpoint from one fleet to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sagemaker_local.serving.fleet import Fleet, Instance
from sagemaker_local.serving.router import Variant


@dataclass(slots=True)
class _Share:
    fleet: Fleet
    share: float
    credit: float = 0.0


class Traffic:
    """An endpoint's requests, split among its fleets so that any run of them is close to the shares.

    Args:
        fleet: Takes everything until :meth:`split` says otherwise.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._shares = [_Share(fleet, 1.0)]

    @property
    def fleets(self) -> list[Fleet]:
        """Everything that takes requests, by share or by name."""
        return [each.fleet for each in self._shares]

    @property
    def shares(self) -> list[tuple[Fleet, float]]:
        """The fleets with the part of the requests that each takes, for whoever watches."""
        return [(each.fleet, each.share) for each in self._shares]

    def split(self, shares: Mapping[Fleet, float]) -> None:
        """From the next request on, give each fleet its share; a fleet that is not named gets none."""
        self._shares = [_Share(fleet, share) for fleet, share in shares.items()]

    def fleet(self, variant: str | None = None) -> Fleet:
        """The fleet that takes the next request; of those with a variant of that name, if one is wanted.

        Raises:
            KeyError: no fleet has a variant of that name.
        """
        able = [each for each in self._shares if variant is None or each.fleet.serves(variant)]
        able = [each for each in able if each.share > 0] or able
        if not able:
            raise KeyError(variant)
        if len(able) == 1:
            return able[0].fleet
        for each in able:
            each.credit += each.share
        chosen = max(able, key=lambda each: each.credit)
        chosen.credit -= sum(each.share for each in able)
        return chosen.fleet

    def variant(self, name: str | None = None) -> Variant:
        """The variant that takes the next request: the one of that name, or one by weight.

        Raises:
            KeyError: no fleet has a variant of that name.
        """
        return self.fleet(name).router.variant(name)

    def instances(self) -> list[Instance]:
        """All instances of all fleets, with the process ids of their containers."""
        return [instance for each in self._shares for instance in each.fleet.instances()]
