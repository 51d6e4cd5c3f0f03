"""Command fetch between a memory and a decoder that stall at random: whole commands, in order."""

from typing import Any

from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from arch.commands import COMMAND_BYTES
from arch.timing import FETCH_AHEAD
from tests.cocotb.axi_peer import ChannelMonitor, Memory
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, until
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSink,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

MEMORY_BYTES = 1 << 16
TIMEOUT = 50_000
PROGRAMS, ABORTS = 6, 15
LONGEST = 30


class FetchModel:
    """The addresses that a start asks for, and the commands that beats add up to."""

    def __init__(self, bus_bytes: int) -> None:
        self.addresses: list[int] = []
        self.commands: list[int] = []
        self._bus_bytes = bus_bytes
        self._coming = b""

    def start(self, address: int, commands: int) -> None:
        first = address // COMMAND_BYTES
        self.addresses += [number * COMMAND_BYTES for number in range(first, first + commands)]

    def beat(self, data: int) -> None:
        self._coming += data.to_bytes(self._bus_bytes, "little")
        if len(self._coming) == COMMAND_BYTES:
            self.commands.append(int.from_bytes(self._coming, "little"))
            self._coming = b""


class Bench:
    """Drivers, monitors, model and checks around the fetch."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.config = CONFIGS[bench_parameters()["config"]]
        self.pins = PinMonitor(
            dut,
            (
                *("start", "program_address", "program_commands", "read_error", "done"),
                *("m_axi_rvalid", "m_axi_rready", "m_axi_rresp"),
            ),
        )
        names = ("addr", "len", "id", "size", "burst")
        self.addresses = ChannelMonitor(dut, "m_axi_ar", names)
        self.beats = ChannelMonitor(dut, "m_axi_r", ("data", "resp"))
        self.commands = StreamMonitor(dut, "commands")
        self.forget()
        self.pins.listeners += [self.hear_start, self.check]
        self.beats.listeners.append(lambda beat: self.model.beat(beat[0]))
        content = bytearray(self.rng.randbytes(MEMORY_BYTES))
        self.memory = Memory(dut, content, lambda: random_stalls(self.rng))
        StreamSink(dut, "commands", random_stalls(self.rng))
        dut.start.value, dut.abort.value = 0, 0

    def forget(self) -> None:
        """Begin anew, as after a reset."""
        self.model = FetchModel(self.config.bus_bytes)
        for seen in (self.addresses.transfers, self.beats.transfers, self.commands.payloads):
            seen.clear()

    def hear_start(self, pins: Pins) -> None:
        if pins["start"]:
            self.model.start(pins["program_address"], pins["program_commands"])

    def check(self, pins: Pins) -> None:
        assert pins["m_axi_rready"]
        assert pins["read_error"] == (pins["m_axi_rvalid"] and pins["m_axi_rresp"] != 0)
        ahead = len(self.addresses.transfers) - len(self.commands.payloads)
        assert ahead <= FETCH_AHEAD

    async def start(self, commands: int) -> None:
        """Strobe ``start`` for a random program of that many commands."""
        last = MEMORY_BYTES // COMMAND_BYTES - commands
        self.dut.program_address.value = COMMAND_BYTES * self.rng.randint(0, last)
        self.dut.program_commands.value = commands
        self.dut.start.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.start.value = 0
        # Not held by the caller while the program is read.
        self.dut.program_address.value = self.rng.getrandbits(32)
        self.dut.program_commands.value = self.rng.getrandbits(24)
        await RisingEdge(self.dut.clk)

    async def finish(self) -> None:
        await until(self.dut, lambda: bool(self.dut.done.value), timeout=TIMEOUT, what="done")
        await RisingEdge(self.dut.clk)
        assert self.dut.quiet.value
        beats = COMMAND_BYTES // self.config.bus_bytes
        size = self.config.bus_bytes.bit_length() - 1
        assert self.addresses.transfers == [
            (address, beats - 1, 0, size, 1) for address in self.model.addresses
        ]
        assert self.commands.payloads == self.model.commands
        assert len(self.model.commands) == len(self.model.addresses)


def words(memory: bytearray, addresses: list[int]) -> list[int]:
    """The commands that lie at ``addresses``."""
    return [
        int.from_bytes(memory[address : address + COMMAND_BYTES], "little") for address in addresses
    ]


@bounded_test
async def programs_arrive_whole(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for length in (0, 1, *(bench.rng.randint(2, LONGEST) for _ in range(PROGRAMS))):
        await bench.start(length)
        await bench.finish()
    assert bench.commands.payloads == words(bench.memory.content, bench.model.addresses)


@bounded_test
async def bad_beats_are_told(dut: Any) -> None:
    bench = Bench(dut)
    bench.memory.bad = range(MEMORY_BYTES // 4, 3 * MEMORY_BYTES // 4)
    await start_clock(dut)
    for _ in range(PROGRAMS):
        await bench.start(LONGEST // 2)
        await bench.finish()
    assert {response for _, response in bench.beats.transfers} == {0, 2}


@bounded_test
async def an_abort_becomes_quiet_and_after_a_reset_all_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(ABORTS):
        await bench.start(LONGEST)
        # The first address may still be on offer.
        await ClockCycles(dut.clk, bench.rng.choice((1, 2, 5, bench.rng.randint(10, 300))))
        if bench.rng.random() < 0.8:
            await abort(bench)
        dut.rst.value, dut.abort.value = 1, 0
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        bench.forget()
        await bench.start(3)
        await bench.finish()


async def abort(bench: Bench) -> None:
    """Abort, wait until it is quiet, and see that it stays so."""
    dut = bench.dut
    dut.abort.value = 1
    await ReadOnly()
    before = len(bench.addresses.transfers)
    await RisingEdge(dut.clk)
    await until(dut, lambda: bool(dut.quiet.value), timeout=TIMEOUT, what="quiet")
    await ClockCycles(dut.clk, 30)
    bursts = bench.addresses.transfers
    # One on offer, or offered in the first cycle of the abort.
    assert len(bursts) <= before + 1
    assert len(bench.beats.transfers) == sum(burst[1] + 1 for burst in bursts)
