from pathlib import Path

from amaranth.hdl import Assert, Assume, Signal

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.timing import FETCH_AHEAD
from hw.fetch import PROGRAM_COMMANDS_BITS, CommandFetch
from tests.formal.prover import Harness

CONFIG = AcceleratorConfig.from_mapping(
    PRESETS["small"].model_dump() | {"name": "two_beats", "bus_bits": 256}
)
BEATS = COMMAND_BYTES // CONFIG.bus_bytes


def harness() -> tuple[Harness, CommandFetch]:
    """A fetch unit whose memory answers what was asked, whenever it likes."""
    h = Harness()
    h.m.submodules.dut = dut = CommandFetch(config=CONFIG)
    h.any(dut.start, dut.program_address, dut.program_commands, dut.abort)
    h.any(dut.memory.ar.ready, dut.memory.r.valid, dut.memory.r.payload, dut.commands.ready)
    with h.m.If(dut.start):
        h.m.d.comb += Assume(dut.done)
    return h, dut


def invariants(h: Harness, dut: CommandFetch) -> Signal:
    """The state's laws, which every other proof builds on; returns the beats that are to come."""
    m = h.m
    due = Signal(range(FETCH_AHEAD * BEATS + 1))
    requested = dut.memory.ar.valid & dut.memory.ar.ready
    m.d.sync += due.eq(due + (requested << BEATS - 1) - dut.memory.r.valid)
    with m.If(dut.memory.r.valid):
        m.d.comb += Assume(due != 0)
    m.d.comb += [
        Assert(dut.claimed <= FETCH_AHEAD),
        Assert(dut.filled <= dut.claimed),
        Assert(dut.more == (dut.remaining != 0)),
        Assert(dut.beat < BEATS),
        Assert(due + dut.beat == (dut.claimed - dut.filled) * BEATS),
        Assert(dut.write_slot == (dut.read_slot + dut.filled)[: len(dut.read_slot)]),
    ]
    return due


def test_beats_go_to_free_slots_and_nothing_is_lost(tmp_path: Path) -> None:
    h, dut = harness()
    due = invariants(h, dut)
    m = h.m
    length, taken = Signal(PROGRAM_COMMANDS_BITS), Signal(PROGRAM_COMMANDS_BITS)
    with m.If(dut.start):
        m.d.sync += [length.eq(dut.program_commands), taken.eq(0)]
    with m.Elif(dut.commands.valid & dut.commands.ready):
        m.d.sync += taken.eq(taken + 1)
    accounted = taken + dut.claimed + dut.remaining
    m.d.comb += Assert(accounted[:PROGRAM_COMMANDS_BITS] == length)
    with m.If(dut.done):
        m.d.comb += Assert(taken == length)
        m.d.comb += Assert(dut.quiet)
    with m.If(dut.memory.r.valid):
        m.d.comb += Assert(dut.filled < FETCH_AHEAD)
    m.d.comb += Assert(dut.quiet == ((due == 0) & ~dut.memory.ar.valid))
    h.check(tmp_path, mode="prove", depth=2)


def test_offers_stand_until_they_are_taken(tmp_path: Path) -> None:
    h, dut = harness()
    invariants(h, dut)
    m, ar, commands = h.m, dut.memory.ar, dut.commands
    address_up = h.past(ar.valid & ~ar.ready, "address_up")
    address = h.past(ar.payload, "address")
    with m.If(address_up):
        m.d.comb += [Assert(ar.valid), Assert(ar.payload == address)]
    command_up = h.past(commands.valid & ~commands.ready, "command_up")
    # One bit of each beat: the others are stored alike, and every one makes the proof longer.
    bits = commands.payload[:: CONFIG.bus_bits]
    word = h.past(bits, "word")
    with m.If(command_up):
        m.d.comb += [Assert(commands.valid), Assert(bits == word)]
    h.check(tmp_path, mode="prove", depth=2)


def test_an_abort_lets_no_new_address_out(tmp_path: Path) -> None:
    h, dut = harness()
    invariants(h, dut)
    ar = dut.memory.ar
    aborted = h.past(dut.abort, "abort")
    address_up = h.past(ar.valid & ~ar.ready, "address_up")
    with h.m.If(aborted & ~address_up):
        h.m.d.comb += Assert(~ar.valid)
    h.check(tmp_path, mode="prove", depth=2)
