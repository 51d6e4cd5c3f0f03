"""Output files that appear whole or not at all."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from arch.errors import InputError, RunError


def shown(path: Path) -> str:
    """``path`` in quotes, on one line and without control characters, for messages."""
    return "'" + "".join(char if char.isprintable() else "?" for char in str(path)) + "'"


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """Gives a file beside ``path`` to write to; it takes the place of ``path`` at the end.

    An exception inside leaves ``path`` as it was, and nothing beside it; but ``RunError`` keeps the
    file, because a waveform shows what went wrong. Raises ``InputError``, which names the
    ``option`` of the command line, at the start if ``path`` cannot be written.
    """
    try:
        target = _target(path, option)
        # Beside the target, because only then is the renaming one step.
        part = target.with_name(f".tilewright-{secrets.token_hex(8)}.part")
        part.open("xb").close()
    except OSError as error:
        raise _refusal(path, option, f"{error.strerror}") from None
    try:
        try:
            yield part
        except RunError:
            part.replace(target)
            raise
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_together(folder: Path, texts: Mapping[str, Callable[[], str]], option: str) -> list[Path]:
    """Write a text for each file name into ``folder``, made if missing; gives the paths.

    Texts are made once it is known that they can be written, and no file appears before all are.
    Raises ``InputError``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{option} must be a folder that can be written, got {shown(folder)}: "
            f"{error.strerror}; choose another"
        ) from None
    with ExitStack() as files:
        parts = {name: files.enter_context(whole_file(folder / name, option)) for name in texts}
        for name, part in parts.items():
            part.write_text(texts[name](), "utf-8")
    return [folder / name for name in texts]


def _target(path: Path, option: str) -> Path:
    """``path`` with its links followed. Raises ``InputError`` if it can be no file."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise _refusal(path, option, f"there is no folder {shown(path.parent)}")
    if target.exists() and not target.is_file():
        raise _refusal(path, option, "it is no regular file")
    if target.exists() and not os.access(target, os.W_OK):
        raise _refusal(path, option, "it is write-protected")
    return target


def _refusal(path: Path, option: str, reason: str) -> InputError:
    return InputError(
        f"{option} must be a file that can be written, got {shown(path)}: {reason}; choose another"
    )
