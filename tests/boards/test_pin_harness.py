"""The harness: every input bit arrives, every output bit comes out, through two pins."""

import random
import re
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards.pin_harness import PinHarness
from hw.top import Accelerator
from hw.verilog import component_verilog
from tests.support.machines import CONFIGS

SEED = 7
CYCLES = 300
INPUTS, OUTPUTS = 9, 14


class Core(wiring.Component):
    """Two inputs, two outputs one cycle later: their sum and the inputs swapped."""

    def __init__(self) -> None:
        super().__init__(
            {"aclk": In(1), "a": In(5), "sum": Out(5), "b": In(4), "swapped": Out(9)},
        )

    def elaborate(self, _: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(0)]
        m.d.sync += [self.sum.eq(self.a + self.b), self.swapped[:4].eq(self.b)]
        m.d.sync += self.swapped[4:].eq(self.a)
        return m


def core_outputs(inputs: int) -> int:
    a, b = inputs & 31, inputs >> 5
    return (a + b) % 32 | b << 5 | a << 9


def expected(bits: list[int]) -> list[int]:
    """``data_out`` in each cycle, when ``bits`` are ``data_in``."""
    inputs = captured = capture = out = outputs = 0
    seen = []
    for bit in bits:
        seen.append(out)
        out = captured >> OUTPUTS - 1
        captured = outputs if capture else captured << 1 & (1 << OUTPUTS) - 1
        capture = bit ^ inputs >> INPUTS - 1
        outputs = core_outputs(inputs)
        inputs = (inputs << 1 | bit) & (1 << INPUTS) - 1
    return seen


def test_inputs_go_in_and_outputs_come_out() -> None:
    rng = random.Random(SEED)
    # Captures far enough apart that whole words come out, and close ones.
    bits = [int(rng.random() < 0.1) for _ in range(CYCLES)]
    bits += [rng.getrandbits(1) for _ in range(CYCLES)]
    dut, seen = PinHarness(Core()), []

    async def clock(ctx: Any) -> None:
        for bit in bits:
            ctx.set(dut.data_in, bit)
            await ctx.delay(1e-9)
            seen.append(ctx.get(dut.data_out))
            ctx.set(dut.aclk, 1)
            await ctx.delay(1e-9)
            ctx.set(dut.aclk, 0)

    simulator = Simulator(dut)
    simulator.add_testbench(clock)
    simulator.run()
    assert seen == expected(bits), f"seed {SEED}"
    assert len(set(bits)) == len(set(seen)) == 2


def test_an_accelerator_needs_three_pins() -> None:
    text = component_verilog(PinHarness(Accelerator(config=CONFIGS["tiny"])), "harness")
    top = re.search(r"^module harness\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert top is not None
    assert re.findall(r"^  ((?:in|out)put .*);", top[0], re.MULTILINE) == [
        "input aclk",
        "input data_in",
        "output data_out",
    ]
