from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from arch.config import AcceleratorConfig
from arch.timing import FETCH_AHEAD
from hw.fetch import CommandFetch
from tests.support.amaranth_sim import simulate, to_verilog
from tests.support.command_side import CONFIGS, ReadMemory, beats_of, random_program, word_of

BASE = 0x8000_0FC0  # so that the second command begins a 4 KiB page


@dataclass
class Run:
    """What happened when; lists are by command, cycle 0 is the cycle after start."""

    offered: list[int] = field(default_factory=list)
    requested: list[int] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    last_beats: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    read_errors: list[int] = field(default_factory=list)
    bad_beats: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Stalls:
    """Probabilities of a stall on each stream, and the memory's latency."""

    address: float = 0.0
    beat: float = 0.0
    command: float = 0.0
    latency: int = 1


class Bench:
    """Drives a fetch unit and writes down what happens; checks that streams are stable, and that
    ``quiet`` is exact in every cycle."""

    def __init__(
        self,
        config: AcceleratorConfig,
        words: list[int],
        stalls: Stalls,
        random: Random,
        bad_beats: frozenset[int] = frozenset(),
    ) -> None:
        self.dut, self.words = CommandFetch(config=config), words
        self.stalls, self.random, self.beats = stalls, random, beats_of(config)
        self.memory = ReadMemory(
            words,
            config,
            random,
            base=BASE,
            latency=stalls.latency,
            gap=stalls.beat,
            bad_beats=bad_beats,
        )
        self.run = Run()
        self.address: int | None = None  # on offer since the last cycle
        self.word: int | None = None

    async def start(self, ctx: Any) -> None:
        ctx.set(self.dut.program_address, BASE)
        ctx.set(self.dut.program_commands, len(self.words))
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)
        # They are read at the start alone.
        ctx.set(self.dut.program_address, 0)
        ctx.set(self.dut.program_commands, 5)

    def cycle(self, ctx: Any, cycle: int) -> None:
        self.answer(ctx, cycle)
        self.look_at_address(ctx, cycle)
        self.look_at_command(ctx, cycle)
        if ctx.get(self.dut.done):
            self.run.done.append(cycle)

    def answer(self, ctx: Any, cycle: int) -> None:
        r, run = self.dut.memory.r, self.run
        outstanding = len(run.requested) * self.beats - self.memory.sent
        beat = self.memory.beat(cycle)
        ctx.set(r.valid, beat is not None)
        if beat is not None:
            ctx.set(r.payload.data, beat[0])
            ctx.set(r.payload.resp, beat[1])
            if beat[1]:
                run.bad_beats.append(cycle)
            if self.memory.sent % self.beats == 0:
                run.last_beats.append(cycle)
        assert ctx.get(r.ready) == 1
        assert ctx.get(self.dut.quiet) == (
            outstanding == 0 and not ctx.get(self.dut.memory.ar.valid)
        )
        if ctx.get(self.dut.read_error):
            run.read_errors.append(cycle)

    def look_at_address(self, ctx: Any, cycle: int) -> None:
        ar, run = self.dut.memory.ar, self.run
        ctx.set(ar.ready, self.random.random() >= self.stalls.address)
        address = ctx.get(ar.payload.addr) if ctx.get(ar.valid) else None
        assert self.address in (None, address), "an address was withdrawn"
        if address is not None and self.address is None:
            run.offered.append(cycle)
        self.address = address
        if address is not None and ctx.get(ar.ready):
            assert ctx.get(ar.payload.id) == 0
            run.requested.append(cycle)
            run.addresses.append(address)
            self.memory.request(cycle, address, ctx.get(ar.payload.len) + 1)
            self.address = None

    def look_at_command(self, ctx: Any, cycle: int) -> None:
        commands, run = self.dut.commands, self.run
        ctx.set(commands.ready, self.random.random() >= self.stalls.command)
        word = ctx.get(commands.payload) if ctx.get(commands.valid) else None
        assert self.word in (None, word), "a command was withdrawn"
        if word is not None and self.word is None:
            run.shown.append(cycle)
        self.word = word
        if word is not None and ctx.get(commands.ready):
            run.taken.append(cycle)
            run.words.append(word)
            self.word = None


def run_to_the_end(bench: Bench) -> Run:
    """Until ``done``."""
    limit = 200 + len(bench.words) * 400

    async def testbench(ctx: Any) -> None:
        await bench.start(ctx)
        for cycle in range(limit):
            bench.cycle(ctx, cycle)
            if bench.run.done:
                return
            await ctx.tick()
        raise AssertionError(f"not done after {limit} cycles")

    simulate(bench.dut, testbench)
    return bench.run


