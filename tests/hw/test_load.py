"""The load engine on a memory: bytes, and every cycle in which it does something."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from arch.commands import LoadTarget
from arch.config import TABLES, AcceleratorConfig
from arch.presets import PRESETS
from arch.timing import BUFFER_WRITE_LATENCY
from hw.load import LoadEngine
from tests.support.axi_memory import AxiMemory, Behaviour
from tests.support.trace import Process, Trace, run, send
from tests.support.transfers import (
    Burst,
    Transfer,
    bursts_of,
    long_transfer,
    parameter_transfer,
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
BUFFER_BYTES: dict[LoadTarget, Callable[[AcceleratorConfig], int]] = {
    LoadTarget.ACTIVATION: lambda config: config.activation_buffer_bytes,
    LoadTarget.WEIGHT: lambda config: config.weight_buffer_bytes,
    LoadTarget.PARAMETER: lambda config: config.parameter_buffer_bytes,
    LoadTarget.TABLE: lambda config: TABLES * config.table_bytes,
}
STROBES = ("done", "error", "read_beat", *(f"{target.name.lower()}_write" for target in LoadTarget))


@dataclass(frozen=True)
class Load:
    """A load command."""

    target: LoadTarget
    transfer: Transfer

    @property
    def payload(self) -> dict[str, int]:
        return {"target": int(self.target), **self.transfer.payload}


@dataclass
class Times:
    """Cycles: commands taken and done; each burst first offered; each beat's write request."""

    taken: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


@dataclass
class Run:
    """A simulation that has ended."""

    config: AcceleratorConfig
    loads: list[Load]
    trace: Trace
    memory: AxiMemory

    @property
    def bursts(self) -> list[Burst]:
        return [burst for load in self.loads for burst in bursts_of(load.transfer, self.config)]

    def observed(self) -> Times:
        return Times(
            taken=self.trace.offered_and_taken("given", "free")[1],
            done=self.trace.cycles("done"),
            offered=self.trace.offered_and_taken("valid", "ready")[0],
            written=self.trace.cycles("written"),
        )

    def expected(self) -> Times:
        """The recurrence in the engine's docstring, with the memory's cycles as they were."""
        times, slots, log = Times(), self.config.outstanding_bursts, self.memory.reads
        number = free = 0
        given = self.trace.offered_and_taken("given", "free")[0]
        for load, there in zip(self.loads, given, strict=True):
            times.taken.append(max(there, free))
            earliest = times.taken[-1] + 2
            for _ in bursts_of(load.transfer, self.config):
                slot = log.beats[number - slots][-1] + 1 if number >= slots else 0
                times.offered.append(max(earliest, slot))
                times.written += [cycle + 1 for cycle in log.beats[number]]
                free, earliest = log.accepted[number] + 1, log.accepted[number] + 2
                number += 1
            times.done.append(log.beats[number - 1][-1] + BUFFER_WRITE_LATENCY)
        return times


def random_loads(rng: random.Random, config: AcceleratorConfig, number: int) -> list[Load]:
    loads = []
    for _ in range(number):
        target = rng.choice(list(LoadTarget))
        if target in (LoadTarget.PARAMETER, LoadTarget.TABLE):
            loads.append(Load(target, parameter_transfer(rng, config)))
        else:
            loads.append(Load(target, random_transfer(rng, config, element_bytes(target, config))))
    return loads


def element_bytes(target: LoadTarget, config: AcceleratorConfig) -> int:
    """Bytes of an element of the buffer's write port."""
    units = {
        LoadTarget.ACTIVATION: config.activation_bytes,
        LoadTarget.WEIGHT: config.weight_bytes,
    }
    return units.get(target, 1)


def simulate(
    config: AcceleratorConfig,
    loads: list[Load],
    behaviour: Behaviour,
    *,
    seed: int,
    gaps: tuple[int, ...] = (0,),
    others: tuple[Process, ...] = (),
    dut: LoadEngine | None = None,
    cycles: int | None = None,
) -> Run:
    """Run ``loads`` until all are done, or for ``cycles``."""
    rng = random.Random(seed)
    dut = dut or LoadEngine(config=config)
    content = rng.randbytes(MEMORY_BYTES)
    memory = AxiMemory(
        bus_bytes=config.bus_bytes, content=content, behaviour=behaviour, seed=seed, ids=[0]
    )
    ports = {target.name.lower(): getattr(dut, target.name.lower()) for target in LoadTarget}
    trace = Trace(
        given=dut.commands.valid,
        free=dut.commands.ready,
        valid=dut.memory.ar.valid,
        ready=dut.memory.ar.ready,
        quiet=dut.quiet,
        idle=dut.idle,
        written=sum(port.valid for port in ports.values()),
        **{name: getattr(dut, name) for name in STROBES},
        **{
            f"{name}_{part}": getattr(port, part)
            for name, port in ports.items()
            for part in ("valid", "address", "mask", "data")
        },
    )
    run(
        dut,
        memory.serve_reads(dut.memory),
        send(
            dut.commands,
            [load.payload for load in loads],
            [rng.choice(gaps) for _ in loads],
        ),
        *others,
        trace=trace,
        until=lambda: (
            len(trace["idle"]) == cycles
            if cycles
            else trace.count("done") == len(loads) and bool(trace["idle"][-1])
        ),
        limit=100_000,
    )
    return Run(config, loads, trace, memory)


