"""The sliding window of a Conv or MaxPool, with every default and auto_pad resolved."""

from arch.layers import Window
from compiler.graph import Graph, Node


def window_of(graph: Graph, node: Node) -> Window:
    """The window of a Conv or MaxPool whose attributes passed the support rules.

    Raises ``ShapeError`` as ``Window`` does.
    """
    kernel = node.integers("kernel_shape", ())
    if node.operator == "Conv":
        kernel = graph.shape(node.input(1))[2:]
    stride = _pair(node.integers("strides", (1, 1)))
    dilation = _pair(node.integers("dilations", (1, 1)))
    padding = node.integers("pads", (0, 0, 0, 0))
    unpadded = Window(kernel=_pair(kernel), stride=stride, dilation=dilation)
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        height, width = graph.shape(node.input(0))[2:]
        padding = _same_padding(unpadded, (height, width), upper=auto_pad == "SAME_UPPER")
    top, left, bottom, right = padding
    return Window(
        kernel=unpadded.kernel,
        stride=stride,
        dilation=dilation,
        padding=(top, left, bottom, right),
    )


def _same_padding(window: Window, size: tuple[int, int], *, upper: bool) -> tuple[int, ...]:
    """ONNX SAME padding, output = ceil(input / stride); ``upper`` puts the odd pixel at the end."""
    begins, ends = [], []
    for axis in (0, 1):
        outputs = -(-size[axis] // window.stride[axis])
        needed = (outputs - 1) * window.stride[axis] + window.extent[axis] - size[axis]
        total = max(needed, 0)
        begin = total // 2 if upper else total - total // 2
        begins.append(begin)
        ends.append(total - begin)
    return (*begins, *ends)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
