"""A run's timeline as a trace that Perfetto opens."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arch.commands import Command, Engine, LoadTarget
from compiler.schedule import HostTraffic, Schedule
from sim.command.timeline import TimelineSimulator

_PROCESS = 1
_LANES_PER_ENGINE = 100
"""Thread ids that an engine has for itself; its lanes are far fewer."""
_HOST_THREAD = (max(Engine) + 1) * _LANES_PER_ENGINE


class Span(NamedTuple):
    """One command's time on its engine: taken in cycle ``start``, complete in cycle ``done``."""

    engine: Engine
    start: int
    done: int


@dataclass(frozen=True, kw_only=True, eq=False)
class RunTimeline:
    """A run of all programs on one axis of cycles, the time of the host left out.

    ``commands``, ``layers`` (the names of their layers) and ``spans`` are by command; ``host``
    gives with each step of the host the cycles that have passed before it.
    """

    commands: tuple[Command, ...]
    layers: tuple[str, ...]
    spans: tuple[Span, ...]
    cycles: int
    host: tuple[tuple[int, HostTraffic], ...]


def run_timeline(schedule: Schedule) -> RunTimeline:
    """The timeline of one image."""
    commands: list[Command] = []
    layers: list[str] = []
    spans: list[Span] = []
    cycles, before = 0, {0: 0}
    for program in schedule.programs:
        timeline = TimelineSimulator(program.config).run(program.commands)
        commands += program.commands
        layers += [program.layers[step.layer].layer.name for step in program.steps]
        times = zip(program.commands, timeline.starts, timeline.dones, strict=True)
        spans += [
            Span(command.engine, start + cycles, done + cycles) for command, start, done in times
        ]
        cycles += timeline.cycles
        before[max(before) + len(program.layers)] = cycles
    return RunTimeline(
        commands=tuple(commands),
        layers=tuple(layers),
        spans=tuple(spans),
        cycles=cycles,
        host=tuple((before[each.layers_before], each) for each in schedule.host_traffic()),
    )


def lanes(spans: Sequence[Span]) -> list[int]:
    """For each command the lane of its engine, from 0, on which it overlaps no other.

    Engines are pipelines: one may take a command before it is done with those before it.
    """
    free_from: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    found = []
    for span in spans:
        ends = free_from[span.engine]
        lane = next((lane for lane, end in enumerate(ends) if end <= span.start), len(ends))
        ends[lane:] = [span.done + 1, *ends[lane + 1 :]]
        found.append(lane)
    return found


def trace_text(schedule: Schedule) -> str:
    """One image's timeline as JSON in the Trace Event Format; a cycle is a microsecond.

    A thread is a lane of an engine, an event a command from the cycle in which its engine took it
    to that of its completion. What the host runs is an instant: nothing is known of its time.
    """
    run = run_timeline(schedule)
    placed = lanes(run.spans)
    threads = sorted({(span.engine, lane) for span, lane in zip(run.spans, placed, strict=True)})
    events = [*_names(schedule, threads), *_events(run, placed), *_host_events(run)]
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events})


def _thread(engine: Engine, lane: int) -> int:
    return int(engine) * _LANES_PER_ENGINE + lane


def _names(
    schedule: Schedule, threads: Sequence[tuple[Engine, int]]
) -> Iterator[dict[str, object]]:
    process = f"{schedule.network.name} on {schedule.config.name}"
    yield {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": process}}
    named = {
        _thread(engine, lane): engine.name.lower() + (f" +{lane}" if lane else "")
        for engine, lane in threads
    }
    if schedule.host_traffic():
        named[_HOST_THREAD] = "host"
    for thread, name in named.items():
        event = {"ph": "M", "pid": _PROCESS, "tid": thread}
        yield {**event, "name": "thread_name", "args": {"name": name}}
        yield {**event, "name": "thread_sort_index", "args": {"sort_index": thread}}


def _events(run: RunTimeline, placed: Sequence[int]) -> Iterator[dict[str, object]]:
    steps = zip(run.commands, run.layers, run.spans, placed, strict=True)
    for index, (command, layer, span, lane) in enumerate(steps):
        what = layer
        if command.engine is Engine.LOAD:
            what = f"{layer} {LoadTarget(command['target']).name.lower()}s"
        yield {
            "ph": "X",
            "pid": _PROCESS,
            "tid": _thread(span.engine, lane),
            "name": what,
            "cat": layer,
            "ts": span.start,
            "dur": span.done + 1 - span.start,
            "args": {"command": index, **command.values},
        }


def _host_events(run: RunTimeline) -> Iterator[dict[str, object]]:
    for cycle, each in run.host:
        yield {
            "ph": "i",
            "s": "t",
            "pid": _PROCESS,
            "tid": _HOST_THREAD,
            "name": f"{each.name} ({each.kind})",
            "cat": "host",
            "ts": cycle,
            "args": {"read_bytes": each.read_bytes, "written_bytes": each.written_bytes},
        }
