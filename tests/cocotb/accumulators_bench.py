"""The accumulators under psums and drains with random gaps, against plain sums."""

import random
from collections import deque
from typing import Any

from cocotb.triggers import RisingEdge

from arch.config import AcceleratorConfig
from arch.timing import ACCUMULATE_LATENCY, BUFFER_READ_LATENCY
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, to_signed
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random, random_stalls, start_clock

CYCLES = 3000
LEAST_DRAINS = 200
Sums = tuple[int, ...]


def columns(value: int, bits: int, count: int) -> Sums:
    """The signed elements of a vector."""
    mask = (1 << bits) - 1
    return tuple(to_signed(value >> bits * index & mask, bits) for index in range(count))


class AccumulatorModel:
    """The entries, None where they are arbitrary; and what drains give."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._entries: dict[int, Sums | None] = {}
        # Entries with psums on their way: a read does not see these yet.
        self._busy: deque[int | None] = deque([None] * (ACCUMULATE_LATENCY - 1))
        self._drains: deque[Sums | None] = deque([None] * BUFFER_READ_LATENCY)
        self._clash = False

    def hear(self, pins: Pins) -> tuple[Sums | None, bool]:
        """The requests of a cycle; gives its drained data (None: arbitrary), and ``conflict``."""
        clashed, self._clash = self._clash, self._clashes(pins)
        address = pins["address"] if pins["valid"] else None
        self._drains.append(self._drain(pins))
        if address is not None:
            self._add(pins, address)
        self._busy.append(address)
        self._busy.popleft()
        return self._drains.popleft(), clashed

    def _clashes(self, pins: Pins) -> bool:
        adds = pins["valid"] and not pins["first"]
        half = self._config.accumulator_half_entries
        same_half = pins["address"] // half == pins["drain__address"] // half
        return bool(adds and pins["drain__valid"] and same_half)

    def _drain(self, pins: Pins) -> Sums | None:
        entry = pins["drain__address"]
        if not pins["drain__valid"] or self._clash or entry in self._busy:
            return None
        return self._entries.get(entry)

    def _add(self, pins: Pins, entry: int) -> None:
        psums = columns(pins["psums"], self._config.psum_bits, self._config.cols)
        if pins["first"]:
            self._entries[entry] = psums
            return
        before = self._entries.get(entry)
        bits = self._config.accumulator_bits
        self._entries[entry] = (
            None
            if before is None or self._clash
            else tuple(
                to_signed((old + new) % (1 << bits), bits)
                for old, new in zip(before, psums, strict=True)
            )
        )


class Driver:
    """Psums for entries in any order, drains of others; few clash."""

    def __init__(self, dut: Any, config: AcceleratorConfig, rng: random.Random) -> None:
        self._dut, self._config, self._rng = dut, config, rng
        self._recent: deque[int] = deque(maxlen=ACCUMULATE_LATENCY - 1)
        self._psum_stalls, self._drain_stalls = random_stalls(rng), random_stalls(rng)
        self.entries = rng.sample(range(config.accumulator_entries), 24)

    def cycle(self, *, fill: int | None = None) -> None:
        """Drive all inputs for the next cycle; ``fill``: overwrite this entry, and no more."""
        rng, dut = self._rng, self._dut
        entry = rng.choice(self.entries) if fill is None else fill
        first = fill is not None or rng.random() < 0.1
        # Psums must not follow on an entry too soon.
        valid = entry not in self._recent and (fill is not None or not next(self._psum_stalls))
        self._recent.append(entry if valid else -1)
        drained = rng.choice(self.entries)
        half = self._config.accumulator_half_entries
        clashes = valid and not first and entry // half == drained // half
        drains = fill is None and not next(self._drain_stalls)
        drains = drains and (not clashes or rng.random() < 0.01)
        dut.valid.value, dut.address.value, dut.first.value = valid, entry, first
        dut.psums.value = rng.getrandbits(self._config.psum_bits * self._config.cols)
        dut.drain__valid.value, dut.drain__address.value = drains, drained


@bounded_test
async def drains_give_the_sums(dut: Any) -> None:
    rng, config = bench_random(), CONFIGS[bench_parameters()["config"]]
    driver, model = Driver(dut, config, rng), AccumulatorModel(config)
    drained = 0

    def check(pins: Pins) -> None:
        nonlocal drained
        expected, conflict = model.hear(pins)
        assert pins["conflict"] == conflict
        if expected is not None:
            found = columns(pins["drain__data"], config.accumulator_bits, config.cols)
            assert found == expected
            drained += 1

    inputs = ("valid", "address", "first", "psums", "drain__valid", "drain__address")
    PinMonitor(dut, (*inputs, "drain__data", "conflict")).listeners.append(check)
    dut.valid.value, dut.drain__valid.value = 0, 0
    await start_clock(dut)
    for entry in driver.entries:
        driver.cycle(fill=entry)
        await RisingEdge(dut.clk)
    for _ in range(CYCLES):
        driver.cycle()
        await RisingEdge(dut.clk)
    assert drained > LEAST_DRAINS
