"""Why an oracle's output differs from the golden model's, element by element.

A cause is a rule that the oracle follows instead of the specification, written down so that it
predicts the oracle's output: exactly (lowest = highest), or, where an oracle sums float32 values in
an order of its own, as the interval that its rounding errors allow. A differing element is
explained by the first cause whose prediction holds it, provided that the golden model's value is
what exact rational arithmetic gives there; any other is unexplained.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.golden.convolution import accumulate
from sim.golden.elementwise import look_up
from sim.golden.pooling import window_maximum, window_sums
from sim.golden.requantise import requantise
from sim.network import (
    Add,
    AveragePool,
    Bytes,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Table,
    TensorSpec,
    element_type,
)
from tests.support.exact_reference import exact_output
from tests.support.random_maps import Maps
from tests.support.saturating_products import accumulate_saturating

OneInput = Conv | MaxPool | AveragePool
TwoInputs = Add | Multiply
Outputs = NDArray[np.int32]
Prediction = tuple[Outputs, Outputs]  # lowest and highest output
Cause = tuple[str, Callable[..., Prediction]]  # name, prediction for (layer, *maps)
UNEXPLAINED = "unexplained"
LINES = "lines of a 16-bit table between every 256th input"
# Of a 16-bit table, between the inputs at which it is exact.
_MOST_STEPS_OFF = 256
# The largest relative error of one float32 rounding: half a step at 1.0.
FLOAT32_ERROR = 2.0**-24


def count_causes(
    causes: tuple[Cause, ...], layer: Layer, maps: Maps, golden: Outputs, oracle: Outputs
) -> Counter[str]:
    """Elements in which ``oracle`` differs from ``golden``, by cause."""
    counts: Counter[str] = Counter()
    remaining = golden != oracle
    for position in np.argwhere(remaining):
        if golden[*position] != exact_output(layer, maps, *position):
            remaining[*position] = False
            counts[UNEXPLAINED] += 1
    for name, predict in causes:
        if remaining.any():
            low, high = predict(layer, *maps)
            explained = remaining & (low <= oracle) & (oracle <= high)
            counts[name] += int(explained.sum())
            remaining &= ~explained
    counts[UNEXPLAINED] += int(remaining.sum())
    return +counts


def _float64_product(layer: OneInput, x: Bytes) -> Prediction:
    product = _accumulator(layer, x).astype(np.float64) * _multiplier(layer)
    return _exactly(_clamp(layer, np.rint(product) + layer.output.zero_point))


def _zero_point_before_rounding(layer: OneInput, x: Bytes) -> Prediction:
    product = _accumulator(layer, x).astype(np.float32) * _multiplier(layer)
    return _exactly(_clamp(layer, np.rint(product.astype(np.float64) + layer.output.zero_point)))


def _float64_product_and_zero_point_before_rounding(layer: OneInput, x: Bytes) -> Prediction:
    product = _accumulator(layer, x).astype(np.float64) * _multiplier(layer)
    return _exactly(_clamp(layer, np.rint(product + layer.output.zero_point)))


def _saturating_products(layer: Conv, x: Bytes) -> Prediction:
    total = accumulate_saturating(layer, x).astype(np.int64)
    y = requantise(total, layer.multiplier, layer.output, layer.clamp)
    return _exactly(y.astype(np.int32))


def _real_value_divided(layer: MaxPool, x: Bytes) -> Prediction:
    real = _accumulator(layer, x).astype(np.float32) * layer.input.scale
    return _exactly(_quantised(layer, real))


def _mean_of_real_values(layer: AveragePool, x: Bytes) -> Prediction:
    real = (x.astype(np.float32) - np.float32(layer.input.zero_point)) * layer.input.scale
    planes = np.ascontiguousarray(real.transpose(2, 0, 1))  # the order of summation is NCHW's
    mean = np.average(planes, axis=(1, 2)).astype(np.float32)
    return _exactly(_quantised(layer, mean[None, None, :]))


def _float32_sums(layer: OneInput, x: Bytes) -> Prediction:
    """What float32 rounding may make of the sum, whatever its order.

    Rounding errors of n operations grow as sqrt(n), except with a probability that a factor of 6
    makes negligible (Higham and Mary, SIAM J. Sci. Comput. 41, 2019); the worst case, n, would
    allow too much on long sums.
    """
    return _within(layer, *_value_and_error(layer, x))


def _real_bias(layer: Conv, x: Bytes) -> Prediction:
    """The same with a bias that is no whole number of the accumulator's units."""
    value, error = _value_and_error(layer, x)
    return _within(layer, value, error + layer.multiplier.astype(np.float64) / 2)


