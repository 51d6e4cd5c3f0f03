"""Seeded weights for a built-in network, scaled layer by layer on a seeded image.

A layer's int8 weights are random. Its scales and biases are what folding a batch-norm would give:
each output channel gets a known spread, and a mean close to 0. The sums behind them are exact
integers, so that every machine makes the same model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.layers import ConvShape, FeatureMap
from sim.golden.convolution import accumulate
from sim.network import Conv, TensorSpec
from tilewright.networks.evaluate import Reals, dequantise, evaluate, quantise
from tilewright.networks.nodes import NetworkGraph, Node, Offsets, Role, Weighted
from tilewright.networks.ranges import Quantisation, quantisations, spread

Codes = NDArray[np.uint8]
Sums = NDArray[np.int64]

# A map of fewer pixels says too little of a channel: the layer's mean and spread are taken then.
_FEW_PIXELS = 128
# Such a layer also varies more between images than within one: its spread is made smaller.
_HEADROOM = 2.0
# No channel is amplified more than this over the layer as a whole.
_MOST_GAIN = 2.0
# Of a normal distribution: standard deviation over mean absolute deviation.
_DEVIATION = 1.2533
# How far the means of channels lie from 0 at most, in standard deviations.
_MEANS = 0.25
# Weights at a time: bounds the float64 copies that `accumulate` makes.
_BLOCK = 1 << 23
# Pixels of the seeded image that share a brightness.
_PATCH = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """A layer's weights: ``values`` int8 [out_channels, kernel_y, kernel_x, group_inputs].

    ``scale`` float32 and ``bias`` int32 are [out_channels]; a bias counts units of ``unit``.
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.int32]
    unit: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Synthetic:
    """A network with weights by layer name, and the quantisation of maps by tensor name."""

    graph: NetworkGraph
    seed: int
    weights: dict[str, Weights]
    quantisations: dict[str, Quantisation]


def synthesise(graph: NetworkGraph, seed: int = 0) -> Synthetic:
    """Weights for every layer of ``graph``: the same for the same seed, on every machine."""
    calibration = _Calibration(graph, seed)
    for number, node in enumerate(graph.nodes):
        calibration.run(node, np.random.default_rng((seed, number)))
    return Synthetic(
        graph=graph, seed=seed, weights=calibration.weights, quantisations=calibration.found
    )


