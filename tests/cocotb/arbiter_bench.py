"""The read arbiter between two readers and a memory that stall at random, beats interleaved."""

import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.interfaces import address_channel, read_channel
from hw.read_arbiter import FETCH_ID, LOAD_ID
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, fields, packed, until
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSink,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

BURSTS = 150
TIMEOUT = 50_000
READERS = {"fetch": FETCH_ID, "load": LOAD_ID}
ADDRESS = address_channel()


class InterleavingMemory:
    """Answers with random data: in order for each id, in any order between ids, beat by beat."""

    def __init__(self, dut: Any, rng: random.Random, stalls: Iterator[bool]) -> None:
        self._dut, self._rng, self._stalls = dut, rng, stalls
        self._layout = read_channel(CONFIGS[bench_parameters()["config"]])
        self._left: dict[int, deque[int]] = {identity: deque() for identity in READERS.values()}
        cocotb.start_soon(self._run())

    @property
    def idle(self) -> bool:
        """All beats have been sent."""
        return not any(self._left.values())

    def accept(self, payload: int) -> None:
        burst = fields(ADDRESS, payload)
        self._left[burst["id"]].append(burst["len"] + 1)

    async def _run(self) -> None:
        while True:
            ready = [identity for identity, bursts in self._left.items() if bursts]
            valid = bool(ready) and not next(self._stalls)
            self._dut.bus__r__valid.value = valid
            if valid:
                self._dut.bus__r__payload.value = self._beat(self._rng.choice(ready))
            await RisingEdge(self._dut.clk)
            assert self._dut.bus__r__ready.value

    def _beat(self, identity: int) -> int:
        bursts = self._left[identity]
        bursts[0] -= 1
        last = bursts[0] == 0
        if last:
            bursts.popleft()
        data = self._rng.getrandbits(self._layout["data"].width)
        resp = self._rng.choice((0, 0, 0, 2))
        return packed(self._layout, {"id": identity, "data": data, "resp": resp, "last": last})


def random_request(rng: random.Random) -> int:
    """Of up to 8 beats, with an id that the arbiter overrides."""
    values = {"id": rng.getrandbits(1), "addr": rng.getrandbits(32), "len": rng.randrange(8)}
    return packed(ADDRESS, values)


class ArbiterModel:
    """What each reader asked for, as it must be on the bus."""

    def __init__(self) -> None:
        self.expected: dict[int, list[int]] = {identity: [] for identity in READERS.values()}

    def hear(self, identity: int, payload: int) -> None:
        request = fields(ADDRESS, payload) | {"id": identity}
        self.expected[identity].append(packed(ADDRESS, request))


def check_priority(pins: Pins) -> None:
    """Load is not taken while fetch offers; readers get their beats in the cycle of the bus."""
    assert not (pins["fetch__ar__valid"] and pins["load__ar__valid"] and pins["load__ar__ready"])
    valid = pins["bus__r__valid"]
    identity = fields(ADDRESS, pins["bus__r__payload"])["id"]
    for reader, number in READERS.items():
        mine = valid and identity == number
        assert pins[f"{reader}__r__valid"] == mine
        if mine:
            assert pins[f"{reader}__r__payload"] == pins["bus__r__payload"]


PINS = (
    *("fetch__ar__valid", "load__ar__valid", "load__ar__ready"),
    *(f"{port}__r__{pin}" for port in ("fetch", "load", "bus") for pin in ("valid", "payload")),
)


@bounded_test
async def each_reader_gets_its_own(dut: Any) -> None:
    rng, model = bench_random(), ArbiterModel()
    PinMonitor(dut, PINS).listeners.append(check_priority)
    monitors = {number: StreamMonitor(dut, f"{reader}__ar") for reader, number in READERS.items()}
    bus = StreamMonitor(dut, "bus__ar")
    for number, monitor in monitors.items():
        monitor.listeners.append(partial(model.hear, number))
    memory = InterleavingMemory(dut, rng, random_stalls(rng))
    bus.listeners.append(memory.accept)
    StreamSink(dut, "bus__ar", random_stalls(rng))
    for reader in READERS:
        getattr(dut, f"{reader}__r__ready").value = 1
    sources = [StreamSource(dut, f"{reader}__ar", random_stalls(rng)) for reader in READERS]
    await start_clock(dut)
    for source in sources:
        cocotb.start_soon(source.send([random_request(rng) for _ in range(BURSTS)]))
    total = len(READERS) * BURSTS
    await until(dut, lambda: len(bus.payloads) == total, timeout=TIMEOUT, what="all addresses")
    await until(dut, lambda: memory.idle, timeout=TIMEOUT, what="all beats")
    for number, expected in model.expected.items():
        assert [p for p in bus.payloads if fields(ADDRESS, p)["id"] == number] == expected


@bounded_test
async def one_address_a_cycle_if_nothing_stalls(dut: Any) -> None:
    rng = bench_random()
    taken, bus = StreamMonitor(dut, "load__ar"), StreamMonitor(dut, "bus__ar")
    source = StreamSource(dut, "load__ar")
    StreamSink(dut, "bus__ar")
    dut.fetch__ar__valid.value, dut.bus__r__valid.value = 0, 0
    await start_clock(dut)
    cocotb.start_soon(source.send(rng.getrandbits(ADDRESS.size) for _ in range(BURSTS)))
    await bus.wait_for(BURSTS, timeout=2 * BURSTS)
    first = taken.cycles[0]
    assert taken.cycles == list(range(first, first + BURSTS))
    assert bus.cycles == [cycle + 1 for cycle in taken.cycles]
