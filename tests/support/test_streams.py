"""The cocotb runner and the stream drivers, on a FIFO and on FIFOs with faults."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from tests.support.cocotb_runner import run_cocotb

BENCH = "tests.cocotb.fifo_bench"
WIDTH = 8


class Fifo(Component):
    """Amaranth's FIFO between two streams.

    Args:
        depth: entries.
        fault: "loses" drops what comes in every 64th cycle, "withdraws" takes its offer back in
            every 64th cycle.
    """

    def __init__(self, *, depth: int, fault: str = "") -> None:
        self.depth = depth
        self.fault = fault
        super().__init__({"i": In(stream.Signature(WIDTH)), "o": Out(stream.Signature(WIDTH))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth passes it
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=WIDTH, depth=self.depth)
        strikes, cycle = Signal(), Signal(6)
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            strikes.eq(cycle == 0),
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid & ~(strikes & (self.fault == "loses"))),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy & ~(strikes & (self.fault == "withdraws"))),
            fifo.r_en.eq(self.o.ready & self.o.valid),
        ]
        return m


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [3, 16])
def test_a_fifo_loses_nothing(depth: int, seed: int) -> None:
    run_cocotb(Fifo(depth=depth), BENCH, seed=seed, parameters={"width": WIDTH})


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("loses", " of 500 transfers in 50000 cycles"),
        ("withdraws", ", which nobody took, and now "),
    ],
)
def test_a_fault_is_found_and_can_be_replayed(
    fault: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/x/test_y.py::test_z[1] (call)")
    with pytest.raises(pytest.fail.Exception) as raised:
        run_cocotb(Fifo(depth=16, fault=fault), BENCH, seed=7, parameters={"width": WIDTH})
    message = str(raised.value)
    assert said in message
    assert message.splitlines()[-1] == (
        f"{BENCH} failed with seed 7; replay (WAVES=1 writes dump.vcd): "
        "TILEWRIGHT_SEED=7 .venv/bin/python -m pytest 'tests/x/test_y.py::test_z[1]'"
    )


def test_a_module_without_tests_fails() -> None:
    with pytest.raises(pytest.fail.Exception):
        run_cocotb(Fifo(depth=3), "tests.support.streams", seed=0)
