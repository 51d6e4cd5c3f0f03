"""The Perfetto trace: valid, complete, and true to the timeline."""

import json
from collections import defaultdict
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.commands import Engine
from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.schedule import Schedule
from tests.support.command_line import DIGITS
from tilewright.trace import Span, lanes, run_timeline, trace_text

SPANS = st.lists(
    st.builds(
        lambda engine, start, length: Span(engine=engine, start=start, done=start + length),
        st.sampled_from(Engine),
        st.integers(0, 50),
        st.integers(0, 30),
    ),
    max_size=40,
)


@cache
def schedule(config: str) -> Schedule:
    return compile_file(DIGITS / "digits_int8.onnx", PRESETS[config]).schedule


def events(config: str, phase: str) -> list[dict[str, Any]]:
    trace = json.loads(trace_text(schedule(config)))
    assert trace.keys() == {"displayTimeUnit", "traceEvents"}
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X"}
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


@given(SPANS)
def test_commands_on_a_lane_do_not_overlap(spans: list[Span]) -> None:
    taken: dict[tuple[Engine, int], set[int]] = defaultdict(set)
    for span, lane in zip(spans, lanes(spans), strict=True):
        cycles = set(range(span.start, span.done + 1))
        assert not taken[span.engine, lane] & cycles
        taken[span.engine, lane] |= cycles


def test_a_pipeline_takes_as_many_lanes_as_it_needs() -> None:
    load, store = Engine.LOAD, Engine.STORE
    spans = [
        Span(engine=load, start=0, done=9),
        Span(engine=load, start=1, done=14),
        Span(engine=store, start=2, done=5),
        Span(engine=load, start=9, done=20),
        Span(engine=load, start=10, done=22),
    ]
    assert lanes(spans) == [0, 1, 0, 2, 0]


@pytest.mark.parametrize("config", ["tiny", "small", "gemmini16"])
def test_one_event_for_each_command(config: str) -> None:
    run = run_timeline(schedule(config))
    found = events(config, "X")
    assert [event["args"]["command"] for event in found] == list(range(len(run.spans)))
    for event, span, layer in zip(found, run.spans, run.layers, strict=True):
        assert (event["ts"], event["ts"] + event["dur"]) == (span.start, span.done + 1)
        assert event["cat"] == layer
        assert event["name"].startswith(layer)


@pytest.mark.parametrize("config", ["tiny", "small", "gemmini16"])
def test_events_of_a_thread_follow_one_another(config: str) -> None:
    threads: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event in events(config, "X"):
        assert event["dur"] > 0
        threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for times in threads.values():
        assert all(first[1] <= second[0] for first, second in pairwise(sorted(times)))


def test_threads_are_the_engines() -> None:
    names = {
        event["tid"]: event["args"]["name"]
        for event in events("small", "M")
        if event["name"] == "thread_name"
    }
    assert names.keys() == {event["tid"] for event in events("small", "X")}
    engines = {name for name in names.values() if "+" not in name}
    assert engines == {"load", "execute", "post", "store"}
    assert events("small", "M")[0]["args"] == {"name": "digits on small"}
