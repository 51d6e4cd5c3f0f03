"""The whole accelerator between cocotbext-axi's memory and its register master."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from arch.counters import COUNTER_NAMES
from arch.registers import (
    CONTROL_CLEAR,
    CONTROL_START,
    REGISTER_ADDRESS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR_SHIFT,
    STATUS_INTERRUPT,
    Status,
)
from tests.cocotb.axi_peer import ChannelMonitor, Memory, RegisterMaster
from tests.support.agreement import Case, assert_golden
from tests.support.streams import CLOCK_NS, never, random_stalls

MEMORY_BYTES = 1 << 16
TIMEOUT = 200_000
TIMED = ("cycles", "stall_weights", "stall_load", "stall_post", "stall_store", "stall_idle")
"""Counters that depend on the memory's times."""


def slow(rng: random.Random) -> Iterator[bool]:
    """Ready, or valid, in one of five cycles."""
    while True:
        yield rng.random() < 0.8


PATTERNS: dict[str, Callable[[random.Random], Iterator[bool]]] = {
    "none": lambda _rng: never(),
    "random": random_stalls,
    "slow": slow,
}
"""How each channel stalls."""


class Machine:
    """A driver's view: memory, registers, interrupt. Makes its own clock; begins in reset."""

    def __init__(self, dut: Any, pattern: str, rng: random.Random) -> None:
        self._dut = dut

        def stalls() -> Iterator[bool]:
            return PATTERNS[pattern](rng)

        dut.aresetn.value = 0
        for channel in ("ar", "aw"):
            ChannelMonitor(dut, f"m_axi_{channel}", ("addr", "len", "id"))
        ChannelMonitor(dut, "m_axi_w", ("data", "strb", "last"))
        self.memory = Memory(dut, bytearray(MEMORY_BYTES), stalls)
        self._registers = RegisterMaster(dut, stalls).bus
        Clock(dut.aclk, CLOCK_NS, unit="ns").start()

    async def reset(self) -> None:
        """At any time; the memory keeps its bytes."""
        self._dut.aresetn.value = 0
        await ClockCycles(self._dut.aclk, 2)
        self._dut.aresetn.value = 1
        await RisingEdge(self._dut.aclk)

    async def write(self, register: str, value: int) -> None:
        result = await self._registers.write(
            REGISTER_ADDRESS[register], value.to_bytes(4, "little")
        )
        assert result.resp == 0

    async def read(self, register: str) -> int:
        result = await self._registers.read(REGISTER_ADDRESS[register], 4)
        assert result.resp == 0
        return int.from_bytes(result.data, "little")

    async def start(self, case: Case) -> None:
        """Load and start the program of ``case``, from a clean memory."""
        program, image = case.program, np.zeros(MEMORY_BYTES, np.uint8)
        image[: program.image.size] = program.image
        program.write_map(image, program.network.input, case.image)
        self.memory.content[:] = image.tobytes()
        await self.write("interrupt_enable", 1)
        await self.write("program_address", program.program_address)
        await self.write("program_commands", len(program.commands))
        await self.write("control", CONTROL_START)

    async def finish(self) -> Status:
        """Wait for the interrupt, clear it, and give how the run ended."""
        for _ in range(TIMEOUT):
            if self._dut.interrupt.value:
                break
            await RisingEdge(self._dut.aclk)
        else:
            raise AssertionError(f"no interrupt in {TIMEOUT} cycles")
        status = await self.read("status")
        assert status & 0xFF == STATUS_DONE | STATUS_INTERRUPT
        await self.write("control", CONTROL_CLEAR)
        await ClockCycles(self._dut.aclk, 2)
        assert not self._dut.interrupt.value
        return Status(status >> STATUS_ERROR_SHIFT)

    async def is_busy(self) -> bool:
        return bool(await self.read("status") & STATUS_BUSY)

    async def run_exactly(self, case: Case) -> None:
        """Run ``case``: bytes must be golden, and accesses the command-level simulator's."""
        await self.start(case)
        assert await self.finish() is Status.OK
        assert_golden(case, np.frombuffer(bytes(self.memory.content), np.uint8))
        counters = {name: await self.read(name) for name in COUNTER_NAMES}
        expected = case.timeline.counters
        for name in COUNTER_NAMES:
            if name not in TIMED:
                assert counters[name] == expected.get(name, 0), name
        assert counters["cycles"] == counters["array_busy"] + sum(
            counters[name] for name in TIMED if name != "cycles"
        )
