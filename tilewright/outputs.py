"""The files that a run is asked to leave: its trace, and pictures of it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from compiler.schedule import Schedule
from tilewright.files import whole_file
from tilewright.pictures import Picture, draw, picture_format
from tilewright.trace import trace_text

Output = Callable[[Schedule], None]
"""Writes one file about a network's run."""


def open_outputs(
    files: ExitStack, trace: Path | None, pictures: Mapping[Picture, Path | None]
) -> list[Output]:
    """What writes the files that are asked for; they appear when ``files`` is closed.

    Raises ``InputError`` for what cannot be written, before anything is.
    """
    formats = {
        each: picture_format(each.value, path)
        for each, path in pictures.items()
        if path is not None
    }
    outputs: list[Output] = []
    if trace is not None:
        outputs.append(_trace_to(files.enter_context(whole_file(trace, "--timeline"))))
    for each, path in pictures.items():
        if path is not None:
            part = files.enter_context(whole_file(path, each.value))
            outputs.append(_picture_to(part, each, formats[each]))
    return outputs


def _trace_to(part: Path) -> Output:
    def write(schedule: Schedule) -> None:
        part.write_text(trace_text(schedule), "utf-8")

    return write


def _picture_to(part: Path, picture: Picture, format_: str) -> Output:
    def write(schedule: Schedule) -> None:
        draw(picture, schedule, part, format_)

    return write
