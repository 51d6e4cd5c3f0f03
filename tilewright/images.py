"""Images and labels from a NumPy archive."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError


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
            f"{path}: an image file must hold an array `images`, got {held}; "
            "save it with numpy.savez(path, images=..., labels=...)"
        )
    images, labels = arrays["images"], arrays.get("labels")
    if images.ndim < 2 or len(images) == 0:
        raise InputError(
            f"{path}: `images` must have shape [N, ...] with N at least 1, got {list(images.shape)}"
        )
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "iu"):
        raise InputError(
            f"{path}: `labels` must be integers of shape [{len(images)}], got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if images.dtype != np.float32:
        raise InputError(
            f"{path}: `images` must be float32, got {images.dtype}; convert them and scale them as "
            "in training"
        )
    if count is not None and not 1 <= count <= len(images):
        raise InputError(f"--count must be in 1..{len(images)} (images in {path}), got {count}")
    return Images(
        images=images[:count].astype(np.float32),
        labels=None if labels is None else labels[:count].astype(np.int64),
    )


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: images must be in an .npz archive, got a single array")
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(
            f"{path}: images must be a readable .npz file: {error.strerror or error}"
        ) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: images must be an .npz archive of plain arrays: {error}"
        ) from None
