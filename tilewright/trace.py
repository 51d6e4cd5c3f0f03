"""A run's timeline as a Perfetto trace and as a picture."""

import json
from collections.abc import Iterator
from pathlib import Path

from arch.commands import Engine
from compiler.program import Program
from sim.command.engines import Span
from sim.command.timeline import Timeline, TimelineSimulator


def program_timeline(program: Program) -> Timeline:
    """The timeline of ``program``."""
    return TimelineSimulator(program.config).run(program.commands)


def write_trace(program: Program, path: Path) -> None:
    """Write the timeline in the Trace Event Format, which Perfetto opens; 1 us is one cycle."""
    timeline = program_timeline(program)
    events = [*_names(program), *_spans(program, timeline.spans)]
    path.write_text(json.dumps({"displayTimeUnit": "ns", "traceEvents": events}), "utf-8")


def layer_of(program: Program) -> list[str]:
    """For each command, the name of its layer."""
    return [program.layers[step.layer].layer.name for step in program.steps]


def _names(program: Program) -> Iterator[dict[str, object]]:
    process = f"{program.network.name} on {program.config.name}"
    yield {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": process}}
    for engine in Engine:
        yield {
            "ph": "M",
            "pid": 1,
            "tid": int(engine),
            "name": "thread_name",
            "args": {"name": engine.name.lower()},
        }


def _spans(program: Program, spans: tuple[Span, ...]) -> Iterator[dict[str, object]]:
    """One event for each command. Commands of an engine may overlap in its pipeline; a command is
    then shown from the end of the one before it."""
    ends = dict.fromkeys(Engine, 0)
    for index, (layer, span) in enumerate(zip(layer_of(program), spans, strict=True)):
        start = max(span.start, ends[span.engine])
        ends[span.engine] = span.done + 1
        yield {
            "ph": "X",
            "pid": 1,
            "tid": int(span.engine),
            "name": layer,
            "cat": span.engine.name.lower(),
            "ts": start,
            "dur": span.done + 1 - start,
            "args": {"command": index, "taken": span.start, "done": span.done},
        }
