"""The store engine between random stalls: bytes, order, errors, against transfers byte by byte."""

import random
from typing import Any

from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from arch.commands import Command, Engine
from arch.config import AcceleratorConfig
from tests.cocotb.axi_peer import ChannelMonitor, Memory
from tests.cocotb.transfer_bench import (
    COMMANDS,
    MEMORY_BYTES,
    TIMEOUT,
    TransferBench,
    transfer_of,
)
from tests.cocotb.watch import PinMonitor, Pins, ReadResponder, bounded_test, until
from tests.support.command_side import word_of
from tests.support.streams import random_stalls, start_clock
from tests.support.transfers import random_transfer

PINS = (
    *("done", "error", "activation_read", "activation__valid", "write_beat"),
    *("m_axi_wvalid", "m_axi_wready", "m_axi_bvalid", "m_axi_bready", "m_axi_bresp"),
)


class StoreModel:
    """What the memory holds after each command heard, and which bytes the command wrote."""

    def __init__(self, memory: bytearray, buffer: bytes) -> None:
        self.after, self.written = [bytes(memory)], [set[int]()]
        self._buffer = buffer

    def hear(self, command: Command) -> None:
        memory, written = bytearray(self.after[-1]), set()
        for row in transfer_of(command).moves():
            for target, source in row:
                place = target % len(memory)
                memory[place] = self._buffer[source % len(self._buffer)]
                written.add(place)
        self.after.append(bytes(memory))
        self.written.append(written)


class Bench(TransferBench):
    """Memory, model and checks around the store engine."""

    model: StoreModel

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, PINS)
        self.addresses = ChannelMonitor(dut, "m_axi_aw", ("addr", "len", "id"))
        self.beats = ChannelMonitor(dut, "m_axi_w", ("data", "strb", "last"))
        self.responses = ChannelMonitor(dut, "m_axi_b", ("resp",))
        self.buffer = self.rng.randbytes(self.config.activation_buffer_bytes)
        content = bytearray(self.rng.randbytes(MEMORY_BYTES))
        self.memory = Memory(dut, content, lambda: random_stalls(self.rng))
        ReadResponder(dut, "activation", self.read, self.rng)
        self.model = self.new_model()
        self.pins.listeners += [self.check_done, self.check_events]

    def new_model(self) -> StoreModel:
        return StoreModel(self.memory.content, self.buffer)

    def random_command(self, rng: random.Random, config: AcceleratorConfig) -> int:
        waits = {f"wait_{engine.name.lower()}": 0 for engine in Engine}
        values = {**waits, **random_transfer(rng, config).payload}
        return word_of(Command.of(Engine.STORE, values), config)

    def read(self, address: int) -> bytes:
        """A vector of the buffer."""
        twice = self.buffer[address:] + self.buffer
        return twice[: self.config.bus_bytes]

    def check_done(self, pins: Pins) -> None:
        """With ``done``, the command's bytes are in memory, if no later one has written there."""
        if not pins["done"]:
            return
        self.done += 1
        later = self.model.after[self.done :]
        for place in self.model.written[self.done]:
            assert self.memory.content[place] in {memory[place] for memory in later}

    def check_events(self, pins: Pins) -> None:
        assert pins["m_axi_bready"]
        assert pins["activation_read"] == pins["activation__valid"]
        assert pins["write_beat"] == pins["m_axi_wvalid"] & pins["m_axi_wready"]
        assert pins["error"] == self.was_bad
        self.was_bad = bool(pins["m_axi_bvalid"] and pins["m_axi_bresp"])


@bounded_test
async def every_byte_arrives_and_no_other(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    await bench.finish(bench.send(COMMANDS))
    assert bench.memory.content == bench.model.after[-1]
    assert {identity for *_, identity in bench.addresses.transfers} == {0}


@bounded_test
async def a_bad_response_is_told_and_stops_nothing(dut: Any) -> None:
    bench = Bench(dut)
    middle = MEMORY_BYTES // 2
    upper = bench.memory.content[middle:]
    bench.memory.bad = range(middle, MEMORY_BYTES)
    bench.pins.listeners.remove(bench.check_done)
    await start_clock(dut)
    sending = bench.send(COMMANDS)
    dones = PinMonitor(dut, ["done"])
    dones.listeners.append(lambda pins: setattr(bench, "done", bench.done + pins["done"]))
    await bench.finish(sending)
    assert bench.memory.content == bench.model.after[-1][:middle] + upper
    assert {response for (response,) in bench.responses.transfers} == {0, 2}


@bounded_test
async def an_abort_completes_what_has_begun_and_becomes_quiet(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(3):
        for monitor in (bench.addresses, bench.beats, bench.responses):
            monitor.transfers.clear()
        sending = bench.send(COMMANDS)
        await ClockCycles(dut.clk, bench.rng.randint(1, 1000))
        dut.abort.value = 1
        await ReadOnly()
        before = len(bench.addresses.transfers)
        await RisingEdge(dut.clk)
        await until(dut, lambda: bool(dut.quiet.value), timeout=TIMEOUT, what="quiet")
        await ClockCycles(dut.clk, 30)
        bursts = bench.addresses.transfers
        # One on the address channel, one in the splitter.
        assert len(bursts) <= before + 2
        assert len(bench.beats.transfers) == sum(length + 1 for _, length, _ in bursts)
        assert len(bench.responses.transfers) == len(bursts)
        await bench.reset(sending)
    await bench.finish(bench.send(5))
    assert bench.memory.content == bench.model.after[-1]


@bounded_test
async def after_a_reset_in_mid_run_all_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset_in_mid_run()
    assert bench.memory.content == bench.model.after[-1]
