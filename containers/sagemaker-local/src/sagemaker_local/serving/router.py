"""Which instance takes a request: variants by weight, instances by who is least busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sagemaker_local.serving.http import NotListening
from sagemaker_local.serving.model_server import ModelServer


@dataclass(slots=True)
class Variant:
    """A production variant's instances and its share of the traffic."""

    name: str
    weight: float
    servers: Sequence[ModelServer]
    credit: float = field(default=0.0, init=False)
    turn: int = field(default=0, init=False)

    def pick(self) -> ModelServer:
        """The ready instance with the fewest requests under way, in turn among equals; else any.

        Raises:
            NotListening: the variant has no instance now.
        """
        if not self.servers:
            raise NotListening(f"variant {self.name} has no instance now")
        self.turn += 1
        in_turn = [self.servers[(self.turn + at) % len(self.servers)] for at in range(len(self.servers))]
        ready = [server for server in in_turn if server.ready] or in_turn
        return min(ready, key=lambda server: server.outstanding)


class Router:
    """Spreads requests over variants so that any run of them is close to the weights (smooth round robin).

    Args:
        variants: At least one of them has a weight above 0.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._variants = variants

    def variant(self, name: str | None = None) -> Variant:
        """The variant of that name, or the next one by weight.

        Raises:
            KeyError: no variant has that name.
        """
        if name is not None:
            return {variant.name: variant for variant in self._variants}[name]
        if len(self._variants) == 1:
            return self._variants[0]
        for variant in self._variants:
            variant.credit += variant.weight
        chosen = max(self._variants, key=lambda variant: variant.credit)
        chosen.credit -= sum(variant.weight for variant in self._variants)
        return chosen
