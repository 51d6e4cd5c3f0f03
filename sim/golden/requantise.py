"""From accumulators to outputs of 8 or 16 bits, in exact float32 semantics.

``y = clamp(rne(float32(acc) * m) + zy)``: the accumulator rounds to float32 (half to even), the
product rounds to float32, that rounds half to even to an integer, and only then comes the zero
point. Every multiplier is itself a float32 result of float32 operations (``sim.multipliers``).
"""

import numpy as np
from numpy.typing import NDArray

from arch.errors import CompileError, ModelError
from arch.formats import accumulator_format
from sim.network import Bytes, TensorSpec

# Beyond any zero point and output limit, and exact in float32 and int32 alike.
_SATURATED = np.float32(1 << 30)


def check_accumulator(
    name: str, accumulator: NDArray[np.int64], source: TensorSpec
) -> NDArray[np.int64]:
    """``accumulator``; raises ``CompileError`` where a sum leaves the range that goes with elements
    of ``source``."""
    limits = accumulator_format(source.bits)
    for extreme in (int(accumulator.min()), int(accumulator.max())):
        if not limits.contains(extreme):
            raise CompileError(
                f"layer {name}: sums must fit a {limits.bits}-bit accumulator, got {extreme}; "
                "split the layer's input channels or quantise its weights smaller"
            )
    return accumulator


def requantise(
    accumulator: NDArray[np.int64],
    multiplier: NDArray[np.float32] | np.float32,
    output: TensorSpec,
    clamp: tuple[int, int],
) -> Bytes:
    """Outputs of ``accumulator`` [..., channels], as ``output.dtype``.

    ``multiplier`` is one float32, or an array of them that broadcasts. Raises ``ModelError`` if
    one is not positive and finite, or if ``clamp`` leaves the limits of ``output``.
    """
    _check_multiplier(multiplier, output)
    rounded = rounded_product(accumulator, multiplier)
    return clamped_outputs(rounded.astype(np.int64), output, clamp)


def clamped_outputs(
    rounded: NDArray[np.int64], output: TensorSpec, clamp: tuple[int, int]
) -> Bytes:
    """clamp(``rounded`` + zy), as ``output.dtype``.

    Raises ``ModelError`` if ``clamp`` leaves the limits of ``output``.
    """
    _check_clamp(clamp, output)
    clamped: NDArray[np.int64] = np.clip(rounded + output.zero_point, *clamp)
    return clamped.astype(output.dtype)


def rounded_product(
    accumulator: NDArray[np.int64], multiplier: NDArray[np.float32] | np.float32
) -> NDArray[np.int32]:
    """rne(float32(accumulator) * multiplier), saturated far beyond every output limit."""
    with np.errstate(over="ignore"):  # an infinite product saturates like any other
        product = accumulator.astype(np.float32) * multiplier
    rounded: NDArray[np.int32] = np.rint(np.clip(product, -_SATURATED, _SATURATED)).astype(np.int32)
    return rounded


def _check_multiplier(multiplier: NDArray[np.float32] | np.float32, output: TensorSpec) -> None:
    if multiplier.dtype != np.float32:
        raise ModelError(
            f"tensor {output.name}: a multiplier must be float32, got {multiplier.dtype}"
        )
    unusable = np.asarray(multiplier)[~(np.isfinite(multiplier) & (multiplier > 0))]
    if unusable.size:
        raise ModelError(
            f"tensor {output.name}: a multiplier must be positive and finite, got {unusable[0]}; "
            "check the scales of the quantised model"
        )


def _check_clamp(clamp: tuple[int, int], output: TensorSpec) -> None:
    low, high = output.limits
    if not low <= clamp[0] <= clamp[1] <= high:
        raise ModelError(
            f"tensor {output.name}: a clamp must be ordered and within {output.limits}, got {clamp}"
        )
