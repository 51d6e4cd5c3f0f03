"""The C functions of harness.cpp as Python calls them."""

import ctypes
from pathlib import Path


class CErrorRange(ctypes.Structure):
    """`ErrorRange` of memory.hpp."""

    _fields_ = (
        ("start", ctypes.c_uint64),
        ("stop", ctypes.c_uint64),
        ("read", ctypes.c_bool),
        ("write", ctypes.c_bool),
    )


def load_library(path: Path) -> ctypes.CDLL:
    """The C functions of harness.cpp, with their types."""
    library = ctypes.CDLL(str(path))
    machine, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    signatures: dict[str, tuple[object, list[object]]] = {
        "new": (machine, [ctypes.c_void_p, u64, ctypes.c_char_p]),
        "delete": (None, [machine]),
        "reset": (None, [machine]),
        "set_exact": (None, [machine, u32, u32]),
        "set_random": (None, [machine, u32, u32, u64]),
        "set_errors": (None, [machine, ctypes.POINTER(CErrorRange), u64]),
        "write": (ctypes.c_int, [machine, u32, u32, u64]),
        "read": (ctypes.c_int, [machine, u32, ctypes.POINTER(u32), u64]),
        "advance": (None, [machine, u64, ctypes.c_bool]),
        "restart": (None, [machine]),
        "now": (u64, [machine]),
        "interrupted": (u64, [machine]),
        "response_cycle": (u64, [machine, u64]),
        "broken": (ctypes.c_char_p, [machine]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"machine_{name}")
        function.restype, function.argtypes = result, arguments
    return library