def check_writes(result: Run) -> None:
    """Every byte of every beat goes to its place, and nothing else does."""
    trace, content = result.trace, result.memory.content
    expected = [
        (load.target, burst.address + number * result.config.bus_bytes, beat)
        for load in result.loads
        for burst in bursts_of(load.transfer, result.config)
        for number, beat in enumerate(burst.beats)
    ]
    assert len(trace.cycles("written")) == len(expected)
    for cycle, (target, address, beat) in zip(trace.cycles("written"), expected, strict=True):
        name = target.name.lower()
        assert trace["written"][cycle] == trace[f"{name}_valid"][cycle] == 1
        unit = element_bytes(target, result.config)
        assert trace[f"{name}_mask"][cycle] == beat.element_mask(unit)
        size = BUFFER_BYTES[target](result.config)
        for lane, place in beat.lanes.items():
            assert (trace[f"{name}_address"][cycle] + lane) % size == place % size
            data = trace[f"{name}_data"][cycle] >> 8 * lane & 0xFF
            assert data == content[(address + lane) % MEMORY_BYTES]


def check_laws(result: Run) -> None:
    """What holds on any memory, given when it took and gave what."""
    trace, log, bursts = result.trace, result.memory.reads, result.bursts
    assert [(a.address, a.length) for a in log.addresses] == [
        (burst.address, len(burst.beats) - 1) for burst in bursts
    ]
    assert result.observed() == result.expected()
    assert trace.cycles("read_beat") == [cycle for burst in log.beats for cycle in burst]
    for target in LoadTarget:
        name = target.name.lower()
        assert trace[f"{name}_write"] == trace[f"{name}_valid"]
    check_idle_and_quiet(result)


def check_idle_and_quiet(result: Run) -> None:
    """Idle: from a command's ``done`` to the next one taken. Quiet: nothing is on the bus."""
    trace, log = result.trace, result.memory.reads
    under_way = waiting = 0
    ends = {cycle for burst in log.beats if burst for cycle in burst[-1:]}
    for cycle in range(len(trace["idle"])):
        assert trace["idle"][cycle] == (under_way == 0)
        on_bus = waiting > 0 or trace["valid"][cycle]
        assert not (trace["quiet"][cycle] and on_bus)
        under_way += trace["given"][cycle] & trace["free"][cycle]
        under_way -= trace["done"][cycle]
        waiting += trace["valid"][cycle] & trace["ready"][cycle]
        waiting -= cycle in ends


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("latency", "interval"), [(1, 1), (20, 1), (7, 3)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_cycle_of_everything_on_a_memory_without_stalls(
    name: str, latency: int, interval: int, seed: int
) -> None:
    config, rng = CONFIGS[name], random.Random(f"{name}/{latency}/{seed}")
    behaviour = Behaviour(latency=latency, beat_interval=interval)
    loads = random_loads(rng, config, 8)
    result = simulate(config, loads, behaviour, seed=seed, gaps=(0, 0, 0, 30))
    check_writes(result)
    check_laws(result)
    # With this, the laws give every cycle from the cycles in which the commands are there.
    assert result.memory.reads.accepted == result.observed().offered
    assert result.memory.reads.beats == result.memory.reads.beats_without_stalls(behaviour)
    assert not result.trace.count("error")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stall", [0.3, 0.8])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_stalls_change_cycles_and_no_byte(name: str, stall: float, seed: int) -> None:
    config, rng = CONFIGS[name], random.Random(f"{name}/{stall}/{seed}")
    loads = random_loads(rng, config, 6)
    behaviour = Behaviour(latency=rng.randint(1, 9), stall=stall)
    result = simulate(config, loads, behaviour, seed=seed, gaps=(0, 3))
    check_writes(result)
    check_laws(result)


@pytest.mark.parametrize("beats", [4, 16])
def test_bursts_of_four_beats_keep_the_bus_busy(beats: int) -> None:
    config = variant("tiny", burst_beats=beats, outstanding_bursts=16)
    loads = [Load(LoadTarget.WEIGHT, long_transfer(config, 100)) for _ in range(3)]
    result = simulate(config, loads, Behaviour(latency=40), seed=0)
    cycles = result.trace.cycles("read_beat")
    assert cycles == list(range(cycles[0], cycles[0] + 300))


def test_an_error_response_is_told_in_the_next_cycle() -> None:
    config = PRESETS["tiny"]
    loads = [Load(LoadTarget.ACTIVATION, long_transfer(config, 40))] * 2
    behaviour = Behaviour(latency=5, read_errors=frozenset({1, 5}))
    result = simulate(config, loads, behaviour, seed=0)
    beats = result.memory.reads.beats
    assert result.trace.cycles("error") == [beats[1][-1] + 1, beats[5][-1] + 1]
    check_laws(result)


@pytest.mark.parametrize("seed", range(6))
def test_after_an_abort_the_bus_falls_quiet(seed: int) -> None:
    rng = random.Random(seed)
    config, when = CONFIGS["two in flight"], rng.randint(1, 60)
    dut = LoadEngine(config=config)

    async def abort(context: Any) -> None:
        await context.tick().repeat(when)
        context.set(dut.abort, 1)

    loads = [Load(LoadTarget.ACTIVATION, long_transfer(config, 64))] * 4
    behaviour = Behaviour(latency=rng.randint(1, 20), stall=0.3)
    result = simulate(config, loads, behaviour, seed=seed, others=(abort,), dut=dut, cycles=400)
    trace, log = result.trace, result.memory.reads
    offered = trace.offered_and_taken("valid", "ready")[0]
    # The splitter may hold one more, which waits for a slot.
    assert len([cycle for cycle in offered if cycle > when]) <= 1
    assert [len(beats) for beats in log.beats] == [a.length + 1 for a in log.addresses]
    last = max((cycle for beats in log.beats for cycle in beats), default=0)
    assert all(trace["quiet"][max(last, when) + 1 :])
    assert 0 < len(log.addresses) < len(result.bursts)
    check_idle_and_quiet(result)
