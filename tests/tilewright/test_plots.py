"""Pictures are files of their kind, the same each time, and show every layer."""

from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread

from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.schedule import Schedule
from tests.support.command_line import DIGITS
from tilewright.plots import FORMATS, plot_timeline


@cache
def schedule() -> Schedule:
    return compile_file(DIGITS / "digits_int8.onnx", PRESETS["small"]).schedule


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_program_gives_the_same_file(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        plot_timeline(schedule(), tmp_path / name, kind)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_png(tmp_path: Path) -> None:
    plot_timeline(schedule(), tmp_path / "a.png", "png")
    height, width, _ = imread(tmp_path / "a.png").shape
    assert width == 11 * 130
    assert 300 < height < 1000


def test_svg_names_what_it_shows(tmp_path: Path) -> None:
    plot_timeline(schedule(), tmp_path / "a.svg", "svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    layers = {placed.layer.name for placed in schedule().program.layers}
    assert texts >= layers | {"load", "execute", "post", "store", "cycle"}
    assert any(text and text.startswith("digits on small (8x8): one image in ") for text in texts)
