"""Pictures are files of their kind, the same each time, and show every layer."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread

from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.schedule import Schedule, schedule_network
from tests.support.command_line import DIGITS
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network
from tilewright.pictures import FORMATS, Picture, draw
from tilewright.plots import plot_timeline
from tilewright.timing import time_schedule
from tilewright.trace import run_timeline


@cache
def schedule() -> Schedule:
    return compile_file(DIGITS / "digits_int8.onnx", PRESETS["small"]).schedule


@cache
def large() -> Schedule:
    network = shape_network(build("mobilenet-v1-0.25-32x32"))
    return schedule_network(network, PRESETS["small"], timing_only=True)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("picture", Picture)
def test_the_same_program_gives_the_same_file(tmp_path: Path, picture: Picture, kind: str) -> None:
    for name in ("a", "b"):
        draw(picture, schedule(), tmp_path / name, kind)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("picture", Picture)
def test_png(tmp_path: Path, picture: Picture) -> None:
    draw(picture, schedule(), tmp_path / "a.png", "png")
    height, width, _ = imread(tmp_path / "a.png").shape
    assert width == 11 * 130
    assert 300 < height < 1000


def texts(folder: Path, picture: Picture, of: Schedule) -> set[str]:
    draw(picture, of, folder / "a.svg", "svg")
    return texts_of(folder / "a.svg")


def texts_of(path: Path) -> set[str]:
    root = ElementTree.parse(path).getroot()
    return {text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")}


def layer_names(of: Schedule) -> set[str]:
    return {placed.layer.name for placed in of.program.layers}


def test_timeline_names_what_it_shows(tmp_path: Path) -> None:
    found = texts(tmp_path, Picture.TIMELINE, schedule())
    assert found >= layer_names(schedule()) | {"load", "execute", "post", "store", "cycle"}
    assert any(text.startswith("digits on small (8x8): one image in ") for text in found)


def test_timeline_of_many_layers_names_those_with_room(tmp_path: Path) -> None:
    named = texts(tmp_path, Picture.TIMELINE, large()) & layer_names(large())
    assert len(named) > 10


def test_utilization_names_layers_and_what_binds_them(tmp_path: Path) -> None:
    found = texts(tmp_path, Picture.UTILIZATION, schedule())
    bounds = {"bound by compute", "bound by memory", "bound by drain"}
    assert found >= layer_names(schedule()) | bounds
    timing = time_schedule(schedule())
    used = f"{timing.utilization:.1%} of the array's peak in {timing.cycles:,} cycles"
    assert f"digits on small (8x8): {used}" in found


def test_roofline_shows_layers_with_macs_and_both_roofs(tmp_path: Path) -> None:
    found = texts(tmp_path, Picture.ROOFLINE, schedule())
    assert found >= {"array: 64 MACs per cycle", "memory: 8 bytes per cycle each way"}
    layers = time_schedule(schedule()).layers
    with_macs = {layer.name for layer in layers if layer.macs}
    assert found & layer_names(schedule()) == with_macs
    shown = f"the {len(with_macs)} of {len(layers)} layers that have MACs"
    assert f"digits on small (8x8): {shown}" in found


def test_no_layer_is_above_its_roof() -> None:
    """Layers that run alone keep below the roofs: what the picture says is a bound is one."""
    program = schedule().program
    for index in range(len(program.layers)):
        steps = tuple(step for step in program.steps if step.layer == index)
        alone = replace(program, steps=steps, commands=tuple(program.isolated(index)))
        layer = time_schedule(replace(schedule(), stages=(alone,))).layers[index]
        assert layer.macs <= 64 * layer.cycles
        assert max(layer.read_bytes, layer.written_bytes) <= 8 * layer.cycles


def test_timeline_of_some_layers(tmp_path: Path) -> None:
    """They alone, at their place in the run."""
    names = ["conv2", "conv3"]
    whole = run_timeline(schedule())
    chosen = [span for name, span in zip(whole.layers, whole.spans, strict=True) if name in names]
    cycles = max(span.done for span in chosen) + 1 - min(span.start for span in chosen)
    plot_timeline(schedule(), tmp_path / "a.svg", "svg", only=names)
    found = texts_of(tmp_path / "a.svg")
    assert {"conv2", "conv3"} <= found
    assert not {"conv1", "head"} & found
    assert any(f"conv2 to conv3 in {cycles:,} cycles" in text for text in found)
