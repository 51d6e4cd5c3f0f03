"""Measures how many words of a model's layers are not zero, over images."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.sparsity import Densities, DensityFile
from compiler.any_model import read_any
from compiler.float_model import check_input, input_shape
from compiler.graph import Graph, Node, build_graph
from compiler.input_shape import InputShape
from compiler.onnx_file import first_line
from compiler.operators import CLAMPS, FUNCTIONS
from compiler.ports import check_images
from compiler.quantisation import is_constant
from compiler.windows import sliding_window
from tilewright.files import shown
from tilewright.onnx_workload import INTEGER, priced
from tilewright.quantise import RUNTIME_ERRORS

_CARRIED = (
    CLAMPS
    | FUNCTIONS
    | {"BatchNormalization", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"}
)
"""What happens to outputs before they are written to memory."""


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """The tensors of one layer, and the words of its ifmap with padding."""

    name: str
    ifmap: str
    weight: str
    ofmap: str
    padded: int


@dataclass(kw_only=True)
class _Count:
    """Of one tensor, over all images so far."""

    words: int = 0
    nonzero: int = 0


class Measurement:
    """Runs a model image by image in ONNX Runtime, float or quantised as it is.

    ``images`` are float32 [N, ...]. A quantised word is zero where it stands for 0. Padding counts
    as zeros of the ifmap, as the analytical model counts its words; outputs are those behind
    batch-norm and activation. Raises ``ModelError`` and ``InputError`` for a model that cannot be
    run, and for images that are none of its own.
    """

    def __init__(self, path: Path, shape: InputShape | None, images: NDArray[np.float32]) -> None:
        self._path, self._images = path, images
        self._counts: dict[str, _Count] = {}
        model = read_any(path, shape)
        check_input(model)
        check_images(images, input_shape(model))
        graph = build_graph(model)
        self._input = graph.input
        self._layers = [
            _measured(graph, node, layer[0])
            for node, layer in priced(graph, 1).items()
            if layer is not None
        ]
        weights = {each.weight for each in self._layers}
        self._once = {name for name in weights if is_constant(graph, name)}
        for name in self._once & graph.constants.keys():
            self._add(name, graph.constants[name])
        tensors = {name for each in self._layers for name in (each.ifmap, each.weight, each.ofmap)}
        self._wanted = sorted(tensors - graph.constants.keys() - {graph.input})
        self._session = _session(model, self._wanted)

    def run(self) -> Iterator[None]:
        """One step an image. Raises ``ModelError`` for what ONNX Runtime cannot run."""
        for index, image in enumerate(self._images):
            wanted = [name for name in self._wanted if index == 0 or name not in self._once]
            try:
                found = self._session.run(wanted, {self._input: image[None]})
            except RUNTIME_ERRORS as error:
                raise _refusal(error) from error
            self._add(self._input, image)
            for name, values in zip(wanted, found, strict=True):
                self._add(name, values)
            yield

    def result(self) -> DensityFile:
        """The densities over all images; to be asked for after the last step."""
        count = len(self._images)
        return DensityFile(
            source=f"measured by tilewright {version('tilewright')} on {count} images "
            f"with {shown(self._path)}",
            layers={
                each.name: Densities(
                    ifmap=self._counts[each.ifmap].nonzero / (each.padded * count),
                    weight=self._density(each.weight),
                    ofmap=self._density(each.ofmap),
                )
                for each in self._layers
            },
        )

    def _density(self, tensor: str) -> float:
        return self._counts[tensor].nonzero / self._counts[tensor].words

    def _add(self, tensor: str, values: NDArray[np.generic]) -> None:
        count = self._counts.setdefault(tensor, _Count())
        count.words += values.size
        count.nonzero += int(np.count_nonzero(values))


def _measured(graph: Graph, node: Node, name: str) -> _Measured:
    if node.operator in INTEGER:
        raise ModelError(
            f"{node.label}: zeros of an integer operator cannot be told; quantise the float model "
            "with `tilewright quantise`"
        )
    shape = graph.shape(node.input(0))
    padded = prod(shape)
    if node.operator == "Conv":
        top, left, bottom, right = sliding_window(graph, node).window.padding
        height, width = (1, *shape[2:])[-2:]
        padded = shape[1] * (height + top + bottom) * (width + left + right)
    return _Measured(
        name=name,
        ifmap=node.input(0),
        weight=node.input(1),
        ofmap=_written(graph, node.output),
        padded=padded,
    )


def _written(graph: Graph, tensor: str) -> str:
    """What becomes of a layer's output before others read it."""
    while len(readers := graph.consumers(tensor)) == 1 and readers[0].operator in _CARRIED:
        tensor = readers[0].output
    # A quantised word says what it means to those that read it.
    meanings = [node.output for node in readers if node.operator == "DequantizeLinear"]
    return meanings[0] if meanings else tensor


def _session(model: onnx.ModelProto, tensors: list[str]) -> onnxruntime.InferenceSession:
    outputs = {item.name for item in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in tensors if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except RUNTIME_ERRORS as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> ModelError:
    return ModelError(
        f"ONNX Runtime must be able to run the model, got '{first_line(error)}'; export it again"
    )
