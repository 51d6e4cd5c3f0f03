"""What a network's description is made of: typed nodes with shapes, no data."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from arch.layers import ConvShape, FeatureMap, PoolShape


class Role(Enum):
    """What a node with weights is to the network, and where its weights and MACs are counted."""

    CONVOLUTION = "conv"
    FULLY_CONNECTED = "fc"
    # A batch-norm that no convolution can take up: gain and offset of each channel.
    SCALE = "scale"


class Offsets(Enum):
    """Trained values per output channel besides weights; the value is their number.

    A batch-norm is folded into its convolution, which then has a bias: ``NORM`` trains two values.
    """

    NONE = 0
    BIAS = 1
    NORM = 2


class PoolKind(StrEnum):
    """The two poolings."""

    MAX = "maxpool"
    AVERAGE = "avgpool"


class Operation(StrEnum):
    """Elementwise operations on two maps."""

    ADD = "add"
    MULTIPLY = "mul"


class Function(StrEnum):
    """Functions of one value."""

    RELU = "relu"
    RELU6 = "relu6"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    HARD_SIGMOID = "hardsigmoid"
    HARD_SWISH = "hardswish"
    NEGATE = "neg"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A feature map between nodes."""

    name: str
    shape: FeatureMap


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step of a network; its output bears its name."""

    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor


@dataclass(frozen=True, kw_only=True)
class Weighted(Node):
    """A convolution; a fully connected layer is one of the flattened map, 1x1xN."""

    role: Role
    shape: ConvShape
    offsets: Offsets


@dataclass(frozen=True, kw_only=True)
class Pool(Node):
    """A pooling; ``include_padding`` is for averages alone: padding counts as zeros."""

    kind: PoolKind
    shape: PoolShape
    include_padding: bool


@dataclass(frozen=True, kw_only=True)
class Activation(Node):
    """A function of each value."""

    function: Function


@dataclass(frozen=True, kw_only=True)
class Normalise(Node):
    """Local response normalisation: x / (``bias`` + ``alpha`` / ``size`` * sum)^``beta``.

    The sum is of the squares of ``size`` channels around x, at its pixel.
    """

    size: int
    alpha: float
    beta: float
    bias: float


@dataclass(frozen=True, kw_only=True)
class Elementwise(Node):
    """Two maps of one shape; the second may be one pixel, which then meets every pixel."""

    operation: Operation


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Maps side by side along the channels."""


@dataclass(frozen=True, kw_only=True)
class Slice(Node):
    """The box of the input that begins at ``start`` (y, x, channel), as large as the output."""

    start: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Shuffle(Node):
    """Channel shuffle: channel ``i`` of group ``g`` becomes channel ``i * groups + g``."""

    groups: int


@dataclass(frozen=True, kw_only=True)
class NetworkGraph:
    """A network: nodes in topological order, from one input map to one output map."""

    name: str
    input: Tensor
    nodes: tuple[Node, ...]
    output: Tensor

    def readers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor, by its name; every tensor has an entry."""
        found: dict[str, list[Node]] = {self.input.name: []}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.inputs):
                found[tensor.name].append(node)
            found[node.output.name] = []
        return found
