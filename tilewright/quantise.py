"""Float models become quantised ones, by ONNX Runtime's quantiser and images to calibrate with."""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from arch.config import AcceleratorConfig
from arch.errors import ModelError
from compiler.onnx_file import first_line
from compiler.operators import HOST
from compiler.support import check_operators

RUNTIME_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""What the quantiser and ONNX Runtime were seen to raise, or may raise, on models beyond them."""
# ONNX Runtime's log levels: its default, and nothing at all (errors come as exceptions).
_WARNINGS, _FATAL = 2, 4
# As fast as unsigned ones on the machine; and no CPU saturates when ONNX Runtime runs int8.
_TYPES = {8: QuantType.QInt8, 16: QuantType.QInt16}
MAX_IMAGES = 10_000
"""To calibrate with: the quantiser keeps two numbers an image and tensor until the end. (Its option
CalibMaxIntermediateOutputs, for less, forgets the earlier images in ONNX Runtime 1.31.)"""


@contextmanager
def prepared(model: onnx.ModelProto) -> Iterator[Path]:
    """A file of a model from ``read_float``, with constants computed and batch-norms folded.

    It is in a folder of its own, which vanishes at the end. Raises ``ModelError`` for what ONNX
    Runtime cannot read, and for operators that are not supported.
    """
    with tempfile.TemporaryDirectory(prefix="tilewright-") as folder:
        given, path = Path(folder) / "given.onnx", Path(folder) / "float.onnx"
        given.write_bytes(model.SerializeToString())
        with _quiet(), _refused("prepare"):
            # The other shape inference needs sympy, and every shape is known.
            quant_pre_process(given, path, skip_symbolic_shape=True)
        model = onnx.load(path, load_external_data=False)
        check_operators(model)
        _name_nodes(model)
        onnx.save(model, path)
        yield path


def quantise(path: Path, images: NDArray[np.float32], config: AcceleratorConfig) -> Path:
    """The QDQ form of a ``prepared`` model in the words of a machine, written beside it.

    Activations become int8 or int16 with any zero point, from their least to their greatest value
    over ``images`` float32 [N, ...], finite and of the model's shape. Weights become int8 or int16
    with zero point 0 and one scale for each output channel. The opset becomes 21 at least for
    int16, as ONNX has no such QuantizeLinear before. Raises ``ModelError``.
    """
    model = onnx.load(path, load_external_data=False)
    target = path.with_name("quantised.onnx")
    with _quiet(), _refused("quantise"):
        quantize_static(
            path,
            target,
            _Feeds(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=_TYPES[config.activation_bits],
            weight_type=_TYPES[config.weight_bits],
            # By default some, such as HardSwish, stay float.
            op_types_to_quantize=sorted({node.op_type for node in model.graph.node}),
            nodes_to_exclude=_last_on_host(model),
        )
    return target


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give each node without a name the first one of its outputs: nodes are chosen by name."""
    for node in model.graph.node:
        node.name = node.name or node.output[0]


def _last_on_host(model: onnx.ModelProto) -> list[str]:
    """The names of nodes whose outputs the host computes and shows: rounding only harms them."""
    shown = {item.name for item in model.graph.output}
    nodes = [node for node in model.graph.node if node.op_type in HOST]
    return [node.name for node in nodes if shown & set(node.output)]


class _Feeds(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Gives the images one by one."""

    def __init__(self, name: str, images: Iterable[NDArray[np.float32]]) -> None:
        self._feeds = ({name: image[None]} for image in images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input of the model, None at the end."""
        return next(self._feeds, None)


@contextmanager
def _refused(verb: str) -> Iterator[None]:
    try:
        yield
    except RUNTIME_ERRORS as error:
        raise ModelError(
            f"ONNX Runtime must be able to {verb} the float model, got '{first_line(error)}'; "
            "export it again, or quantise it yourself in QDQ form"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No logs and warnings of the quantiser: what matters of them comes as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)
        logging.disable(before)
