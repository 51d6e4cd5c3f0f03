"""The sliding window of a Conv or pooling, with every default and auto_pad resolved.

1-D operators are 2-D ones on a map of height 1.
"""

from dataclasses import dataclass

from arch.layers import Window
from compiler.graph import Graph, Node

_GLOBAL = {"GlobalAveragePool", "GlobalMaxPool"}


@dataclass(frozen=True, kw_only=True)
class SlidingWindow:
    """``overhang`` (bottom, right) is the part of the padding that ceil_mode adds to the pads."""

    window: Window
    overhang: tuple[int, int] = (0, 0)


def spatial_size(graph: Graph, node: Node) -> tuple[int, int]:
    """(height, width) of the map that the node reads."""
    return _pair(graph.shape(node.input(0))[2:], 1)


def sliding_window(graph: Graph, node: Node) -> SlidingWindow:
    """The window of a Conv or pooling whose attributes passed the support rules.

    Raises ``ShapeError`` as ``Window`` does.
    """
    size = spatial_size(graph, node)
    if node.operator in _GLOBAL:
        return SlidingWindow(window=Window(kernel=size))
    kernel = node.integers("kernel_shape", ())
    if node.operator == "Conv":
        kernel = graph.shape(node.input(1))[2:]
    ones = (1,) * len(kernel)
    window = Window(
        kernel=_pair(kernel, 1),
        stride=_pair(node.integers("strides", ones), 1),
        dilation=_pair(node.integers("dilations", ones), 1),
    )
    padding = _padding(node, window, size)
    ends = [0, 0]
    if node.integer("ceil_mode", 0):
        ends = [_rounded_up(window, padding, size, axis) for axis in (0, 1)]
    top, left, bottom, right = padding
    whole = Window(
        kernel=window.kernel,
        stride=window.stride,
        dilation=window.dilation,
        padding=(top, left, bottom + ends[0], right + ends[1]),
    )
    return SlidingWindow(window=whole, overhang=(ends[0], ends[1]))


def _padding(node: Node, window: Window, size: tuple[int, int]) -> tuple[int, ...]:
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return _same_padding(window, size, upper=auto_pad == "SAME_UPPER")
    pads = node.integers("pads", (0, 0, 0, 0))
    return (0, pads[0], 0, pads[1]) if len(pads) == 2 else pads


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


def _rounded_up(window: Window, padding: tuple[int, ...], size: tuple[int, int], axis: int) -> int:
    """How far ceil_mode's last window reaches beyond the padding; it may not begin there."""
    before, after = padding[axis], padding[2 + axis]
    room = size[axis] + before + after - window.extent[axis]
    start = (room // window.stride[axis] + 1) * window.stride[axis]
    if room % window.stride[axis] == 0 or start >= size[axis] + before:
        return 0
    return start + window.extent[axis] - (size[axis] + before + after)


def _pair(values: tuple[int, ...], missing: int) -> tuple[int, int]:
    """Two numbers, the first ``missing`` where there is but one."""
    first, second = values if len(values) == 2 else (missing, *values)
    return first, second
