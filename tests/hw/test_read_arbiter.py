"""The read arbiter between two readers and a memory."""

import random
from dataclasses import dataclass

import pytest

from arch.presets import PRESETS
from hw.read_arbiter import FETCH_ID, LOAD_ID, ReadArbiter
from tests.support.axi_memory import Address, AxiMemory, Behaviour
from tests.support.trace import Trace, run, send

CONFIG = PRESETS["small"]
READERS = {"fetch": FETCH_ID, "load": LOAD_ID}
BEAT = CONFIG.bus_bytes


@dataclass
class Run:
    """A simulation that has ended, and the bursts (address, beats - 1) that each reader wanted."""

    trace: Trace
    memory: AxiMemory
    bursts: dict[str, list[tuple[int, int]]]


def simulate(behaviour: Behaviour, *, seed: int, gaps: tuple[int, ...], number: int) -> Run:
    """Let both readers read ``number`` bursts."""
    rng = random.Random(seed)
    dut = ReadArbiter(config=CONFIG)
    memory = AxiMemory(
        bus_bytes=BEAT,
        content=rng.randbytes(1 << 14),
        behaviour=behaviour,
        seed=seed,
        ids=READERS.values(),
    )
    bursts = {
        name: [(rng.getrandbits(20) * 64, rng.randrange(8)) for _ in range(number)]
        for name in READERS
    }
    readers = {name: getattr(dut, name) for name in READERS}
    trace = Trace(
        bus_valid=dut.bus.ar.valid,
        bus_ready=dut.bus.ar.ready,
        bus_r_valid=dut.bus.r.valid,
        bus_r_ready=dut.bus.r.ready,
        **{f"{name}_valid": reader.ar.valid for name, reader in readers.items()},
        **{f"{name}_ready": reader.ar.ready for name, reader in readers.items()},
        **{f"{name}_beat": reader.r.valid for name, reader in readers.items()},
        **{f"{name}_data": reader.r.payload.data for name, reader in readers.items()},
        **{f"{name}_last": reader.r.payload.last for name, reader in readers.items()},
    )
    beats = sum(length + 1 for wanted in bursts.values() for _, length in wanted)
    run(
        dut,
        memory.serve_reads(dut.bus),
        *(
            send(
                readers[name].ar,
                [{"id": 0, "addr": address, "len": length} for address, length in wanted],
                [rng.choice(gaps) for _ in wanted],
            )
            for name, wanted in bursts.items()
        ),
        trace=trace,
        until=lambda: trace.count("bus_r_valid") == beats,
        limit=50_000,
    )
    return Run(trace, memory, bursts)


def check_addresses(result: Run) -> None:
    """Fetch first; on the bus in the cycle after it was taken, with the reader's id."""
    trace, taken = result.trace, []
    left = {name: list(reversed(bursts)) for name, bursts in result.bursts.items()}
    for cycle in range(len(trace["bus_valid"])):
        free = not trace["bus_valid"][cycle] or trace["bus_ready"][cycle]
        assert trace["fetch_ready"][cycle] == free
        assert trace["load_ready"][cycle] == (free and not trace["fetch_valid"][cycle])
        for name, number in READERS.items():
            if trace[f"{name}_valid"][cycle] and trace[f"{name}_ready"][cycle]:
                taken.append((cycle + 1, Address(number, *left[name].pop())))
    offered = trace.offered_and_taken("bus_valid", "bus_ready")[0]
    assert offered == [cycle for cycle, _ in taken]
    assert result.memory.reads.addresses == [address for _, address in taken]


def check_beats(result: Run) -> None:
    """Each reader gets its own beats, in their cycle, and only those."""
    trace, log = result.trace, result.memory.reads
    assert all(trace["bus_r_ready"])
    for name, number in READERS.items():
        expected = [
            (cycle, result.memory.content[result.memory.place(a.address + beat * BEAT)], beat)
            for a, beats in zip(log.addresses, log.beats, strict=True)
            if a.id == number
            for beat, cycle in enumerate(beats)
        ]
        assert trace.cycles(f"{name}_beat") == [cycle for cycle, *_ in expected]
        for cycle, data, _ in expected:
            assert trace[f"{name}_data"][cycle] == int.from_bytes(data, "little")
        ends = sum(trace[f"{name}_last"][cycle] for cycle, *_ in expected)
        assert ends == len(result.bursts[name])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_random_bursts_of_both(stall: float, seed: int) -> None:
    behaviour = Behaviour(latency=3, stall=stall)
    result = simulate(behaviour, seed=seed, gaps=(0, 0, 1, 7), number=40)
    check_addresses(result)
    check_beats(result)


def test_an_address_every_cycle_and_fetch_before_load() -> None:
    result = simulate(Behaviour(latency=2), seed=0, gaps=(0,), number=10)
    check_addresses(result)
    assert result.trace.cycles("bus_valid") == list(range(1, 21))
    assert [a.id for a in result.memory.reads.addresses] == [FETCH_ID] * 10 + [LOAD_ID] * 10
