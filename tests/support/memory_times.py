"""When a memory answers, as the models of engines ask: by rule, or as it did in a simulation."""

from collections.abc import Sequence
from typing import Protocol

from tests.support.axi_memory import ReadLog, WriteLog


class ReadTimes(Protocol):
    """The memory behind an engine that reads. Bursts are counted from 0."""

    def address(self, burst: int, offered: int) -> int:
        """When the address offered from cycle ``offered`` on is accepted."""

    def beats(self, burst: int, accepted: int, number: int) -> Sequence[int]:
        """When each of the ``number`` beats comes."""


class WriteTimes(Protocol):
    """The memory behind an engine that writes. Bursts and beats are counted from 0."""

    def address(self, burst: int, offered: int) -> int:
        """When the address offered from cycle ``offered`` on is accepted."""

    def beat(self, beat: int, offered: int) -> int:
        """When the beat offered from cycle ``offered`` on is accepted."""

    def response(self, burst: int, last_beat: int) -> int:
        """When the burst is answered whose last beat was accepted in cycle ``last_beat``."""


class IdealReads:
    """Takes every address at once, and answers by the rule of ``AxiMemory`` without stalls."""

    def __init__(self, *, latency: int, beat_interval: int, register: int = 0) -> None:
        """``register`` counts the cycles from the engine's address to the bus."""
        self._latency, self._interval = latency + register, beat_interval
        self._free = 0

    def address(self, burst: int, offered: int) -> int:
        """At once."""
        return offered

    def beats(self, burst: int, accepted: int, number: int) -> Sequence[int]:
        """The first after the latency, unless earlier bursts are still coming."""
        first = max(accepted + self._latency, self._free)
        self._free = first + number * self._interval
        return range(first, self._free, self._interval)


class ObservedReads:
    """As it was."""

    def __init__(self, log: ReadLog) -> None:
        self._log = log

    def address(self, burst: int, offered: int) -> int:
        """As observed."""
        return self._log.accepted[burst]

    def beats(self, burst: int, accepted: int, number: int) -> Sequence[int]:
        """As observed."""
        return self._log.beats[burst]


class IdealWrites:
    """Takes every address at once, and the rest by the rule of ``AxiMemory`` without stalls."""

    def __init__(self, *, latency: int, beat_interval: int) -> None:
        self._latency, self._interval = latency, beat_interval
        self._free = 0

    def address(self, burst: int, offered: int) -> int:
        """At once."""
        return offered

    def beat(self, beat: int, offered: int) -> int:
        """At once, or when the bandwidth allows it."""
        accepted = max(offered, self._free)
        self._free = accepted + self._interval
        return accepted

    def response(self, burst: int, last_beat: int) -> int:
        """After the latency."""
        return last_beat + self._latency


class ObservedWrites:
    """As it was."""

    def __init__(self, log: WriteLog) -> None:
        self._log = log

    def address(self, burst: int, offered: int) -> int:
        """As observed."""
        return self._log.accepted[burst]

    def beat(self, beat: int, offered: int) -> int:
        """As observed."""
        return self._log.beats[beat]

    def response(self, burst: int, last_beat: int) -> int:
        """As observed."""
        return self._log.responses[burst]
