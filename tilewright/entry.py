"""How commands end: in a result, or in one line on stderr."""

import gc
import signal
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from arch.errors import TilewrightError

USER_ERROR = 2


def run_app(app: typer.Typer, name: str) -> NoReturn:
    """Run ``app`` as the command ``name``, and leave the process.

    A user's mistake is one line on stderr and exit status 2.
    """
    # A program is millions of small objects that stay: looking for cycles among them takes a fifth
    # of the time, and finds none.
    gc.disable()
    # As on Ctrl-C, files that are only half written are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(app(standalone_mode=False, prog_name=name))
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = name if context is None else context.command_path
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        _fail(name, f"{message}; see {command} --help")
    except TilewrightError as error:
        _fail(name, str(error))
    except OSError as error:
        _fail(name, f"a file could not be read or written: {error}")


def _fail(name: str, message: str) -> NoReturn:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(USER_ERROR)
