"""The pictures of a run, and the files that they go to.

Matplotlib is imported by what draws, because it takes longer to import than many networks to time.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from arch.errors import InputError
from compiler.schedule import Schedule
from tilewright.files import shown

FORMATS = ("png", "svg")
"""Kinds of picture that can be written."""


class Picture(StrEnum):
    """What can be drawn of a network's run; the value is its option on the command line."""

    TIMELINE = "--plot"
    UTILIZATION = "--utilization"
    ROOFLINE = "--roofline"


def picture_format(option: str, path: Path) -> str:
    """One of ``FORMATS``, by the ending of ``path``. Raises ``InputError`` for any other."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise InputError(
            f"{option} must end in {' or '.join(f'.{each}' for each in FORMATS)}, "
            f"got {shown(path)}; rename it"
        )
    return ending


def draw(picture: Picture, schedule: Schedule, path: Path, format_: str) -> None:
    """Draw ``picture`` of one image's run of ``schedule``; ``format_`` is one of ``FORMATS``.

    The same schedule gives the same file.
    """
    _drawer(picture)(schedule, path, format_)


def _drawer(picture: Picture) -> Callable[[Schedule, Path, str], None]:
    if picture is Picture.TIMELINE:
        from tilewright.plots import plot_timeline

        return plot_timeline
    if picture is Picture.UTILIZATION:
        from tilewright.plot_utilization import plot_utilization

        return plot_utilization
    from tilewright.plot_roofline import plot_roofline

    return plot_roofline
