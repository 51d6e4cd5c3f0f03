"""Densely connected networks: every layer sees the outputs of all layers before it."""

from functools import partial

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Offsets, Tensor

_SOURCE = "Huang, Liu, van der Maaten, Weinberger, Densely connected CNNs, 2017"
_NOTE = (
    "A batch-norm before a ReLU of concatenated maps cannot be folded into a convolution: it is a "
    "depthwise 1x1 convolution here, counted apart."
)


def densenet(net: Builder, *, blocks: tuple[int, ...], growth: int = 32) -> Tensor:
    """A DenseNet-BC with ``blocks`` of so many layers, which add ``growth`` channels each."""
    x = net.conv(net.input, 2 * growth, 7, stride=2, then=net.relu)
    x = net.max_pool(x, 3, 2, 1)
    for number, layers in enumerate(blocks):
        if number:
            with net.scope("transition"):
                x = _transition(net, x)
        x = dense_block(net, x, layers, growth)
    x = net.relu(net.scale(x))
    return net.linear(net.global_average_pool(x), 1000)


def dense_block(net: Builder, x: Tensor, layers: int, growth: int) -> Tensor:
    """``layers`` layers of a 1x1 and a 3x3 convolution on all maps before them."""
    with net.scope("block"):
        for _ in range(layers):
            with net.scope("layer"):
                inner = net.conv(net.relu(net.scale(x)), 4 * growth, then=net.relu)
                x = net.concat(x, net.conv(inner, growth, 3, offsets=Offsets.NONE))
    return x


def _transition(net: Builder, x: Tensor) -> Tensor:
    halved = x.shape.channels // 2
    x = net.conv(net.relu(net.scale(x)), halved, offsets=Offsets.NONE)
    return net.average_pool(x, 2, 2)


def _single_block(net: Builder) -> Tensor:
    return dense_block(net, net.input, 3, 8)


def _entry(
    depth: int, blocks: tuple[int, ...], *figures: tuple[Quantity, str, str]
) -> NetworkEntry:
    return NetworkEntry(
        name=f"densenet-{depth}",
        family=Family.DENSE,
        input=image(224),
        smallest=(64, 64),
        source=_SOURCE,
        define=partial(densenet, blocks=blocks),
        figures=tuple(
            Figure(quantity=quantity, printed=printed, source=source)
            for quantity, printed, source in figures
        ),
        note=_NOTE,
    )


ENTRIES = (
    _entry(
        121,
        (6, 12, 24, 16),
        (Quantity.PARAMETERS, "7,978,856", "torchvision densenet121"),
        (Quantity.MACS, "2.83 G", "torchvision densenet121"),
    ),
    _entry(
        169,
        (6, 12, 32, 32),
        (Quantity.PARAMETERS, "14,149,480", "torchvision densenet169"),
        (Quantity.MACS, "3.36 G", "torchvision densenet169"),
    ),
    _entry(
        201,
        (6, 12, 48, 32),
        (Quantity.PARAMETERS, "20,013,928", "torchvision densenet201"),
        (Quantity.MACS, "4.29 G", "torchvision densenet201"),
    ),
    _entry(264, (6, 12, 64, 48)),
    NetworkEntry(
        name="densenet-block",
        family=Family.DENSE,
        input=FeatureMap(height=16, width=16, channels=16),
        smallest=(8, 8),
        source=f"{_SOURCE}: one block of three layers, growth 8",
        define=_single_block,
        note=_NOTE,
    ),
)
