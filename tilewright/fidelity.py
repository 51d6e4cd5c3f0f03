"""How true a quantised model is to its float one: noise of each tensor, and accuracy.

The quantised values are the golden model's, so those that the machine computes.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import inf, log10
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization.quant_utils import QUANT_INPUT_SUFFIX

from compiler.frontend import ImportedModel
from compiler.operators import MOVES
from compiler.ports import OutputPort, check_images
from sim.golden.run import run_network
from sim.network import Bytes, TensorSpec
from tilewright.images import Images, check_labels

Reals = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TensorNoise:
    """Signal-to-noise of one quantised tensor over all images: 10 log10(sum x^2 / sum (x - y)^2).

    None where there is no noise or no signal.
    """

    tensor: str
    layer: str
    operator: str
    shape: tuple[int, ...]
    snr_db: float | None
    """y is what the quantised network computes."""
    rounding_snr_db: float | None
    """y is x, rounded to the tensor's bits: what no better layer before could give."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What a comparison over images showed; accuracies are None without labels."""

    model: str
    version: str
    images: int
    float_accuracy: float | None
    quantised_accuracy: float | None
    accuracy_change: float | None
    tensors: tuple[TensorNoise, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass
class _Sums:
    """Of squares, over all images so far."""

    signal: float = 0.0
    noise: float = 0.0
    rounding: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A tensor of the float model, and where the network holds it."""

    tensor: str
    layer: str
    operator: str
    port: OutputPort


class Comparison:
    """Runs both models image by image.

    ``model`` is what was read of the quantised ``file``. Raises ``InputError`` for images or labels
    that are none of this model's.
    """

    def __init__(self, float_file: Path, file: Path, model: ImportedModel, images: Images) -> None:
        check_images(images.images, model.input.shape)
        if images.labels is not None:
            check_labels(images.labels, model.outputs[0])
        self._model = model
        self._images = images
        self._pairs = _pairs(float_file, file, model)
        self._sums = [_Sums() for _ in self._pairs]
        self._correct = {"float": 0, "quantised": 0}
        self._session = _session_of_all(float_file, [pair.tensor for pair in self._pairs])

    def run(self) -> Iterator[None]:
        """One step an image."""
        labels, port = self._images.labels, self._model.outputs[0]
        bytes_ = self._model.input.quantise(self._images.images)
        for index, (image, map_) in enumerate(zip(self._images.images, bytes_, strict=True)):
            outputs = self._run(image, map_)
            if labels is not None:
                for kind, values in outputs.items():
                    self._correct[kind] += int(port.predicted(values) == labels[index])
            yield

    def result(self) -> Fidelity:
        """What the images showed that were run."""
        count = len(self._images.images)
        labelled = self._images.labels is not None
        in_float, quantised = (self._correct[kind] / count for kind in ("float", "quantised"))
        return Fidelity(
            model=self._model.network.name,
            version=version("tilewright"),
            images=count,
            float_accuracy=in_float if labelled else None,
            quantised_accuracy=quantised if labelled else None,
            accuracy_change=quantised - in_float if labelled else None,
            tensors=tuple(map(_noise, self._pairs, self._sums)),
        )

    def _run(self, image: Reals, map_: Bytes) -> dict[str, NDArray[np.generic]]:
        """Add one image to the sums; gives the first output of both models."""
        name = self._session.get_inputs()[0].name
        made = [pair.tensor for pair in self._pairs if pair.tensor != name]
        scores, *others = self._session.run(
            [self._model.outputs[0].name, *made], {name: image[None]}
        )
        reals = dict(zip(made, others, strict=True)) | {name: image[None]}
        maps = {self._model.network.input.name: map_, **run_network(self._model.network, map_)}
        for pair, sums in zip(self._pairs, self._sums, strict=True):
            _add(sums, reals[pair.tensor], pair.port, maps)
        port = self._model.outputs[0]
        return {"float": scores, "quantised": port.dequantise(maps[port.tensor.name][None])}


def _pairs(float_file: Path, file: Path, model: ImportedModel) -> list[_Pair]:
    """Every tensor that is in float in one model and quantised in the other, in their order."""
    in_float = onnx.load(float_file, load_external_data=False).graph
    makers = {model.input.name: (model.input.name, "input")}
    for node in in_float.node:
        makers |= {name: (node.name or name, node.op_type) for name in node.output}
    found = []
    for node in onnx.load(file, load_external_data=False).graph.node:
        tensor = node.input[0].removesuffix(QUANT_INPUT_SUFFIX) if node.input else ""
        value = model.tensors.get(node.output[0])
        layer, operator = makers.get(tensor, ("", ""))
        # What only moves elements has the noise of what it moves.
        if value is not None and operator and operator not in MOVES:
            port = OutputPort(name=tensor, layout=value.layout, tensor=value.tensor)
            found.append(_Pair(tensor=tensor, layer=layer, operator=operator, port=port))
    return found


def _session_of_all(path: Path, tensors: list[str]) -> onnxruntime.InferenceSession:
    """The float model, with ``tensors`` among its outputs."""
    model = onnx.load(path, load_external_data=False)
    shown = {item.name for item in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in tensors if name not in shown
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _add(sums: _Sums, real: Reals, port: OutputPort, maps: dict[str, Bytes]) -> None:
    computed = port.dequantise(maps[port.tensor.name][None]).reshape(real.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # other images may overflow: no decibels
        sums.signal += _energy(real)
        sums.noise += _energy(real, computed)
        sums.rounding += _energy(real, _rounded(real, port.tensor))


def _energy(x: Reals, less: Reals | float = 0.0) -> float:
    return float(np.sum((x.astype(np.float64) - less) ** 2))


def _rounded(real: Reals, tensor: TensorSpec) -> Reals:
    """``real`` after QuantizeLinear and DequantizeLinear, in float32 as ONNX has them."""
    low, high = tensor.limits
    q = np.rint(real / tensor.scale).astype(np.float64) + tensor.zero_point
    difference = np.clip(q, low, high) - tensor.zero_point
    return np.asarray(difference.astype(np.float32) * tensor.scale, np.float32)


def _noise(pair: _Pair, sums: _Sums) -> TensorNoise:
    return TensorNoise(
        tensor=pair.tensor,
        layer=pair.layer,
        operator=pair.operator,
        shape=pair.port.shape,
        snr_db=_decibels(sums.signal, sums.noise),
        rounding_snr_db=_decibels(sums.signal, sums.rounding),
    )


def _decibels(signal: float, noise: float) -> float | None:
    known = 0 < signal < inf and 0 < noise < inf
    return 10 * log10(signal / noise) if known else None
