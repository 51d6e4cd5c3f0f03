"""The counter bank under random events, runs and restarts."""

from typing import Any

from cocotb.triggers import RisingEdge

from arch.counters import COUNTER_NAMES
from hw.counters import counters_layout, event_flags
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, fields
from tests.support.streams import bench_random, random_stalls, start_clock

CYCLES = 1500


class CounterModel:
    """The counts of what was heard up to the cycle before the last."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTER_NAMES, 0)
        self._before: Pins = {"restart": 0, "enable": 0, "events": 0}

    def hear(self, pins: Pins) -> None:
        self._count(self._before)
        self._before = pins

    def _count(self, pins: Pins) -> None:
        if pins["restart"]:
            self.counts = dict.fromkeys(COUNTER_NAMES, 0)
        elif pins["enable"]:
            events = fields(event_flags, pins["events"]) | {"cycles": 1}
            for name, happens in events.items():
                self.counts[name] += happens


@bounded_test
async def every_event_counts_once(dut: Any) -> None:
    rng, model = bench_random(), CounterModel()

    def check(pins: Pins) -> None:
        assert fields(counters_layout, pins["values"]) == model.counts

    pins = PinMonitor(dut, ("restart", "enable", "events", "values"))
    pins.listeners += [check, model.hear]
    idle = random_stalls(rng)
    dut.restart.value, dut.enable.value, dut.events.value = 0, 0, 0
    await start_clock(dut)
    for _ in range(CYCLES):
        dut.restart.value = rng.random() < 0.01
        dut.enable.value = not next(idle)
        dut.events.value = rng.getrandbits(event_flags.size)
        await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    assert pins.cycle >= CYCLES - 1