def _overhang_counts(layer: AveragePool, x: Bytes) -> Prediction:
    return _float32_sums(replace(layer, overhang=(0, 0)), x)


def _function_of_its_own(layer: Table, x: Bytes) -> Prediction:
    """The function itself between every 256th input, where a table of 16 bits has lines."""
    y = look_up(layer, x).astype(np.int32)
    between = (x.astype(np.int32) % 256 != 0) * _MOST_STEPS_OFF
    low, high = layer.output.limits
    return np.maximum(y - between, low), np.minimum(y + between, high)


def _real_values_of_two(layer: TwoInputs, x: Bytes, other: Bytes) -> Prediction:
    """Sum or product of dequantised values, divided by the output's scale, all in float32."""
    first, second = (
        (values.astype(np.float32) - np.float32(spec.zero_point)) * spec.scale
        for values, spec in zip((x, other), layer.inputs, strict=True)
    )
    return _exactly(_quantised(layer, first + second if isinstance(layer, Add) else first * second))


def _float32_of_two(layer: TwoInputs, x: Bytes, other: Bytes) -> Prediction:
    """What float32 rounding may make of it, whatever the order of the operations.

    Quotients of scales may be multiplied with raw values, and zero points added before rounding:
    every one of these terms counts.
    """
    scale = float(layer.output.scale)
    zero = abs(layer.output.zero_point)
    reals = [_real(spec, values) for spec, values in zip(layer.inputs, (x, other), strict=True)]
    if isinstance(layer, Add):
        value = (reals[0] + reals[1]) / scale
        raw = [
            (np.abs(values.astype(np.float64)) + abs(spec.zero_point)) * float(spec.scale)
            for spec, values in zip(layer.inputs, (x, other), strict=True)
        ]
        magnitude = (raw[0] + raw[1]) / scale + zero
    else:
        value = reals[0] * reals[1] / scale
        magnitude = np.abs(value) + zero
    return _within(layer, value, magnitude * 10 * FLOAT32_ERROR)


REFERENCE_CONV_CAUSES: tuple[Cause, ...] = (
    ("product in float64", _float64_product),
    ("zero point added before rounding", _zero_point_before_rounding),
    ("both of these", _float64_product_and_zero_point_before_rounding),
)
INTEGER_CONV_CAUSES: tuple[Cause, ...] = (
    ("u8 x s8 pairs saturate in 16 bits", _saturating_products),
)
FLOAT_CONV_CAUSES: tuple[Cause, ...] = (("sum of real values in float32", _float32_sums),)
WIDE_TABLE_CAUSES: tuple[Cause, ...] = ((LINES, _function_of_its_own),)
FLOAT_BIAS_CAUSES: tuple[Cause, ...] = (("bias in whole units of the accumulator", _real_bias),)
FLOAT_MAX_POOL_CAUSES: tuple[Cause, ...] = (
    ("real value in float32, divided by the scale", _real_value_divided),
)
REFERENCE_AVERAGE_CAUSES: tuple[Cause, ...] = (
    ("mean of real values in float32", _mean_of_real_values),
)
FLOAT_AVERAGE_CAUSES: tuple[Cause, ...] = (("mean of real values in float32", _float32_sums),)
INTEGER_AVERAGE_CAUSES: tuple[Cause, ...] = (
    *FLOAT_AVERAGE_CAUSES,
    ("taps beyond the padding count", _overhang_counts),
)
REFERENCE_BINARY_CAUSES: tuple[Cause, ...] = (
    ("real values in float32, divided by the scale", _real_values_of_two),
)
FLOAT_BINARY_CAUSES: tuple[Cause, ...] = (("scales in float32, not fixed point", _float32_of_two),)


