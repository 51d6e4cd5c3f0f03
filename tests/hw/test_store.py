"""The store engine on a memory: bytes, and every cycle in which it does something."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.timing import BUFFER_READ_LATENCY, WRITE_FIFO_DEPTH
from hw.store import StoreEngine
from tests.support.axi_memory import AxiMemory, Behaviour
from tests.support.trace import Process, Trace, run, send
from tests.support.transfers import (
    Beat,
    Burst,
    Transfer,
    bursts_of,
    long_transfer,
    random_transfer,
    variant,
)

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "small": PRESETS["small"],
    "two in flight": variant("tiny", outstanding_bursts=2, burst_beats=4),
    "wide": variant("small", bus_bits=256, burst_beats=128, outstanding_bursts=8),
    "single beats": variant("tiny", burst_beats=1),
    "16 bits": variant("tiny", activation_bits=16, weight_bits=16),
    "16 x 8 bits": variant("small", activation_bits=16),
}
MEMORY_BYTES = 1 << 16


@dataclass
class Times:
    """Cycles: commands taken and done; addresses first offered; beats requested from the buffer and
    first offered to the memory."""

    taken: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)


@dataclass
class Run:
    """A simulation that has ended. ``buffer`` and ``before``: activations, and memory before it."""

    config: AcceleratorConfig
    transfers: list[Transfer]
    trace: Trace
    memory: AxiMemory
    buffer: bytes
    before: bytes

    @property
    def bursts(self) -> list[Burst]:
        return [burst for transfer in self.transfers for burst in bursts_of(transfer, self.config)]

    @property
    def beats(self) -> list[Beat]:
        return [beat for burst in self.bursts for beat in burst.beats]

    def observed(self) -> Times:
        return Times(
            taken=self.trace.offered_and_taken("given", "free")[1],
            done=self.trace.cycles("done"),
            addresses=self.trace.offered_and_taken("aw_valid", "aw_ready")[0],
            requests=self.trace.cycles("request"),
            beats=self.trace.offered_and_taken("w_valid", "w_ready")[0],
        )

    def expected(self) -> Times:
        """The recurrence in the engine's docstring, with the memory's cycles as they were."""
        times, log, slots = Times(), self.memory.writes, self.config.outstanding_bursts
        number = free = 0
        for transfer, there in zip(
            self.transfers, self.trace.offered_and_taken("given", "free")[0], strict=True
        ):
            times.taken.append(max(there, free))
            split = times.taken[-1] + 2
            for burst in bursts_of(transfer, self.config):
                begin = max(
                    split,
                    times.requests[-1] if number else 0,
                    log.accepted[number - 1] if number else 0,
                    log.responses[number - slots] + 1 if number >= slots else 0,
                )
                times.addresses.append(begin + 1)
                self._expect_beats(times, begin, len(burst.beats))
                split, free, number = begin + 2, begin + 1, number + 1
            times.done.append(log.responses[number - 1] + 1)
        return times

    def _expect_beats(self, times: Times, begin: int, number: int) -> None:
        accepted = self.memory.writes.beats
        for beat in range(len(times.beats), len(times.beats) + number):
            before = times.requests[-1] + 1 if beat else 0
            credit = accepted[beat - WRITE_FIFO_DEPTH] + 1 if beat >= WRITE_FIFO_DEPTH else 0
            times.requests.append(max(begin + 1, before, credit))
            ready = times.requests[-1] + BUFFER_READ_LATENCY + 1
            times.beats.append(max(ready, accepted[beat - 1] + 1 if beat else 0))


def serve_buffer(port: Any, content: bytes, rng: random.Random) -> Process:
    """The process that answers reads of a buffer; what was not asked for is noise."""
    elements, unit = len(port.mask), len(port.data) // len(port.mask) // 8

    def read(address: int, mask: int) -> int:
        data = bytes(
            content[(address + lane) % len(content)]
            if mask >> lane // unit & 1
            else rng.getrandbits(8)
            for lane in range(elements * unit)
        )
        return int.from_bytes(data, "little")

    async def process(context: Any) -> None:
        coming: deque[tuple[int, int]] = deque([(0, 0)] * (BUFFER_READ_LATENCY - 1))
        async for _, _, valid, address, mask in context.tick().sample(
            port.valid, port.address, port.mask
        ):
            coming.append((address, mask if valid else 0))
            context.set(port.data, read(*coming.popleft()))

    return process


def simulate(
    config: AcceleratorConfig,
    transfers: list[Transfer],
    behaviour: Behaviour,
    *,
    seed: int,
    gaps: tuple[int, ...] = (0,),
    abort_at: int | None = None,
    cycles: int | None = None,
) -> Run:
    """Store ``transfers`` until all are done, or for ``cycles``."""
    rng = random.Random(seed)
    dut = StoreEngine(config=config)
    buffer, before = rng.randbytes(config.activation_buffer_bytes), rng.randbytes(MEMORY_BYTES)
    memory = AxiMemory(
        bus_bytes=config.bus_bytes, content=before, behaviour=behaviour, seed=seed, ids=[0]
    )
    aw, w = dut.memory.aw, dut.memory.w
    trace = Trace(
        given=dut.commands.valid,
        free=dut.commands.ready,
        aw_valid=aw.valid,
        aw_ready=aw.ready,
        w_valid=w.valid,
        w_ready=w.ready,
        request=dut.activation.valid,
        address=dut.activation.address,
        mask=dut.activation.mask,
        done=dut.done,
        error=dut.error,
        idle=dut.idle,
        quiet=dut.quiet,
        activation_read=dut.activation_read,
        write_beat=dut.write_beat,
    )

    async def abort(context: Any) -> None:
        for _ in range(abort_at or 0):
            await context.tick()
        context.set(dut.abort, abort_at is not None)

    run(
        dut,
        memory.serve_writes(dut.memory),
        serve_buffer(dut.activation, buffer, rng),
        send(
            dut.commands,
            [transfer.payload for transfer in transfers],
            [rng.choice(gaps) for _ in transfers],
        ),
        abort,
        trace=trace,
        until=lambda: (
            len(trace["idle"]) == cycles
            if cycles
            else trace.count("done") == len(transfers) and bool(trace["idle"][-1])
        ),
        limit=100_000,
    )
    return Run(config, transfers, trace, memory, buffer, before)


def check_bytes(result: Run) -> None:
    """Memory holds the rows, and everywhere else what it held before."""
    expected = bytearray(result.before)
    for transfer in result.transfers:
        for row in transfer.moves():
            for memory, buffer in row:
                expected[memory % MEMORY_BYTES] = result.buffer[buffer % len(result.buffer)]
    assert result.memory.content == expected


def check_laws(result: Run) -> None:
    """What holds on any memory, given when it took and answered what."""
    trace, log = result.trace, result.memory.writes
    assert [(a.address, a.length) for a in log.addresses] == [
        (burst.address, len(burst.beats) - 1) for burst in result.bursts
    ]
    assert log.strobes == [beat.mask for beat in result.beats]
    size = len(result.buffer)
    for cycle, beat in zip(trace.cycles("request"), result.beats, strict=True):
        assert trace["mask"][cycle] == beat.element_mask(result.config.activation_bytes)
        for lane, place in beat.lanes.items():
            assert (trace["address"][cycle] + lane) % size == place % size
    assert result.observed() == result.expected()
    assert trace["activation_read"] == trace["request"]
    assert trace.cycles("write_beat") == log.beats
    check_idle_and_quiet(result)


def check_idle_and_quiet(result: Run) -> None:
    """Idle: from a command's ``done`` to the next one taken. Quiet: nothing is on the bus."""
    trace, log = result.trace, result.memory.writes
    commands = bursts = 0
    offered = set(trace.offered_and_taken("aw_valid", "aw_ready")[0])
    for cycle in range(len(trace["idle"])):
        bursts += cycle in offered
        assert trace["idle"][cycle] == (commands == 0)
        on_bus = bursts > 0 or trace["aw_valid"][cycle] or trace["w_valid"][cycle]
        assert not (trace["quiet"][cycle] and on_bus)
        commands += trace["given"][cycle] & trace["free"][cycle]
        commands -= trace["done"][cycle]
        bursts -= cycle in log.responses


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("latency", "interval"), [(1, 1), (20, 1), (7, 3)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_cycle_of_everything_on_a_memory_without_stalls(
    name: str, latency: int, interval: int, seed: int
) -> None:
    config, rng = CONFIGS[name], random.Random(f"{name}/{latency}/{seed}")
    behaviour = Behaviour(latency=latency, beat_interval=interval)
    transfers = [random_transfer(rng, config, config.activation_bytes) for _ in range(8)]
    result = simulate(config, transfers, behaviour, seed=seed, gaps=(0, 0, 0, 30))
    check_bytes(result)
    check_laws(result)
    # With this, the laws give every cycle from the cycles in which the commands are there.
    log, times = result.memory.writes, result.observed()
    assert log.accepted == times.addresses
    assert log.beats == log.beats_without_stalls(times.beats, behaviour)
    assert log.responses == log.responses_without_stalls(behaviour)
    assert not result.trace.count("error")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stall", [0.3, 0.8])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_stalls_change_cycles_and_no_byte(name: str, stall: float, seed: int) -> None:
    config, rng = CONFIGS[name], random.Random(f"{name}/{stall}/{seed}")
    transfers = [random_transfer(rng, config, config.activation_bytes) for _ in range(6)]
    behaviour = Behaviour(latency=rng.randint(1, 9), stall=stall)
    result = simulate(config, transfers, behaviour, seed=seed, gaps=(0, 3))
    check_bytes(result)
    check_laws(result)


@pytest.mark.parametrize(("beats", "commands"), [(2, 1), (4, 3), (16, 3)])
def test_short_bursts_keep_the_bus_busy(beats: int, commands: int) -> None:
    config = variant("tiny", burst_beats=beats, outstanding_bursts=16)
    transfers = [long_transfer(config, 100, address=4096 * number) for number in range(commands)]
    result = simulate(config, transfers, Behaviour(latency=10), seed=0)
    cycles = result.memory.writes.beats
    assert cycles == list(range(cycles[0], cycles[0] + 100 * commands))


def test_an_error_response_is_told_in_the_next_cycle() -> None:
    config = PRESETS["tiny"]
    transfers = [long_transfer(config, 40), long_transfer(config, 40, address=4096)]
    behaviour = Behaviour(latency=5, write_errors=frozenset({1, 5}))
    result = simulate(config, transfers, behaviour, seed=0)
    responses = result.memory.writes.responses
    assert result.trace.cycles("error") == [responses[1] + 1, responses[5] + 1]
    check_laws(result)


@pytest.mark.parametrize("seed", range(6))
def test_after_an_abort_bursts_are_completed_and_the_bus_falls_quiet(seed: int) -> None:
    rng = random.Random(seed)
    config, when = CONFIGS["two in flight"], rng.randint(1, 60)
    transfers = [long_transfer(config, 64, address=4096 * number) for number in range(4)]
    behaviour = Behaviour(latency=rng.randint(1, 20), stall=0.3)
    result = simulate(config, transfers, behaviour, seed=seed, abort_at=when, cycles=500)
    trace, log = result.trace, result.memory.writes
    offered = trace.offered_and_taken("aw_valid", "aw_ready")[0]
    # The splitter may offer one more, which waits for its turn.
    assert len([cycle for cycle in offered if cycle > when]) <= 1
    assert len(log.responses) == len(log.addresses) == len(offered)
    assert len(log.beats) == sum(address.length + 1 for address in log.addresses)
    assert all(trace["quiet"][max([when, *log.responses]) + 1 :])
    assert 0 < len(log.addresses) < len(result.bursts)
    check_idle_and_quiet(result)
