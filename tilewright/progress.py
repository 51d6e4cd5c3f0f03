"""What is under way, on stderr: lines, and on terminals spinners and bars.

Rich is imported where there is a terminal: it takes longer to import than small networks to time.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

    from tilewright.evaluate import ImageResult

T = TypeVar("T")


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Says that ``what`` is under way: a spinner on terminals, else a line. The spinner shows the
    part that its user tells it."""
    if not _on_terminal():
        print(what, file=sys.stderr)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(what) as status:
        yield lambda part: status.update(f"{what}: {escape(part)}")


def _bar() -> "Progress":
    """A bar on stderr: what is under way, how far it is, a tally, the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tally]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


def follow(results: "Iterable[ImageResult]", total: int, what: str) -> "list[ImageResult]":
    """All of ``results``; on terminals with a progress bar and the tally so far."""
    if not _on_terminal():
        return list(results)
    collected: list[ImageResult] = []
    mismatches = correct = 0
    with _bar() as bar:
        task = bar.add_task(what, total=total, tally="")
        for result in results:
            collected.append(result)
            mismatches += result.mismatching_bytes
            correct += bool(result.correct)
            right = "" if result.correct is None else f"{correct:,} correct, "
            bar.update(task, advance=1, tally=f"{right}{mismatches:,} mismatching bytes")
    return collected


def tracked(steps: Iterable[T], total: int, what: str) -> Iterator[T]:
    """``steps`` one by one, while ``what`` is under way: a bar on terminals, else a line."""
    if not _on_terminal():
        print(what, file=sys.stderr)
        yield from steps
        return
    with _bar() as bar:
        task = bar.add_task(what, total=total, tally="")
        yield from bar.track(steps, total=total, task_id=task)


def _on_terminal() -> bool:
    """As Rich sees it."""
    return sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
