"""Model files as the command line takes them: quantised, or float with images to calibrate with."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arch.config import AcceleratorConfig
from arch.errors import InputError
from compiler.driver import CompiledModel, compile_file
from compiler.input_shape import InputShape
from compiler.ports import check_images
from tilewright.files import shown
from tilewright.networks.registry import NETWORKS
from tilewright.progress import working

if TYPE_CHECKING:
    from compiler.search import MappingSearch

# Far beyond every cap, and still quick to read.
_LONGEST_NUMBER = 9


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """An ONNX file, the images to calibrate a float one with, the shape that the user gives."""

    path: Path
    calibrate: Path | None
    shape: InputShape | None

    def compile(
        self,
        config: AcceleratorConfig,
        without: Collection[str] = (),
        search: "MappingSearch | None" = None,
    ) -> CompiledModel:
        """The program for ``config``, by all passes but those named in ``without``, with the
        mappings that ``search`` finds.

        Raises as ``compile_file`` and ``calibrated`` do, and ``InputError`` for the name of a
        built-in network.
        """
        _check_no_name(self.path)
        if self.calibrate is None:
            return compile_file(self.path, config, shape=self.shape, without=without, search=search)
        with calibrated(self.path, self.calibrate, self.shape, config) as files:
            return compile_file(files.file, config, without=without, search=search)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A float model, as it was before it was quantised and after; both have the same tensors."""

    float_file: Path
    file: Path


@contextmanager
def calibrated(
    path: Path, calibrate: Path, shape: InputShape | None, config: AcceleratorConfig
) -> Iterator[Calibrated]:
    """The float model in ``path``, quantised for a machine with the images in ``calibrate``.

    The files vanish at the end of the context. Says on stderr what is under way. Raises as
    ``read_float``, ``load_images``, ``check_images``, ``prepared`` and ``quantise`` do, and
    ``InputError`` for the name of a built-in network.
    """
    _check_no_name(path)
    # Imported where a model is calibrated: ONNX takes longer than starting up.
    from compiler.float_model import input_shape, read_float
    from tilewright.images import load_images
    from tilewright.quantise import MAX_IMAGES, prepared, quantise

    model = read_float(path, shape)
    images = load_images(calibrate, None).images
    check_images(images, input_shape(model))
    if len(images) > MAX_IMAGES:
        raise InputError(
            f"{shown(calibrate)}: at most {MAX_IMAGES} images may calibrate a model, got "
            f"{len(images)}; some hundred are enough"
        )
    with prepared(model) as float_file:
        with working(f"calibrating on {len(images):,} image{'s' if len(images) > 1 else ''}"):
            file = quantise(float_file, images, config)
        yield Calibrated(float_file=float_file, file=file)


def _check_no_name(path: Path) -> None:
    name = str(path)
    if name in NETWORKS and not path.exists():
        raise InputError(
            f"MODEL must be an ONNX file here, got the built-in network {name}, which is shapes "
            f"only; time it: tilewright run {name} --timing-only"
        )


def parse_shape(text: str | None) -> InputShape | None:
    """``NAME=1,3,224,224``; raises ``InputError`` for any other text."""
    if text is None:
        return None
    name, _, sizes = text.rpartition("=")
    numbers = [size.strip() for size in sizes.split(",")]
    if not name or not all(map(_is_number, numbers)):
        raise InputError(
            f"--shape must be NAME=1,3,224,224, got {shown(Path(text))}; "
            "give the input's name and a number for each dimension"
        )
    return InputShape(name=name, sizes=tuple(map(int, numbers)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