def run_for(bench: Bench, cycles: int, abort_at: int | None = None) -> Run:
    """For a number of cycles, with ``abort`` from one of them on."""

    async def testbench(ctx: Any) -> None:
        await bench.start(ctx)
        for cycle in range(cycles):
            ctx.set(bench.dut.abort, abort_at is not None and cycle >= abort_at)
            bench.cycle(ctx, cycle)
            await ctx.tick()

    simulate(bench.dut, testbench)
    return bench.run


def check_laws(run: Run) -> None:
    for k, offered in enumerate(run.offered):
        after = [run.requested[k - 1]] if k else [-1]
        if k >= FETCH_AHEAD:
            after.append(run.taken[k - FETCH_AHEAD])
        assert offered == max(after) + 1, f"address of command {k}"
    for k, shown in enumerate(run.shown):
        after = [run.last_beats[k]] + ([run.taken[k - 1]] if k else [])
        assert shown == max(after) + 1, f"offer of command {k}"


STALLS = {
    "none": Stalls(),
    "far": Stalls(latency=60),
    "address": Stalls(address=0.7, latency=5),
    "beat": Stalls(beat=0.5, latency=20),
    "command": Stalls(command=0.9, latency=3),
    "all": Stalls(address=0.4, beat=0.3, command=0.6, latency=9),
}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_command_arrives_when_the_laws_say(config: AcceleratorConfig, stalls: str) -> None:
    random = Random(f"{config.name} {stalls}")
    words = [word_of(command, config) for command in random_program(30, config, random)]
    run = run_to_the_end(Bench(config, words, STALLS[stalls], random))
    check_laws(run)
    assert run.words == words
    assert run.addresses == [BASE + 64 * k for k in range(30)]
    assert run.done == [run.taken[-1] + 1]
    assert not run.read_errors


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_command_comes_with_every_burst_when_nothing_stalls(config: AcceleratorConfig) -> None:
    random = Random(1)
    words = [word_of(command, config) for command in random_program(20, config, random)]
    run = run_to_the_end(Bench(config, words, Stalls(), random))
    assert run.taken == [1 + beats_of(config) * (k + 1) for k in range(20)]


def test_no_more_than_the_slots_are_requested_ahead() -> None:
    config, random = CONFIGS[2], Random(2)
    words = [word_of(command, config) for command in random_program(30, config, random)]
    run = run_for(Bench(config, words, Stalls(command=1.0), random), 60)
    assert run.requested == list(range(FETCH_AHEAD))
    assert run.shown == [2]


def test_an_empty_program_is_done_at_once() -> None:
    assert run_for(Bench(CONFIGS[0], [], Stalls(), Random(3)), 4).done == [0, 1, 2, 3]


@pytest.mark.parametrize("abort_at", [0, 1, 7, 20, 33, 50])
@pytest.mark.parametrize("stall", [0.0, 0.8])
def test_abort_stops_new_addresses_and_keeps_the_one_on_offer(abort_at: int, stall: float) -> None:
    config, random = CONFIGS[0], Random(abort_at)
    words = [word_of(command, config) for command in random_program(30, config, random)]
    bench = Bench(config, words, Stalls(address=stall, latency=4), random)
    run = run_for(bench, 600, abort_at)
    check_laws(run)
    assert len(run.requested) == len(run.offered) == len(run.last_beats)
    assert max(run.offered, default=0) <= abort_at
    assert len(run.offered) < 30


def test_an_error_response_is_told_in_its_cycle() -> None:
    config, random = CONFIGS[1], Random(4)
    words = [word_of(command, config) for command in random_program(6, config, random)]
    run = run_to_the_end(Bench(config, words, Stalls(beat=0.5), random, frozenset({0, 9, 10})))
    assert len(run.bad_beats) == 3
    assert run.read_errors == run.bad_beats


def test_the_low_bits_of_the_address_are_not_read() -> None:
    dut = CommandFetch(config=CONFIGS[0])

    async def bench(ctx: Any) -> None:
        ctx.set(dut.program_address, 0x1234_567F)
        ctx.set(dut.program_commands, 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        assert ctx.get(dut.memory.ar.payload.addr) == 0x1234_5640

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(CommandFetch(config=CONFIGS[0]))
