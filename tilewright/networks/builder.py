"""The language in which networks are described: each call appends a node and gives its output."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from arch.errors import ShapeError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from tilewright.networks.nodes import (
    Activation,
    Concat,
    Elementwise,
    Function,
    NetworkGraph,
    Node,
    Normalise,
    Offsets,
    Operation,
    Pool,
    PoolKind,
    Role,
    Shuffle,
    Slice,
    Tensor,
    Weighted,
)

Size = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int]
Then = Callable[[Tensor], Tensor]


class Builder:
    """Collects the nodes of one network.

    Nodes are named by kind and number within a scope: ``block2.conv1``. Sizes are (y, x) or one
    number for both, paddings also (top, left, bottom, right). Impossible shapes raise
    ``ShapeError``.
    """

    def __init__(self, name: str, input_map: FeatureMap) -> None:
        self._name = name
        self._nodes: list[Node] = []
        self._scopes: list[str] = []
        self._counts: Counter[str] = Counter()
        self.input = Tensor(name="input", shape=input_map)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names given within begin with ``name``, which is numbered if it was used before."""
        self._scopes.append(self._numbered(name).rpartition(".")[2])
        yield
        self._scopes.pop()

    def graph(self, output: Tensor) -> NetworkGraph:
        """The network that computes ``output``."""
        return NetworkGraph(
            name=self._name, input=self.input, nodes=tuple(self._nodes), output=output
        )

    # --- layers with weights ---

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: Size = 1,
        *,
        stride: Size = 1,
        padding: Padding | None = None,
        groups: int = 1,
        dilation: Size = 1,
        offsets: Offsets = Offsets.NORM,
        then: Then | None = None,
    ) -> Tensor:
        """A convolution, then ``then``; without ``padding``, half the kernel's extent all round."""
        shape = ConvShape(
            ifmap=x.shape,
            out_channels=channels,
            window=_window(kernel, stride, padding, dilation),
            groups=groups,
        )
        return _after(then, self._weighted(Role.CONVOLUTION, x, shape, offsets))

    def depthwise(
        self,
        x: Tensor,
        kernel: Size,
        *,
        stride: Size = 1,
        offsets: Offsets = Offsets.NORM,
        then: Then | None = None,
    ) -> Tensor:
        """A convolution of each channel by itself."""
        channels = x.shape.channels
        return self.conv(
            x, channels, kernel, stride=stride, groups=channels, offsets=offsets, then=then
        )

    def separable(self, x: Tensor, channels: int, kernel: Size, *, stride: Size = 1) -> Tensor:
        """Depthwise, then pointwise, with one batch-norm after both."""
        return self.conv(self.depthwise(x, kernel, stride=stride, offsets=Offsets.NONE), channels)

    def linear(self, x: Tensor, features: int, *, then: Then | None = None) -> Tensor:
        """A fully connected layer of the flattened map."""
        flat = FeatureMap(height=1, width=1, channels=x.shape.elements)
        shape = ConvShape(ifmap=flat, out_channels=features, window=Window(kernel=(1, 1)))
        return _after(then, self._weighted(Role.FULLY_CONNECTED, x, shape, Offsets.BIAS))

    def scale(self, x: Tensor) -> Tensor:
        """A batch-norm on its own: gain and offset of each channel."""
        channels = x.shape.channels
        window = Window(kernel=(1, 1))
        shape = ConvShape(ifmap=x.shape, out_channels=channels, window=window, groups=channels)
        return self._weighted(Role.SCALE, x, shape, Offsets.BIAS)

    def normalise(
        self, x: Tensor, size: int, *, alpha: float, beta: float = 0.75, bias: float = 1.0
    ) -> Tensor:
        """Local response normalisation over ``size`` channels."""
        name, output = self._new("lrn", x.shape)
        node = Normalise(
            name=name, inputs=(x,), output=output, size=size, alpha=alpha, beta=beta, bias=bias
        )
        return self._append(node)

    # --- pooling ---

    def max_pool(
        self, x: Tensor, kernel: Size, stride: Size, padding: Padding = 0, *, ceil: bool = False
    ) -> Tensor:
        """The maximum of each window; ``ceil`` pads for a last window that begins inside."""
        if ceil:
            padding = _ceil_padding(x.shape, _window(kernel, stride, padding, 1))
        return self._pool(PoolKind.MAX, x, _window(kernel, stride, padding, 1), False)

    def average_pool(
        self,
        x: Tensor,
        kernel: Size,
        stride: Size = 1,
        padding: Padding = 0,
        *,
        include_padding: bool = False,
    ) -> Tensor:
        """The mean of each window, over the pixels of the map unless padding counts too."""
        window = _window(kernel, stride, padding, 1)
        return self._pool(PoolKind.AVERAGE, x, window, include_padding)

    def global_average_pool(self, x: Tensor) -> Tensor:
        """The mean of each channel."""
        return self.average_pool(x, (x.shape.height, x.shape.width))

    # --- elementwise ---

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """The sum of two maps."""
        return self._elementwise(Operation.ADD, x, other)

    def multiply(self, x: Tensor, other: Tensor) -> Tensor:
        """The product of two maps."""
        return self._elementwise(Operation.MULTIPLY, x, other)

    def relu(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return self._activation(Function.RELU, x)

    def relu6(self, x: Tensor) -> Tensor:
        """min(max(x, 0), 6)."""
        return self._activation(Function.RELU6, x)

    def sigmoid(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""
        return self._activation(Function.SIGMOID, x)

    def tanh(self, x: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return self._activation(Function.TANH, x)

    def hard_sigmoid(self, x: Tensor) -> Tensor:
        """min(max(x + 3, 0), 6) / 6."""
        return self._activation(Function.HARD_SIGMOID, x)

    def hard_swish(self, x: Tensor) -> Tensor:
        """x * min(max(x + 3, 0), 6) / 6."""
        return self._activation(Function.HARD_SWISH, x)

    def silu(self, x: Tensor) -> Tensor:
        """x * sigmoid(x), in two nodes."""
        return self.multiply(x, self.sigmoid(x))

    def negate(self, x: Tensor) -> Tensor:
        """-x."""
        return self._activation(Function.NEGATE, x)

    # --- channels ---

    def concat(self, *maps: Tensor) -> Tensor:
        """Maps side by side along the channels."""
        sizes = {(x.shape.height, x.shape.width) for x in maps}
        if len(sizes) != 1:
            raise ShapeError(f"maps to concatenate must have one height and width, got {sizes}")
        ((height, width),) = sizes
        channels = sum(x.shape.channels for x in maps)
        name, output = self._new(
            "concat", FeatureMap(height=height, width=width, channels=channels)
        )
        return self._append(Concat(name=name, inputs=maps, output=output))

    def split(self, x: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """The first ``first`` channels, and the others."""
        height, width, channels = x.shape.height, x.shape.width, x.shape.channels
        return (
            self.slice(x, (0, 0, 0), FeatureMap(height=height, width=width, channels=first)),
            self.slice(
                x, (0, 0, first), FeatureMap(height=height, width=width, channels=channels - first)
            ),
        )

    def slice(self, x: Tensor, start: tuple[int, int, int], shape: FeatureMap) -> Tensor:
        """The box of ``x`` from ``start`` (y, x, channel) on, of size ``shape``."""
        name, output = self._new("slice", shape)
        return self._append(Slice(name=name, inputs=(x,), output=output, start=start))

    def shuffle(self, x: Tensor, groups: int) -> Tensor:
        """Deals the channels of ``groups`` groups out in turn."""
        if x.shape.channels % groups:
            raise ShapeError(
                f"a shuffle's groups must divide its {x.shape.channels} channels, got {groups}"
            )
        name, output = self._new("shuffle", x.shape)
        return self._append(Shuffle(name=name, inputs=(x,), output=output, groups=groups))

    # --- shared ---

    def _weighted(self, role: Role, x: Tensor, shape: ConvShape, offsets: Offsets) -> Tensor:
        name, output = self._new(role.value, shape.ofmap)
        return self._append(
            Weighted(name=name, inputs=(x,), output=output, role=role, shape=shape, offsets=offsets)
        )

    def _pool(self, kind: PoolKind, x: Tensor, window: Window, include_padding: bool) -> Tensor:
        shape = PoolShape(ifmap=x.shape, window=window)
        name, output = self._new(kind, shape.ofmap)
        return self._append(
            Pool(
                name=name,
                inputs=(x,),
                output=output,
                kind=kind,
                shape=shape,
                include_padding=include_padding,
            )
        )

    def _activation(self, function: Function, x: Tensor) -> Tensor:
        name, output = self._new(function, x.shape)
        return self._append(Activation(name=name, inputs=(x,), output=output, function=function))

    def _elementwise(self, operation: Operation, x: Tensor, other: Tensor) -> Tensor:
        pixel = FeatureMap(height=1, width=1, channels=x.shape.channels)
        if other.shape not in (x.shape, pixel):
            raise ShapeError(
                f"the second operand must be {x.shape} or one pixel of it, got {other.shape}"
            )
        name, output = self._new(operation, x.shape)
        return self._append(
            Elementwise(name=name, inputs=(x, other), output=output, operation=operation)
        )

    def _new(self, kind: str, shape: FeatureMap) -> tuple[str, Tensor]:
        name = self._numbered(kind)
        return name, Tensor(name=name, shape=shape)

    def _numbered(self, kind: str) -> str:
        path = ".".join((*self._scopes, kind))
        self._counts[path] += 1
        return f"{path}{self._counts[path]}"

    def _append(self, node: Node) -> Tensor:
        self._nodes.append(node)
        return node.output


def _after(then: Then | None, x: Tensor) -> Tensor:
    return x if then is None else then(x)


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _window(kernel: Size, stride: Size, padding: Padding | None, dilation: Size) -> Window:
    window = Window(kernel=_pair(kernel), stride=_pair(stride), dilation=_pair(dilation))
    if padding is None:
        padding = ((window.extent[0] - 1) // 2, (window.extent[1] - 1) // 2)
    if isinstance(padding, int) or len(padding) == 2:
        y, x = _pair(padding)
        padding = (y, x, y, x)
    return Window(
        kernel=window.kernel, stride=window.stride, dilation=window.dilation, padding=padding
    )


def _ceil_padding(ifmap: FeatureMap, window: Window) -> tuple[int, int, int, int]:
    """The padding with which sizes round up: what a last window that begins inside lacks."""
    top, left, bottom, right = window.padding
    lacks = [
        (kernel - size) % stride if size > kernel else 0
        for size, kernel, stride in zip(
            (ifmap.height + top + bottom, ifmap.width + left + right),
            window.extent,
            window.stride,
            strict=True,
        )
    ]
    return top, left, bottom + lacks[0], right + lacks[1]
