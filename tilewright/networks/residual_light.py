"""Residual networks with separable or shuffled convolutions."""

from functools import partial

from tilewright.networks.builder import Builder, Then
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Tensor

_MOBILENET = "Sandler et al., MobileNetV2, 2018"
_XCEPTION = "Chollet, Xception, 2017"
_SHUFFLENET = "Zhang, Zhou, Lin, Sun, ShuffleNet, 2018"
_SHUFFLENET_V2 = "Ma, Zhang, Zheng, Sun, ShuffleNet V2, 2018"
# Expansion, channels, blocks, stride of the first.
_MOBILENET_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def inverted_residual(
    net: Builder,
    x: Tensor,
    *,
    inner: int,
    channels: int,
    kernel: int,
    stride: int,
    then: Then,
    gate: Then | None = None,
) -> Tensor:
    """1x1 up to ``inner`` channels, depthwise, ``gate``, linear 1x1; added to ``x`` if it fits."""
    y = x if inner == x.shape.channels else net.conv(x, inner, then=then)
    y = net.depthwise(y, kernel, stride=stride, then=then)
    y = net.conv(y if gate is None else gate(y), channels)
    return net.add(y, x) if y.shape == x.shape else y


def mobilenet_v2(net: Builder) -> Tensor:
    """MobileNet V2."""
    x = net.conv(net.input, 32, 3, stride=2, then=net.relu6)
    for expansion, channels, blocks, stride in _MOBILENET_STAGES:
        for block in range(blocks):
            with net.scope("block"):
                x = inverted_residual(
                    net,
                    x,
                    inner=expansion * x.shape.channels,
                    channels=channels,
                    kernel=3,
                    stride=1 if block else stride,
                    then=net.relu6,
                )
    x = net.conv(x, 1280, then=net.relu6)
    return net.linear(net.global_average_pool(x), 1000)


def xception(net: Builder) -> Tensor:
    """Xception."""
    x = net.conv(net.input, 32, 3, stride=2, padding=0, then=net.relu)
    x = net.conv(x, 64, 3, padding=0, then=net.relu)
    for number, channels in enumerate((128, 256, 728)):
        with net.scope("entry"):
            first = net.separable(net.relu(x) if number else x, channels, 3)
            x = _halved(net, x, net.separable(net.relu(first), channels, 3))
    for _ in range(8):
        with net.scope("middle"):
            y = x
            for _ in range(3):
                y = net.separable(net.relu(y), 728, 3)
            x = net.add(y, x)
    with net.scope("exit"):
        y = net.separable(net.relu(x), 728, 3)
        x = _halved(net, x, net.separable(net.relu(y), 1024, 3))
        for channels in (1536, 2048):
            x = net.relu(net.separable(x, channels, 3))
    return net.linear(net.global_average_pool(x), 1000)


def shufflenet_v1(net: Builder, *, widths: tuple[int, int, int], groups: int) -> Tensor:
    """ShuffleNet V1 with stages of ``widths`` channels and 1x1 convolutions in ``groups``."""
    x = net.conv(net.input, 24, 3, stride=2, then=net.relu)
    x = net.max_pool(x, 3, 2, 1)
    for channels, units in zip(widths, (4, 8, 4), strict=True):
        for unit in range(units):
            with net.scope("unit"):
                x = _unit_v1(net, x, channels, groups, halve=not unit)
    return net.linear(net.global_average_pool(x), 1000)


def shufflenet_v2(net: Builder, *, widths: tuple[int, int, int], last: int) -> Tensor:
    """ShuffleNet V2 with stages of ``widths`` channels, and ``last`` before the classifier."""
    x = net.conv(net.input, 24, 3, stride=2, then=net.relu)
    x = net.max_pool(x, 3, 2, 1)
    for channels, units in zip(widths, (4, 8, 4), strict=True):
        for unit in range(units):
            with net.scope("unit"):
                x = _unit_v2(net, x, channels, halve=not unit)
    x = net.conv(x, last, then=net.relu)
    return net.linear(net.global_average_pool(x), 1000)


def _halved(net: Builder, x: Tensor, branch: Tensor) -> Tensor:
    """``branch`` pooled, plus ``x`` through a 1x1 convolution of stride 2."""
    return net.add(net.max_pool(branch, 3, 2, 1), net.conv(x, branch.shape.channels, stride=2))


def _unit_v1(net: Builder, x: Tensor, channels: int, groups: int, *, halve: bool) -> Tensor:
    # The first unit's input is too narrow for groups.
    first_groups = 1 if x.shape.channels == 24 else groups
    y = net.conv(x, channels // 4, groups=first_groups, then=net.relu)
    y = net.depthwise(net.shuffle(y, groups), 3, stride=2 if halve else 1)
    y = net.conv(y, channels - x.shape.channels if halve else channels, groups=groups)
    if halve:
        return net.relu(net.concat(net.average_pool(x, 3, 2, 1), y))
    return net.relu(net.add(y, x))


def _unit_v2(net: Builder, x: Tensor, channels: int, *, halve: bool) -> Tensor:
    half = channels // 2
    if halve:
        kept = net.conv(net.depthwise(x, 3, stride=2), half, then=net.relu)
        y = x
    else:
        kept, y = net.split(x, half)
    y = net.conv(y, half, then=net.relu)
    y = net.conv(net.depthwise(y, 3, stride=2 if halve else 1), half, then=net.relu)
    return net.shuffle(net.concat(kept, y), 2)


ENTRIES = (
    NetworkEntry(
        name="mobilenet-v2",
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=_MOBILENET,
        define=mobilenet_v2,
        figures=(
            Figure(
                quantity=Quantity.MACS,
                printed="300 M",
                source=f"{_MOBILENET}, table 4",
                why="The shapes give 300.8 M, which the paper rounds to tens of millions.",
            ),
            Figure(quantity=Quantity.MACS, printed="0.30 G", source="torchvision mobilenet_v2"),
            Figure(
                quantity=Quantity.WEIGHTS,
                printed="3.4 M",
                source=f"{_MOBILENET}, table 4",
                why="The shapes give 3.47 M, which the paper cuts off after the first digit.",
            ),
            Figure(
                quantity=Quantity.PARAMETERS, printed="3,504,872", source="torchvision mobilenet_v2"
            ),
        ),
    ),
    NetworkEntry(
        name="xception",
        family=Family.RESIDUAL,
        input=image(299),
        smallest=(71, 71),
        source=_XCEPTION,
        define=xception,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS, printed="22,855,952", source=f"{_XCEPTION}, table 3"
            ),
            Figure(quantity=Quantity.MACS, printed="8.4 G", source="timm xception"),
        ),
    ),
    NetworkEntry(
        name="shufflenet-v1",
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=f"{_SHUFFLENET} (three groups)",
        define=partial(shufflenet_v1, widths=(240, 480, 960), groups=3),
        figures=(Figure(quantity=Quantity.MACS, printed="137 M", source=_SHUFFLENET),),
    ),
    NetworkEntry(
        name="shufflenet-v2",
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=_SHUFFLENET_V2,
        define=partial(shufflenet_v2, widths=(116, 232, 464), last=1024),
        figures=(
            Figure(
                quantity=Quantity.MACS,
                printed="146 M",
                source=_SHUFFLENET_V2,
                why="The shapes give 144.9 M; the paper does not say what else it counts.",
            ),
            Figure(
                quantity=Quantity.MACS, printed="0.14 G", source="torchvision shufflenet_v2_x1_0"
            ),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="2,278,604",
                source="torchvision shufflenet_v2_x1_0",
            ),
        ),
    ),
)
