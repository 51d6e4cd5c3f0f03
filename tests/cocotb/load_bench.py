"""The load engine between random stalls: bytes, order, errors, against transfers byte by byte."""

import random
from typing import Any

from cocotb.task import Task
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from arch.commands import Command, Engine, LoadTarget
from arch.config import TABLES, AcceleratorConfig
from tests.cocotb.axi_peer import ChannelMonitor, Memory
from tests.cocotb.transfer_bench import (
    COMMANDS,
    MEMORY_BYTES,
    TIMEOUT,
    TransferBench,
    transfer_of,
)
from tests.cocotb.watch import Pins, bounded_test, until
from tests.support.command_side import word_of
from tests.support.streams import random_stalls, start_clock
from tests.support.transfers import parameter_transfer, random_transfer

UNALIGNED = (LoadTarget.ACTIVATION, LoadTarget.WEIGHT)
PORTS = {target: target.name.lower() for target in LoadTarget}
WRITE_PINS = ("address", "mask", "data")
PINS = (
    *(f"{port}__{pin}" for port in PORTS.values() for pin in ("valid", *WRITE_PINS)),
    *(f"{port}_write" for port in PORTS.values()),
    *("done", "error", "read_beat", "m_axi_rvalid", "m_axi_rready", "m_axi_rresp"),
)

Buffers = dict[LoadTarget, bytearray]


def empty_buffers(config: AcceleratorConfig) -> Buffers:
    return {
        LoadTarget.ACTIVATION: bytearray(config.activation_buffer_bytes),
        LoadTarget.WEIGHT: bytearray(config.weight_buffer_bytes),
        LoadTarget.PARAMETER: bytearray(config.parameter_buffer_bytes),
        LoadTarget.TABLE: bytearray(TABLES * config.table_bytes),
    }


def copy_of(buffers: Buffers) -> Buffers:
    return {target: bytearray(buffer) for target, buffer in buffers.items()}


class LoadModel:
    """What the buffers hold after each command heard, byte by byte."""

    def __init__(self, buffers: Buffers, memory: bytes) -> None:
        self.after = [copy_of(buffers)]
        self._memory = memory

    def hear(self, command: Command) -> None:
        buffers = copy_of(self.after[-1])
        buffer = buffers[LoadTarget(command["target"])]
        for row in transfer_of(command).moves():
            for source, target in row:
                buffer[target % len(buffer)] = self._memory[source % len(self._memory)]
        self.after.append(buffers)


class WriteMonitor:
    """What the write requests make of the buffers."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.buffers = empty_buffers(config)

    def hear(self, pins: Pins) -> None:
        for target, port in PORTS.items():
            assert pins[f"{port}__valid"] == pins[f"{port}_write"]
            if pins[f"{port}__valid"]:
                self._write(self.buffers[target], *(pins[f"{port}__{pin}"] for pin in WRITE_PINS))

    def _write(self, buffer: bytearray, address: int, mask: int, data: int) -> None:
        for lane in range(mask.bit_length()):
            if mask >> lane & 1:
                buffer[(address + lane) % len(buffer)] = data >> 8 * lane & 0xFF


class Bench(TransferBench):
    """Memory, model and checks around the load engine."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, PINS)
        self.addresses = ChannelMonitor(dut, "m_axi_ar", ("addr", "len", "id"))
        self.beats = ChannelMonitor(dut, "m_axi_r", ("last", "resp"))
        self.writes = WriteMonitor(self.config)
        self.content = self.rng.randbytes(MEMORY_BYTES)
        self.memory = Memory(dut, bytearray(self.content), lambda: random_stalls(self.rng))
        self.model = self.new_model()
        self.pins.listeners += [self.check_done, self.writes.hear, self.check_errors]

    def new_model(self) -> LoadModel:
        return LoadModel(self.writes.buffers, self.content)

    def random_command(self, rng: random.Random, config: AcceleratorConfig) -> int:
        """Of any target."""
        target = rng.choice(list(LoadTarget))
        make = random_transfer if target in UNALIGNED else parameter_transfer
        waits = {f"wait_{engine.name.lower()}": 0 for engine in Engine}
        values = {**waits, "target": int(target), **make(rng, config).payload}
        return word_of(Command.of(Engine.LOAD, values), config)

    async def finish(self, sending: Task[None]) -> None:
        await super().finish(sending)
        assert self.writes.buffers == self.model.after[-1]

    def check_done(self, pins: Pins) -> None:
        """With ``done``, the writes requested in the cycles before are those of the command."""
        if pins["done"]:
            self.done += 1
            assert self.writes.buffers == self.model.after[self.done]

    def check_errors(self, pins: Pins) -> None:
        assert pins["m_axi_rready"]
        assert pins["read_beat"] == pins["m_axi_rvalid"]
        assert pins["error"] == self.was_bad
        self.was_bad = bool(pins["m_axi_rvalid"] and pins["m_axi_rresp"])


@bounded_test
async def every_byte_arrives(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    await bench.finish(bench.send(COMMANDS))
    assert {identity for *_, identity in bench.addresses.transfers} == {0}


@bounded_test
async def a_bad_beat_is_told_and_stops_nothing(dut: Any) -> None:
    bench = Bench(dut)
    middle = MEMORY_BYTES // 2
    bench.memory.bad = range(middle, MEMORY_BYTES)
    # cocotbext-axi's data of a bad beat.
    bench.model = LoadModel(bench.writes.buffers, bench.content[:middle] + bytes(middle))
    await start_clock(dut)
    await bench.finish(bench.send(COMMANDS))
    assert {response for _, response in bench.beats.transfers} == {0, 2}


@bounded_test
async def an_abort_lets_one_burst_go_and_becomes_quiet(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(3):
        bench.addresses.transfers.clear()
        bench.beats.transfers.clear()
        sending = bench.send(COMMANDS)
        await ClockCycles(dut.clk, bench.rng.randint(1, 1000))
        dut.abort.value = 1
        await ReadOnly()
        before = len(bench.addresses.transfers)
        await RisingEdge(dut.clk)
        await until(dut, lambda: bool(dut.quiet.value), timeout=TIMEOUT, what="quiet")
        await ClockCycles(dut.clk, 30)
        bursts = bench.addresses.transfers
        assert len(bursts) <= before + 1
        assert len(bench.beats.transfers) == sum(length + 1 for _, length, _ in bursts)
        await bench.reset(sending)
    await bench.finish(bench.send(5))


@bounded_test
async def after_a_reset_in_mid_run_all_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset_in_mid_run()
