"""Fetch, decoder, queues and control together: when each command reaches its engine, and the ends
of runs, good and bad."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from arch.commands import COUNTS, FORMATS, WAITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.registers import Status
from arch.timing import FETCH_AHEAD
from tests.support.amaranth_sim import simulate
from tests.support.command_side import (
    CONFIGS,
    CommandSide,
    ReadMemory,
    beats_of,
    random_program,
    word_of,
)

BASE = 0x4000_0000
TINY = PRESETS["tiny"]


@dataclass
class EngineLog:
    """Cycles of one engine's commands, in order."""

    offered: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)


@dataclass
class Run:
    """What happened when; cycle 0 is the first with busy."""

    offered: list[int] = field(default_factory=list)
    requested: list[int] = field(default_factory=list)
    last_beats: list[int] = field(default_factory=list)
    dispatched: list[int] = field(default_factory=list)
    engines: dict[Engine, EngineLog] = field(
        default_factory=lambda: {engine: EngineLog() for engine in Engine}
    )
    counted: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COUNTS})
    cycles: int = 0
    error: int = 0


@dataclass(frozen=True, kw_only=True)
class Load:
    """How fast the surroundings are: probabilities of a stall, and cycles of a command's work; and
    how far commands may run ahead of those that they wait for."""

    address: float = 0.0
    beat: float = 0.0
    latency: int = 1
    work: int = 1
    lazy: float = 0.0
    lag: int = 2


class Bench:
    """The machine around the command side: memory, and engines that work for random times on up
    to two commands at a time."""

    def __init__(
        self, dut: CommandSide, program: list[Command], load: Load, random: Random
    ) -> None:
        self.dut, self.program, self.load, self.random = dut, program, load, random
        self.words = [word_of(command, dut.config) for command in program]
        self.by_engine = {
            engine: [
                word
                for command, word in zip(program, self.words, strict=True)
                if command.engine is engine
            ]
            for engine in Engine
        }

    async def run(
        self, ctx: Any, *, bad_beats: frozenset[int] = frozenset(), conflict_at: int | None = None
    ) -> Run:
        dut, run = self.dut, Run()
        self.memory = ReadMemory(
            self.words,
            dut.config,
            self.random,
            base=BASE,
            latency=self.load.latency,
            gap=self.load.beat,
            bad_beats=bad_beats,
        )
        # When counts will rise for the commands that have been taken.
        self.due: dict[str, list[int]] = {name: [] for name in COUNTS}
        self.address_up = False
        ctx.set(dut.program_address, BASE)
        ctx.set(dut.program_commands, len(self.words))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(1000 + 400 * len(self.words)):
            if not ctx.get(dut.busy):
                run.cycles, run.error = cycle, ctx.get(dut.control.error)
                assert ctx.get(dut.done)
                return run
            ctx.set(dut.bank_conflict, cycle == conflict_at)
            self.serve_memory(ctx, cycle, run)
            for engine in Engine:
                self.serve_engine(ctx, engine, cycle, run)
            pushed = [e for e in Engine if ctx.get(dut.dispatch[e.name.lower()])]
            for engine in pushed:
                assert engine is self.program[len(run.dispatched)].engine
                run.dispatched.append(cycle)
            await ctx.tick()
        raise AssertionError("the run does not end")

    def serve_memory(self, ctx: Any, cycle: int, run: Run) -> None:
        ar, r = self.dut.memory.ar, self.dut.memory.r
        ctx.set(ar.ready, self.random.random() >= self.load.address)
        beat = self.memory.beat(cycle)
        ctx.set(r.valid, beat is not None)
        if beat is not None:
            ctx.set(r.payload.data, beat[0])
            ctx.set(r.payload.resp, beat[1])
            if self.memory.sent % beats_of(self.dut.config) == 0:
                run.last_beats.append(cycle)
        valid = ctx.get(ar.valid)
        if valid and not self.address_up:
            run.offered.append(cycle)
        self.address_up = valid
        if valid and ctx.get(ar.ready):
            run.requested.append(cycle)
            self.memory.request(cycle, ctx.get(ar.payload.addr), ctx.get(ar.payload.len) + 1)
            self.address_up = False

    def serve_engine(self, ctx: Any, engine: Engine, cycle: int, run: Run) -> None:
        log, queue = run.engines[engine], getattr(self.dut, engine.name.lower())
        for name in (name for name, counted in COUNTS.items() if counted is engine):
            rises = bool(self.due[name]) and self.due[name][0] <= cycle
            ctx.set(self.dut.counted[name], rises)
            if rises:
                self.due[name].pop(0)
                run.counted[name].append(cycle)
        due = self.due[engine.name.lower()]
        ctx.set(queue.ready, len(due) < 2 and self.random.random() >= self.load.lazy)
        if ctx.get(queue.valid):
            if len(log.offered) == len(log.taken):
                log.offered.append(cycle)
            if ctx.get(queue.ready):
                word = self.by_engine[engine][len(log.taken)]
                mask = (1 << FORMATS[engine].bits) - 1
                assert ctx.get(queue.payload.as_value()) == word & mask
                log.taken.append(cycle)
                start = max([cycle, *due[-1:]])
                due.append(start + 1 + self.random.randrange(self.load.work))
                if engine is Engine.POST:
                    self.due["drain"].append(self.random.randint(start + 1, due[-1]))


