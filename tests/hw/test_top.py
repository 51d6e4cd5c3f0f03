"""The machine's edge: what a host may do around a reset."""

from typing import Any

import pytest
from amaranth.sim import Simulator

from arch.presets import PRESETS
from arch.registers import REGISTER_ADDRESS
from hw.top import Accelerator

ADDRESS, VALUE = REGISTER_ADDRESS["program_address"], 0x12340


class Host:
    """Drives the machine's clock, reset and registers."""

    def __init__(self, ctx: Any, dut: Accelerator) -> None:
        self._ctx, self._dut = ctx, dut

    def set(self, **pins: int) -> None:
        for name, value in pins.items():
            self._ctx.set(getattr(self._dut, name), value)

    def get(self, name: str) -> int:
        return int(self._ctx.get(getattr(self._dut, name)))

    async def tick(self) -> None:
        for level in (0, 1):
            self.set(aclk=level)
            await self._ctx.delay(1e-9)

    async def reset(self) -> None:
        """Three cycles, in which nothing is taken."""
        self.set(aresetn=0)
        for _ in range(3):
            await self.tick()
            assert not any(self.get(f"s_axi_{name}ready") for name in ("aw", "w", "ar"))

    async def write(self) -> None:
        """Offer address and data until both are taken; the reset ends with the first cycle."""
        self.set(s_axi_awaddr=ADDRESS, s_axi_wdata=VALUE, s_axi_wstrb=15)
        self.set(s_axi_awvalid=1, s_axi_wvalid=1)
        left = {"aw", "w"}
        for _ in range(10):
            taken = {name for name in left if self.get(f"s_axi_{name}ready")}
            await self.tick()
            self.set(aresetn=1, **{f"s_axi_{name}valid": 0 for name in taken})
            left -= taken
        assert not left

    async def answers(self) -> int:
        """How many writes are answered."""
        self.set(s_axi_bready=1)
        found = 0
        for _ in range(5):
            found += self.get("s_axi_bvalid")
            await self.tick()
        return found

    async def read(self) -> int:
        self.set(s_axi_araddr=ADDRESS, s_axi_arvalid=1)
        while not self.get("s_axi_rvalid"):
            await self.tick()
        return self.get("s_axi_rdata")


@pytest.mark.parametrize("cycle", range(3))
def test_a_write_offered_around_the_end_of_a_reset_is_not_lost(cycle: int) -> None:
    """From the reset's last cycle on (0), or the first behind it (1), or the second (2)."""
    dut = Accelerator(config=PRESETS["tiny"])

    async def bench(ctx: Any) -> None:
        host = Host(ctx, dut)
        await host.reset()
        host.set(aresetn=min(cycle, 1))
        for _ in range(cycle - 1):
            await host.tick()
        await host.write()
        assert await host.answers() == 1
        assert await host.read() == VALUE

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
