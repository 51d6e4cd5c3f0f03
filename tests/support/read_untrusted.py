"""What holds for every file that claims to be a model: it is read, or refused in one line."""

from pathlib import Path

from arch.errors import CompileError, ModelError
from compiler.float_model import read_float
from compiler.frontend import read_network


def read_untrusted(data: bytes, path: Path) -> str:
    """Write ``data`` to ``path`` and read it, quantised or float.

    Gives the refusal, or nothing where there is none. Any exception but a model's or a compile
    error passes through; ``AssertionError`` if the refusal is not one printable line.
    """
    path.write_bytes(data)
    message = ""
    try:
        try:
            read_network(path)
        except ModelError as error:
            if not str(error).startswith("the model must be quantised"):
                raise
            read_float(path)
    except (CompileError, ModelError) as error:
        message = str(error)
        assert message, "a refusal without words"
        assert message.isprintable(), repr(message)
    return message