def seeded_image(shape: FeatureMap, seed: int) -> Codes:
    """Codes [height, width, channels] of an image: patches of brightness, and noise."""
    random = np.random.default_rng(seed)
    patches = (-(-shape.height // _PATCH), -(-shape.width // _PATCH), shape.channels)
    brightness = random.integers(56, 200, patches).repeat(_PATCH, 0).repeat(_PATCH, 1)
    noise = random.integers(-56, 56, (shape.height, shape.width, shape.channels))
    return (brightness[: shape.height, : shape.width] + noise).astype(np.uint8)


class _Calibration:
    """The network on one image, layer by layer; each gets weights when its input is there."""

    def __init__(self, graph: NetworkGraph, seed: int) -> None:
        self.found = quantisations(graph)
        self.weights: dict[str, Weights] = {}
        self._spreads = spread(graph)
        self._codes = {graph.input.name: seeded_image(graph.input.shape, seed)}
        # Maps that are not quantised, until the clamp that reads them.
        self._reals: dict[str, Reals] = {}

    def run(self, node: Node, random: np.random.Generator) -> None:
        name = node.output.name
        if isinstance(node, Weighted):
            real = self._weighted(node, random)
        else:
            real = evaluate(node, [self._real(tensor.name) for tensor in node.inputs])
        if name in self.found:
            self._codes[name] = quantise(real, self.found[name])
        else:
            self._reals[name] = real

    def _real(self, name: str) -> Reals:
        if name in self._reals:
            return self._reals.pop(name)
        return dequantise(self._codes[name], self.found[name])

    def _weighted(self, node: Weighted, random: np.random.Generator) -> Reals:
        (x,) = node.inputs
        values = _random_values(node, random)
        sums = _accumulate(node, self._codes[x.name], self.found[x.name], values)
        made = _scaled(
            node, values, sums, self.found[x.name].scale, self._spreads[node.name], random
        )
        self.weights[node.name] = made
        ofmap = node.shape.ofmap
        real = (sums + made.bias) * made.unit.astype(np.float64)
        return np.asarray(real.reshape(ofmap.height, ofmap.width, ofmap.channels))


def _random_values(node: Weighted, random: np.random.Generator) -> NDArray[np.int8]:
    shape = node.shape
    size = (shape.out_channels, *shape.window.kernel, shape.group_inputs)
    if node.role is Role.SCALE:
        return random.integers(64, 128, size, np.int8)
    # Small weights are more frequent than large ones, and the largest nearly fill int8.
    first = random.integers(-63, 64, size, np.int8)
    first += random.integers(-63, 64, size, np.int8)
    return first


def _accumulate(
    node: Weighted, codes: Codes, quantisation: Quantisation, values: NDArray[np.int8]
) -> Sums:
    """The layer's exact sums, [pixels, out_channels]."""
    if node.role is Role.FULLY_CONNECTED:
        # ONNX flattens channels first.
        codes = codes.transpose(2, 0, 1).reshape(1, 1, -1)
    shape = node.shape
    channels = shape.out_channels
    step = channels if shape.groups > 1 else max(1, _BLOCK // shape.reduction)
    return np.concatenate(
        [
            _block_sums(node, codes, quantisation, values[first : first + step])
            for first in range(0, channels, step)
        ],
        axis=1,
    )


def _block_sums(
    node: Weighted, codes: Codes, quantisation: Quantisation, values: NDArray[np.int8]
) -> Sums:
    shape = ConvShape(
        ifmap=node.shape.ifmap,
        out_channels=len(values),
        window=node.shape.window,
        groups=node.shape.groups,
    )
    spec = TensorSpec(
        name=node.name,
        shape=shape.ifmap,
        signed=False,
        scale=quantisation.scale,
        zero_point=quantisation.zero_point,
    )
    layer = Conv(
        name=node.name,
        input=spec,
        output=spec,
        shape=shape,
        weights=values,
        bias=np.zeros(len(values), np.int32),
        multiplier=np.ones(len(values), np.float32),
        clamp=spec.limits,
    )
    return accumulate(layer, codes).reshape(-1, len(values)).astype(np.int64)


def _scaled(
    node: Weighted,
    values: NDArray[np.int8],
    sums: Sums,
    input_scale: np.float32,
    wanted: float,
    random: np.random.Generator,
) -> Weights:
    mean, deviation = _statistics(sums, centred=node.offsets is not Offsets.NONE)
    gain = np.broadcast_to(wanted / deviation, node.shape.out_channels)
    scale = (gain / np.float64(input_scale)).astype(np.float32)
    unit = input_scale * scale
    offset = random.uniform(-_MEANS, _MEANS, node.shape.out_channels) * wanted
    bias = np.rint((offset - mean * gain) / unit.astype(np.float64))
    if node.offsets is Offsets.NONE:
        bias = np.zeros_like(bias)
    return Weights(values=values, scale=scale, bias=bias.astype(np.int32), unit=unit)


def _statistics(sums: Sums, *, centred: bool) -> tuple[Reals, Reals]:
    """Mean and standard deviation of each channel, or one of each for a map of few pixels.

    They come from exact integer sums, which no order of additions changes. A layer that is not
    ``centred`` deviates from 0.
    """
    few = len(sums) < _FEW_PIXELS
    if few:
        sums = sums.reshape(-1, 1)
    pixels, channels = sums.shape
    total = sums.sum(axis=0)
    mean = total / pixels if centred else np.zeros(channels)
    distance = np.abs(sums - (total // pixels if centred else 0)).sum(axis=0)
    whole = _DEVIATION * float(distance.sum()) / (pixels * channels)
    deviation = np.maximum(_DEVIATION * distance / pixels, max(whole / _MOST_GAIN, 1.0))
    return mean, _HEADROOM * deviation if few else deviation
