"""What QuantizeLinear and DequantizeLinear nodes say: scales and zero points."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.formats import IntegerFormat
from compiler.graph import Graph, Node


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Per-tensor quantisation of activations: real value = ``scale`` * (q - ``zero_point``)."""

    scale: np.float32
    zero_point: int
    signed: bool
    bits: int = 8

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest q."""
        return IntegerFormat(bits=self.bits, signed=self.signed).limits

    def quantise(self, real: float) -> int:
        """q of a real number, as QuantizeLinear computes it; infinities saturate."""
        low, high = self.limits
        with np.errstate(over="ignore"):
            quotient = np.rint(np.float32(real) / self.scale)
        return int(np.clip(np.float64(quotient) + self.zero_point, low, high))


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantisedConstant:
    """A constant behind a DequantizeLinear; ``scale`` is a vector, one element or one a channel."""

    values: NDArray[Any]
    scale: NDArray[np.float32]
    zero_point: NDArray[Any]
    axis: int


def activation_quantisation(graph: Graph, node: Node) -> Quantisation:
    """Of a QuantizeLinear or DequantizeLinear of activations that passed the support rules."""
    scale = graph.constants[node.input(1)]
    zero_point = zero_points(graph, node)
    return Quantisation(
        scale=np.float32(scale.reshape(-1)[0]),
        zero_point=int(zero_point.reshape(-1)[0]),
        signed=zero_point.dtype.kind == "i",
        bits=8 * zero_point.dtype.itemsize,
    )


def zero_points(graph: Graph, node: Node) -> NDArray[Any]:
    """The node's constant zero points; 0 where left out, in the type that the node then has."""
    if node.input(2):
        return graph.constants[node.input(2)]
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    if node.operator == "DequantizeLinear":
        dtype = _source_type(graph, node)
    return np.zeros(graph.constants[node.input(1)].shape, dtype)


def signed_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """int8 or int16, as wide as ``dtype``."""
    return np.dtype(f"i{dtype.itemsize}")


def _source_type(graph: Graph, node: Node) -> np.dtype[Any]:
    """Type of what a DequantizeLinear reads."""
    if node.input(0) in graph.constants:
        return graph.constants[node.input(0)].dtype
    producer = graph.producer(node.input(0))
    if producer is None or producer.operator != "QuantizeLinear":
        return np.dtype(np.uint8)
    return zero_points(graph, producer).dtype


def is_constant(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is known now: a constant, or a dequantised one."""
    return tensor in graph.constants or quantised_constant(graph, tensor) is not None


def quantised_constant(graph: Graph, tensor: str) -> QuantisedConstant | None:
    """What a DequantizeLinear makes of constants only; None for any other tensor."""
    node = graph.producer(tensor)
    if node is None or node.operator != "DequantizeLinear":
        return None
    if any(name not in graph.constants for name in node.inputs if name):
        return None
    values = graph.constants[node.input(0)]
    return QuantisedConstant(
        values=values,
        scale=graph.constants[node.input(1)].reshape(-1),
        zero_point=zero_points(graph, node).reshape(-1),
        axis=node.integer("axis", 1) % max(values.ndim, 1),
    )


def real_constant(graph: Graph, tensor: str) -> NDArray[np.float64] | None:
    """Real values of a float32 constant or of a dequantised one; None for any other tensor."""
    if tensor in graph.constants:
        values = graph.constants[tensor]
        return values.astype(np.float64) if values.dtype == np.float32 else None
    quantised = quantised_constant(graph, tensor)
    if quantised is None:
        return None
    along_axis = [1] * quantised.values.ndim
    if quantised.scale.size > 1:
        along_axis[quantised.axis] = quantised.scale.size
    scale = quantised.scale.astype(np.float64).reshape(along_axis)
    zero_point = quantised.zero_point.astype(np.float64).reshape(along_axis)
    return np.asarray(scale * (quantised.values.astype(np.float64) - zero_point), np.float64)


def expect_quantised(graph: Graph, tensor: str) -> QuantisedConstant:
    """``quantised_constant`` of a tensor that the support rules know to be one."""
    quantised = quantised_constant(graph, tensor)
    if quantised is None:
        raise LookupError(f"tensor {tensor}: check the support rules first")
    return quantised


def expect_real(graph: Graph, tensor: str) -> NDArray[np.float64]:
    """``real_constant`` of a tensor that the support rules know to be one."""
    real = real_constant(graph, tensor)
    if real is None:
        raise LookupError(f"tensor {tensor}: check the support rules first")
    return real