def _accumulator(layer: OneInput, x: Bytes) -> NDArray[np.int64]:
    if isinstance(layer, Conv):
        return accumulate(layer, x)
    if isinstance(layer, MaxPool):
        return window_maximum(layer, x) - layer.input.zero_point
    return window_sums(layer, x)


def _multiplier(layer: OneInput) -> NDArray[np.float32]:
    """The multiplier of each output, in a shape that broadcasts."""
    if not isinstance(layer, AveragePool):
        return np.asarray(layer.multiplier)
    each = [[layer.multiplier(int(count)) for count in row] for row in layer.taps]
    return np.array(each, np.float32)[:, :, None]


def _sum_terms(layer: OneInput, x: Bytes) -> tuple[int, NDArray[np.float64]]:
    """How many terms each sum has, and the sum of their magnitudes in accumulator units."""
    unsigned = element_type(layer.input.bits, False)
    size = np.abs(x.astype(np.int32) - layer.input.zero_point).astype(unsigned)
    if isinstance(layer, Conv):
        return layer.shape.reduction + 1, _magnitudes(layer, size)
    if isinstance(layer, MaxPool):
        return 1, np.abs(_accumulator(layer, x)).astype(np.float64)
    source = replace(layer.input, signed=False, zero_point=0)
    sums = window_sums(replace(layer, input=source), size).astype(np.float64)
    return int(layer.taps.max()), sums


def _magnitudes(layer: Conv, size: Bytes) -> NDArray[np.float64]:
    """sum(|x - zx| * |w|) + |bias|, by way of negative weights, since int8 holds no 128."""
    source = replace(layer.input, signed=False, zero_point=0)
    weights = np.where(layer.weights > 0, -layer.weights, layer.weights)
    bias = np.where(layer.bias > 0, -layer.bias, layer.bias)
    return -accumulate(replace(layer, input=source, weights=weights, bias=bias), size).astype(
        np.float64
    )


def _value_and_error(layer: OneInput, x: Bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The output before rounding, in steps, and how far float32 sums may be from it."""
    multiplier = _multiplier(layer).astype(np.float64)
    terms, magnitude = _sum_terms(layer, x)
    # Scales, products, the division and the multiplier round too: fewer than 10 times a term.
    roundings = 6 * np.sqrt(terms) + 10
    error = magnitude * multiplier * roundings * FLOAT32_ERROR
    return _accumulator(layer, x) * multiplier, error


def _real(spec: TensorSpec, values: Bytes) -> NDArray[np.float64]:
    return (values.astype(np.float64) - spec.zero_point) * float(spec.scale)


def _within(
    layer: OneInput | TwoInputs, value: NDArray[np.float64], error: NDArray[np.float64]
) -> Prediction:
    zero_point = layer.output.zero_point
    return (
        _clamp(layer, np.rint(value - error) + zero_point),
        _clamp(layer, np.rint(value + error) + zero_point),
    )


def _quantised(layer: OneInput | TwoInputs, real: NDArray[np.float32]) -> Outputs:
    return _clamp(layer, np.rint(real / layer.output.scale) + layer.output.zero_point)


def _clamp(layer: OneInput | TwoInputs, values: NDArray[np.floating]) -> Outputs:
    return np.asarray(np.clip(values, *layer.clamp), np.int32)


def _exactly(y: Outputs) -> Prediction:
    return y, y