def check_laws(program: list[Command], config: AcceleratorConfig, run: Run) -> None:
    """Every cycle that the command side decides, from those that its surroundings decide."""
    places = dict.fromkeys(Engine, 0)
    for k, command in enumerate(program):
        request = [run.requested[k - 1]] if k else [-1]
        request += [run.dispatched[k - FETCH_AHEAD]] if k >= FETCH_AHEAD else []
        assert run.offered[k] == max(request) + 1, f"address of command {k}"

        log, place = run.engines[command.engine], places[command.engine]
        places[command.engine] += 1
        dispatch = [run.last_beats[k] + 2] + ([run.dispatched[k - 1] + 2] if k else [])
        if place >= config.command_queue_depth:
            dispatch.append(log.taken[place - config.command_queue_depth] + 1)
        assert run.dispatched[k] == max(dispatch), f"dispatch of command {k}"

        offer = [run.dispatched[k]] + ([log.taken[place - 1]] if place else [])
        for field_name in WAITS[command.engine]:
            name, wait = field_name.removeprefix("wait_"), command[field_name]
            if COUNTS[name] is not command.engine and wait:
                offer.append(run.counted[name][wait - 1])
        assert log.offered[place] == max(offer) + 1, f"offer of command {k}"
    last = [cycles[-1] for cycles in run.counted.values() if cycles]
    assert run.cycles == max(last) + 2


LOADS = {
    "fast": Load(),
    "far": Load(latency=70, work=20),
    "slow engines": Load(work=60, lazy=0.5),
    "slow and far behind": Load(work=40, lag=9),
    "slow memory": Load(address=0.5, beat=0.6, latency=10, work=30),
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_commands_reach_their_engines_when_the_laws_say(
    config: AcceleratorConfig, load: str
) -> None:
    random = Random(f"{config.name} {load}")
    program = random_program(40, config, random, lag=LOADS[load].lag)
    dut = CommandSide(config=config)
    bench = Bench(dut, program, LOADS[load], random)

    async def run(ctx: Any) -> None:
        check_laws(program, config, await bench.run(ctx))

    simulate(dut, run)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_dispatch_keeps_up_with_the_memory(config: AcceleratorConfig) -> None:
    random = Random(1)
    program = random_program(40, config, random, lag=40)
    dut = CommandSide(config=config)
    bench = Bench(dut, program, Load(), random)
    interval = max(beats_of(config), 2)
    first = 1 + (beats_of(config) - 1) + 2

    async def run(ctx: Any) -> None:
        result = await bench.run(ctx)
        assert result.dispatched == [first + interval * k for k in range(40)]

    simulate(dut, run)


def restart_after(program: list[Command], bad: int, code: Status, **arguments: Any) -> None:
    """A run that fails after fewer than ``bad`` commands, then an exact one on the same machine."""
    random = Random(f"{bad} {code}")
    dut = CommandSide(config=TINY)
    good = random_program(20, TINY, random)

    async def run(ctx: Any) -> None:
        load = Load(latency=11, work=9, beat=0.2)
        failed = await Bench(dut, program, load, random).run(ctx, **arguments)
        assert failed.error == code
        assert len(failed.dispatched) <= bad
        assert len(failed.requested) == len(failed.last_beats)
        result = await Bench(dut, good, load, random).run(ctx)
        assert result.error == Status.OK
        check_laws(good, TINY, result)

    simulate(dut, run)


@pytest.mark.parametrize("bad", [0, 1, 7, 19])
def test_an_illegal_command_ends_the_run_and_the_next_is_exact(bad: int) -> None:
    program = random_program(20, TINY, Random(bad))
    command = program[bad]
    ahead = {f"wait_{engine.name.lower()}": 100 for engine in Engine}
    program[bad] = Command.of(command.engine, command.values | ahead)
    restart_after(program, bad, Status.ILLEGAL_COMMAND)


@pytest.mark.parametrize("bad", [0, 1, 7, 19])
def test_a_read_error_ends_the_run_and_the_next_is_exact(bad: int) -> None:
    program = random_program(20, TINY, Random(bad))
    beat = bad * beats_of(TINY) + 5
    restart_after(program, bad, Status.READ_ERROR, bad_beats=frozenset({beat}))


@pytest.mark.parametrize("cycle", [0, 1, 12, 40, 100])
def test_an_engines_error_ends_the_run_and_the_next_is_exact(cycle: int) -> None:
    program = random_program(20, TINY, Random(cycle))
    restart_after(program, 20, Status.BANK_CONFLICT, conflict_at=cycle)


def test_runs_follow_each_other() -> None:
    random = Random(2)
    dut = CommandSide(config=TINY)
    programs = [random_program(length, TINY, random) for length in (5, 0, 12, 1)]

    async def run(ctx: Any) -> None:
        for program in programs:
            result = await Bench(dut, program, Load(latency=7, work=5), random).run(ctx)
            if program:
                check_laws(program, TINY, result)
            else:
                assert result.cycles == 1

    simulate(dut, run)
