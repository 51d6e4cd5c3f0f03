"""A run's timeline as a trace that Perfetto opens."""

import json
from collections.abc import Iterator, Sequence

from arch.commands import Engine, LoadTarget
from compiler.program import Program
from sim.command.engines import Span
from sim.command.timeline import Timeline, TimelineSimulator

_PROCESS = 1
_LANES_PER_ENGINE = 100
"""Thread ids that an engine has for itself; its lanes are far fewer."""


def program_timeline(program: Program) -> Timeline:
    """The timeline of ``program``."""
    return TimelineSimulator(program.config).run(program.commands)


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


def layer_names(program: Program) -> list[str]:
    """For each command, the name of its layer."""
    return [program.layers[step.layer].layer.name for step in program.steps]


def trace_text(program: Program) -> str:
    """One image's timeline as JSON in the Trace Event Format; a cycle is a microsecond.

    A thread is a lane of an engine, an event a command from the cycle in which its engine took it
    to that of its completion.
    """
    spans = program_timeline(program).spans
    placed = lanes(spans)
    threads = sorted({(span.engine, lane) for span, lane in zip(spans, placed, strict=True)})
    events = [*_names(program, threads), *_events(program, spans, placed)]
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events})


def _thread(engine: Engine, lane: int) -> int:
    return int(engine) * _LANES_PER_ENGINE + lane


def _names(program: Program, threads: Sequence[tuple[Engine, int]]) -> Iterator[dict[str, object]]:
    process = f"{program.network.name} on {program.config.name}"
    yield {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": process}}
    for engine, lane in threads:
        thread = _thread(engine, lane)
        name = engine.name.lower() if lane == 0 else f"{engine.name.lower()} +{lane}"
        event = {"ph": "M", "pid": _PROCESS, "tid": thread}
        yield {**event, "name": "thread_name", "args": {"name": name}}
        yield {**event, "name": "thread_sort_index", "args": {"sort_index": thread}}


def _events(
    program: Program, spans: Sequence[Span], placed: Sequence[int]
) -> Iterator[dict[str, object]]:
    steps = zip(program.commands, layer_names(program), spans, placed, strict=True)
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
