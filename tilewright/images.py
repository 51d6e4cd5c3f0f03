"""Images and labels from a NumPy archive."""

import lzma
import struct
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError
from compiler.ports import OutputPort, ResultPort
from tilewright.files import shown

MAX_BYTES = 1 << 30
"""Limit of all arrays together, unpacked: an archive of a few bytes may claim any size."""
# What zipfile and numpy were seen to raise, or may raise, on broken archives.
_BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """``images`` float32 [N, ...] and, if given, ``labels`` int64 [N]."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64] | None


def load_images(path: Path, count: int | None) -> Images:
    """The first ``count`` (else all) images of an .npz file with `images` and maybe `labels`.

    Raises ``InputError`` for a file that is not such an archive.
    """
    arrays = _read(path)
    if "images" not in arrays:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(
            f"{shown(path)}: an image file must hold an array `images`, got {held}; "
            "save it with numpy.savez(path, images=..., labels=...)"
        )
    images, labels = arrays["images"], arrays.get("labels")
    _check_images(path, images)
    if labels is not None:
        _check_labels(path, labels, len(images))
    if count is not None and not 1 <= count <= len(images):
        raise InputError(
            f"--count must be in 1..{len(images)}, the images in {shown(path)}, got {count}; "
            "leave it out to run all"
        )
    return Images(
        images=images[:count].astype(np.float32),
        labels=None if labels is None else labels[:count].astype(np.int64),
    )


def check_labels(labels: NDArray[np.int64], output: OutputPort | ResultPort) -> None:
    """Raise ``InputError`` unless every label is one of the classes that ``output`` tells."""
    classes = output.classes
    if classes is None:
        raise InputError(
            f"`labels` need a model whose first output is one class, got indices "
            f"{list(output.shape)}; leave the labels out"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise InputError(
            f"`labels` must be in 0..{classes - 1}, the classes of the model, got {wrong[0]}; "
            "number the classes from 0, or leave the labels out"
        )


def _check_images(path: Path, images: NDArray[np.generic]) -> None:
    if images.ndim < 2 or images.size == 0:
        raise InputError(
            f"{shown(path)}: `images` must have shape [N, ...] without zeros, "
            f"got {list(images.shape)}; save the images one after the other along axis 0"
        )
    if images.dtype.newbyteorder("=") != np.float32:
        raise InputError(
            f"{shown(path)}: `images` must be float32, got {images.dtype}; convert them and scale "
            "them as in training"
        )


def _check_labels(path: Path, labels: NDArray[np.generic], count: int) -> None:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{shown(path)}: `labels` must be integers [{count}], one for each image, "
            f"got {labels.dtype} {list(labels.shape)}; save the numbers of the classes"
        )


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays by name. Raises ``InputError``."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{shown(path)}: images must be in a regular file; give an .npz file")
        _check_size(path)
        # A warning tells of an array in the form of Python 2, which is read all the same.
        with (
            warnings.catch_warnings(action="ignore"),
            np.load(path, allow_pickle=False) as archive,
        ):
            held = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(
            f"{shown(path)}: images must be in an .npz file that can be read: "
            f"{error.strerror or 'it is broken'}; give the path of one"
        ) from None
    except _BROKEN:
        raise InputError(
            f"{shown(path)}: images must be in an .npz archive of plain arrays, which this is not, "
            "or no longer; save it with numpy.savez(path, images=..., labels=...)"
        ) from None

    # Members that are no arrays come as bytes.
    return {name: array for name, array in held.items() if isinstance(array, np.ndarray)}


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise InputError(
            f"{shown(path)}: an image file may hold at most {MAX_BYTES} bytes unpacked, "
            f"got {size}; split it"
        )
