"""The machine's edge: what hosts may do around a reset."""

from typing import Any

import pytest
from amaranth.sim import Simulator

from arch.presets import PRESETS
from arch.registers import REGISTER_ADDRESS
from hw.top import Accelerator


@pytest.mark.parametrize("late", range(3))
def test_a_write_offered_around_the_end_of_a_reset_is_not_lost(late: int) -> None:
    """From so many cycles behind the reset on, less one; 0: from its last cycle on."""
    dut = Accelerator(config=PRESETS["tiny"])
    address = REGISTER_ADDRESS["program_address"]

    async def tick(ctx: Any) -> None:
        for level in (0, 1):
            ctx.set(dut.aclk, level)
            await ctx.delay(1e-9)

    async def offer(ctx: Any) -> None:
        """Address and data, until both are taken."""
        ctx.set(dut.s_axi_awaddr, address)
        ctx.set(dut.s_axi_wdata, 0x12340)
        ctx.set(dut.s_axi_wstrb, 15)
        left = {"aw", "w"}
        for name in left:
            ctx.set(getattr(dut, f"s_axi_{name}valid"), 1)
        for _ in range(10):
            taken = {name for name in left if ctx.get(getattr(dut, f"s_axi_{name}ready"))}
            await tick(ctx)
            ctx.set(dut.aresetn, 1)
            left -= taken
            for name in taken:
                ctx.set(getattr(dut, f"s_axi_{name}valid"), 0)
        assert not left

    async def bench(ctx: Any) -> None:
        ctx.set(dut.aresetn, 0)
        for _ in range(3):
            await tick(ctx)
            ready = (ctx.get(getattr(dut, f"s_axi_{name}ready")) for name in ("aw", "w", "ar"))
            assert not any(ready)
        if late:
            ctx.set(dut.aresetn, 1)
        for _ in range(late - 1):
            await tick(ctx)
        await offer(ctx)
        ctx.set(dut.s_axi_bready, 1)
        answers = 0
        for _ in range(5):
            answers += ctx.get(dut.s_axi_bvalid)
            await tick(ctx)
        assert answers == 1
        ctx.set(dut.s_axi_araddr, address)
        ctx.set(dut.s_axi_arvalid, 1)
        while not ctx.get(dut.s_axi_rvalid):
            await tick(ctx)
        assert ctx.get(dut.s_axi_rdata) == 0x12340

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
