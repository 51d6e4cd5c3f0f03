"""What the benches of the load and the store engine share: commands in, transfers heard, an end."""

import random
from abc import abstractmethod
from typing import Any, Protocol

import cocotb
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from arch.commands import COMMAND_BYTES, Command, unpack
from arch.config import AcceleratorConfig
from tests.cocotb.watch import PinMonitor, until
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)
from tests.support.transfers import Transfer

MEMORY_BYTES = 1 << 16
COMMANDS = 40
TIMEOUT = 50_000


def transfer_of(command: Command) -> Transfer:
    """What ``command`` moves."""
    return Transfer(**{name: command[name] for name in Transfer.__dataclass_fields__})


class TransferModel(Protocol):
    """What is right after each command heard: ``after[0]`` before the first."""

    after: list[Any]

    def hear(self, command: Command) -> None:
        """Add what is right after ``command``."""


class TransferBench:
    """Drivers, monitors and the end of a run around an engine that moves rows of bytes."""

    model: TransferModel

    def __init__(self, dut: Any, pins: tuple[str, ...]) -> None:
        self.dut, self.rng = dut, bench_random()
        self.config = CONFIGS[bench_parameters()["config"]]
        self.pins = PinMonitor(dut, pins)
        self.commands = StreamMonitor(dut, "commands")
        self.done, self.was_bad = 0, False
        self.commands.listeners.append(self._hear)
        dut.abort.value = 0

    @abstractmethod
    def random_command(self, rng: random.Random, config: AcceleratorConfig) -> int:
        """A command as the engine's stream carries it."""

    @abstractmethod
    def new_model(self) -> TransferModel:
        """A model that has heard nothing, of what memory and buffers hold now."""

    def _hear(self, payload: int) -> None:
        self.model.hear(unpack(payload.to_bytes(COMMAND_BYTES, "little")))

    def send(self, count: int) -> Task[None]:
        """Start sending random commands."""
        source = StreamSource(self.dut, "commands", random_stalls(self.rng))
        commands = [self.random_command(self.rng, self.config) for _ in range(count)]
        return cocotb.start_soon(source.send(commands))

    async def finish(self, sending: Task[None]) -> None:
        """Until all that was sent is done and the engine at rest."""
        await sending
        await RisingEdge(self.dut.clk)  # monitors have seen the last command by then
        total = len(self.model.after) - 1
        await until(self.dut, lambda: self.done == total, timeout=TIMEOUT, what="all done")
        await RisingEdge(self.dut.clk)
        assert self.dut.idle.value
        assert self.dut.quiet.value

    async def reset(self, sending: Task[None]) -> None:
        """Stop ``sending`` and reset the engine; memory and buffers keep what was written."""
        sending.cancel()
        self.dut.commands__valid.value = 0
        self.dut.abort.value = 0
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.model = self.new_model()
        self.done, self.was_bad = 0, False

    async def reset_in_mid_run(self) -> None:
        """Three runs cut short by a reset, and one that ends."""
        await start_clock(self.dut)
        for _ in range(3):
            sending = self.send(COMMANDS)
            await ClockCycles(self.dut.clk, self.rng.randint(1, 1000))
            await self.reset(sending)
        await self.finish(self.send(5))
