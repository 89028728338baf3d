"""Who waits for what in one group of triggers, and when each of them has to look for itself.

Everything here is of one event loop, and none of it talks to AWS.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakValueDictionary

from airflow_sagemaker.triggers.shared_poll_listings import Mark

PARALLEL_LOOKS = 5
"""So many describe calls of one group at once: a thousand triggers starting together are spread out."""
INTERVALS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Triggers whose intervals are almost the same share a poll; it looks at the shorter one."""


class PollKey(NamedTuple):
    """What one poll serves; Airflow's ``shared_stream_key``."""

    aws_conn_id: str
    region_name: str | None
    region: str | None
    """The region that the jobs were made in: a connection that leads elsewhere later is another poll."""
    operation: str
    interval_s: float


def interval_class_s(poll_interval_s: float) -> float:
    """The interval of the group that a trigger belongs to: its own, or a little shorter.

    It is part of the key because Airflow makes a group's poll from any one of its triggers: what the key
    does not hold would be the first one's.
    """
    return max((each for each in INTERVALS_S if each <= poll_interval_s), default=poll_interval_s)


@dataclass(frozen=True, slots=True)
class Tick:
    """What one look of the poll found, small and shared by all: only about what somebody waits for.

    :param number: of the look; 0 for a mere beat of the clock, which tells nothing
    :param marks: what the list of changes shows, and a sweep of newcomers
    :param swept: whether the active ones were counted in this look
    :param gone: those that were waited for when it began and are not among the active ones
    :param told: those of which an event has come
    :param trouble: why AWS could not be asked
    """

    number: int
    marks: Mapping[str, Mark] = field(default_factory=dict)
    swept: bool = False
    gone: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    trouble: str | None = None


BEAT = Tick(0)


class Watch:
    """The names that triggers of one group wait for."""

    def __init__(self) -> None:
        self.newcomers: Counter[str] = Counter()
        """Waited for, and not yet seen by a look of the poll."""
        self.looks = 0
        """How many looks have begun."""
        self.gate = asyncio.Semaphore(PARALLEL_LOOKS)
        self._names: Counter[str] = Counter()
        self._told: set[str] = set()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @property
    def names(self) -> Collection[str]:
        """What is waited for now."""
        return self._names.keys()

    @contextmanager
    def waiting(self, name: str) -> Iterator[Attention]:
        """Wait for a name while the block lasts."""
        attention = Attention(self, name)
        self._names[name] += 1
        self.newcomers[name] += 1
        try:
            yield attention
        finally:
            attention.settle()
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]

    def begin_look(self) -> int:
        """The number of the look that begins now."""
        self.looks += 1
        return self.looks

    def tell(self, name: str) -> None:
        """An event came about a name: the next look is now."""
        self._told.add(name)
        self._wake.set()

    def take_told(self) -> frozenset[str]:
        """The names told since the last time."""
        told = frozenset(self._told)
        self._told.clear()
        self._wake.clear()
        return told

    async def woken(self, within_s: float) -> bool:
        """Sleep; whether an event cut it short."""
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


_watches: WeakValueDictionary[tuple[int, PollKey], Watch] = WeakValueDictionary()


def watch_of(key: PollKey) -> Watch:
    """The watch that the poll of a key and its triggers share; gone with the last of them."""
    of_loop = (id(asyncio.get_running_loop()), key)
    watch = _watches.get(of_loop)
    if watch is None:
        watch = _watches[of_loop] = Watch()
    return watch


class Attention:
    """When one trigger has to describe its job: at first, unless it is known to be active, then on a change.

    :ivar due: whether it has to
    """

    def __init__(self, watch: Watch, name: str) -> None:
        self.due = False
        self._watch = watch
        self._name = name
        self._joined_at = watch.looks
        self._new = True
        self._seen: Mark | None = None
        self._shown: Mark | None = None

    def note(self, tick: Tick, active: Collection[str]) -> Mark | None:
        """Take in what a look found; its mark, where that is news of something active.

        :param active: the statuses that do not end the wait
        """
        if self._name in tick.told:
            self.due = True
        if tick.number <= self._joined_at:  # it began before this trigger came
            return None
        mark = tick.marks.get(self._name)
        news: Mark | None = None
        if mark is not None and not self._knows(mark):
            self._shown = mark
            if self._new and mark.status in active:
                self._seen = news = mark
            else:
                self.due = True
        elif tick.swept:
            self.due = self.due or self._name in tick.gone
        elif mark is None and self._new:
            self.due = True
        self.settle()
        return news

    def looked(self, mark: Mark | None, status: str) -> None:
        """It has been described, with this result.

        What a list showed is settled once Describe agrees: either may lag behind the other.
        """
        self.due = False
        self.settle()
        if mark is not None:
            self._seen = mark
        elif self._shown is not None and self._shown.status == status:
            self._seen = self._shown

    def _knows(self, mark: Mark) -> bool:
        """Whether it is what was seen before, or an older stamp of the same state."""
        seen = self._seen
        return seen is not None and mark.status == seen.status and mark.modified_s <= seen.modified_s

    def settle(self) -> None:
        """It is no newcomer any more."""
        if self._new:
            self._new = False
            self._watch.newcomers[self._name] -= 1
            if not self._watch.newcomers[self._name]:
                del self._watch.newcomers[self._name]
