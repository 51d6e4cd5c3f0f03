"""A timeline that is worked out bit by bit, and says what the rest of it depends on."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from arch.commands import Command, Engine
from arch.config import AcceleratorConfig
from arch.errors import RunError
from arch.timing import FETCH_AHEAD
from sim.command.bursts import burst_phase
from sim.command.timeline import TimelineSimulator

_OVER = -(1 << 40)
"""Stands for all times that have no effect on anything to come."""


class State(NamedTuple):
    """All that the times of later commands depend on."""

    over: tuple[int, ...]
    """How many commands of each engine were done so early that none to come ever waits for them."""
    times: tuple[object, ...]
    """Distances from now."""


class StepwiseTimeline(TimelineSimulator):
    """The timeline of a program of ``total`` commands, which are given a few at a time.

    ``total`` may be made smaller while more than ``arch.timing.FETCH_AHEAD`` commands are left.
    """

    def __init__(self, config: AcceleratorConfig, total: int) -> None:
        super().__init__(config)
        self.total = total
        self._bus_bytes = config.bus_bytes
        self._given: list[Command] = []
        self._starts, self._dones = [0] * total, [0] * total
        self._accesses = [{}] * total

    @property
    def given(self) -> int:
        """Commands so far."""
        return len(self._given)

    @property
    def now(self) -> int:
        """Cycle in which the last one was dispatched."""
        return self._dispatched[-1] if self._dispatched else 0

    def give(self, commands: Sequence[Command]) -> None:
        """Work on until all commands so far, and these, are dispatched."""
        self._given += commands
        while True:
            self._work_out(self._given)
            if len(self._dispatched) == len(self._given):
                return
            if not self._grant(self.total):
                raise RunError(
                    "a command must wait only for commands before it: command "
                    f"{len(self._dispatched)} can never be dispatched"
                )

    def progress(self) -> Counter[str]:
        """Cycles up to ``now``; of the commands that have been taken, cycles in which one had the
        array (``held``), and in which the next one waited, by cause."""
        found = self._execute.stalls(0, 0)
        found["held"] = found.pop("stall_weights", 0)
        found["cycles"] = self.now
        return found

    def end(self) -> Counter[str]:
        """The same of the whole program, once all commands have been given."""
        while self._grant(self.total):
            self._work_out(self._given)
        found = self.progress()
        found["cycles"] = self._cycles()
        return found

    def sketch(self) -> tuple[int, ...]:
        """What is the same for equal states, and sooner told."""
        self._settle()
        queues, now = self._queues.values(), self.now
        recent = (max(time - now, 0) for queue in queues for time in queue.done[-3:])
        return (*recent, *(len(queue.waiting) for queue in queues))

    def state(self) -> State:
        """All that the times of later commands depend on."""
        self._settle()
        now, queues, dispatched = self.now, self._queues.values(), self._dispatched
        floor = min((now, *self._offers(), *(queue.earliest for queue in queues if queue.waiting)))

        def rel(time: int) -> int:
            return time - now if time >= floor else _OVER

        return State(
            over=tuple(queue.over(floor) for queue in queues),
            times=(
                rel(self._requested + 1),
                *(rel(time + 1) for time in dispatched[-FETCH_AHEAD:]),
                tuple(rel(time) for time in self._arrived[len(dispatched) :]),
                self._bus.state(rel),
                *(queue.state(rel, floor, self._phase) for queue in queues),
            ),
        )

    def _settle(self) -> None:
        """Grant all that is asked for up to now: later commands ask later."""
        while (first := min(self._offers(), default=self.now + 1)) <= self.now:
            load = self._load.offer
            if load == first and self._fetch_offer(self.total) != first:
                fetch = self._fetch_offer(self.total)
                stop = self.now + 1 if fetch is None else min(fetch, self.now + 1)
                self._grant_load(stop)
            else:
                self._grant_fetch(first)
            self._work_out(self._given)

    def _offers(self) -> list[int]:
        """Cycles in which addresses of commands and of loads are offered."""
        offers = self._fetch_offer(self.total), self._load.offer
        return [offer for offer in offers if offer is not None]

    def _dispatch(self, commands: Sequence[Command]) -> bool:
        return len(self._dispatched) < len(commands) and super()._dispatch(commands)

    def _phase(self, command: Command) -> object:
        pattern = command.pattern
        if pattern.engine not in (Engine.LOAD, Engine.STORE):
            return id(pattern)
        fields = pattern.fields
        pitch = fields["dram_pitch"] if fields["rows"] else 0
        where = burst_phase(command.addresses[0], fields["row_bytes"], pitch, self._bus_bytes)
        return id(pattern), where
