"""Running a component in Amaranth's Python simulator, cycle by cycle."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.sim import Simulator

Testbench = Callable[[Any], Awaitable[None]]
"""An async function of a simulator context. In a cycle it sets inputs, reads outputs (which have
settled), then awaits ``ctx.tick()``; several testbenches run in the given order in each cycle."""


def simulate(
    dut: wiring.Component, *testbenches: Testbench, background: Sequence[Testbench] = ()
) -> None:
    """Run ``dut`` with a clock until every one of ``testbenches`` has returned."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def to_verilog(dut: wiring.Component) -> str:
    """The Verilog of ``dut``; raises if it has none."""
    return str(verilog.convert(dut, name="dut"))


def lanes_to_int(values: Sequence[int], bits: int = 8) -> int:
    """Pack integers, signed or not, into one; element 0 lowest."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << bits * lane for lane, value in enumerate(values))


def int_to_lanes(value: int, lanes: int, bits: int = 8) -> list[int]:
    """The unsigned elements that ``lanes_to_int`` packed."""
    return [value >> bits * lane & (1 << bits) - 1 for lane in range(lanes)]
