"""Networks found by search whose blocks follow one another: MnasNet, MobileNet V3, EfficientNet."""

from functools import partial

from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Offsets, Tensor
from tilewright.networks.residual_light import inverted_residual

_MNASNET = "Tan et al., MnasNet, 2019"
_MOBILENET = "Howard et al., Searching for MobileNetV3, 2019"
_EFFICIENTNET = "Tan, Le, EfficientNet, 2019"
# Expansion, kernel, channels, blocks, stride of the first.
_MNASNET_STAGES = (
    (3, 3, 24, 3, 2),
    (3, 5, 40, 3, 2),
    (6, 5, 80, 3, 2),
    (6, 3, 96, 2, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
_EFFICIENTNET_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
# Kernel, inner channels, channels, squeeze-and-excitation, hard-swish, stride.
Bottleneck = tuple[int, int, int, bool, bool, int]
_LARGE: tuple[Bottleneck, ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL: tuple[Bottleneck, ...] = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def mnasnet(net: Builder) -> Tensor:
    """MnasNet-B1, the one without squeeze-and-excitation."""
    x = net.conv(net.input, 32, 3, stride=2, then=net.relu)
    x = net.conv(net.depthwise(x, 3, then=net.relu), 16)
    for expansion, kernel, channels, blocks, stride in _MNASNET_STAGES:
        for block in range(blocks):
            with net.scope("block"):
                x = inverted_residual(
                    net,
                    x,
                    inner=expansion * x.shape.channels,
                    channels=channels,
                    kernel=kernel,
                    stride=1 if block else stride,
                    then=net.relu,
                )
    x = net.conv(x, 1280, then=net.relu)
    return net.linear(net.global_average_pool(x), 1000)


def mobilenet_v3(net: Builder, *, blocks: tuple[Bottleneck, ...], last: int) -> Tensor:
    """MobileNet V3 of ``blocks``, with ``last`` features before the classifier."""
    x = net.conv(net.input, 16, 3, stride=2, then=net.hard_swish)
    for kernel, inner, channels, gated, swish, stride in blocks:
        with net.scope("block"):
            x = inverted_residual(
                net,
                x,
                inner=inner,
                channels=channels,
                kernel=kernel,
                stride=stride,
                then=net.hard_swish if swish else net.relu,
                gate=partial(_hard_gate, net) if gated else None,
            )
    x = net.conv(x, 6 * x.shape.channels, then=net.hard_swish)
    x = net.linear(net.global_average_pool(x), last, then=net.hard_swish)
    return net.linear(x, 1000)


def efficientnet_b0(net: Builder) -> Tensor:
    """EfficientNet-B0."""
    x = net.conv(net.input, 32, 3, stride=2, then=net.silu)
    for expansion, kernel, channels, blocks, stride in _EFFICIENTNET_STAGES:
        for block in range(blocks):
            with net.scope("block"):
                x = inverted_residual(
                    net,
                    x,
                    inner=expansion * x.shape.channels,
                    channels=channels,
                    kernel=kernel,
                    stride=1 if block else stride,
                    then=net.silu,
                    gate=partial(_soft_gate, net, reduced=x.shape.channels // 4),
                )
    x = net.conv(x, 1280, then=net.silu)
    return net.linear(net.global_average_pool(x), 1000)


def _hard_gate(net: Builder, x: Tensor) -> Tensor:
    reduced = _divisible(x.shape.channels / 4)
    gate = net.conv(net.global_average_pool(x), reduced, offsets=Offsets.BIAS, then=net.relu)
    gate = net.conv(gate, x.shape.channels, offsets=Offsets.BIAS, then=net.hard_sigmoid)
    return net.multiply(x, gate)


def _soft_gate(net: Builder, x: Tensor, *, reduced: int) -> Tensor:
    gate = net.conv(net.global_average_pool(x), reduced, offsets=Offsets.BIAS, then=net.silu)
    gate = net.conv(gate, x.shape.channels, offsets=Offsets.BIAS, then=net.sigmoid)
    return net.multiply(x, gate)


def _divisible(channels: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


ENTRIES = (
    NetworkEntry(
        name="mnasnet",
        family=Family.SEARCHED,
        input=image(224),
        smallest=(64, 64),
        source=f"{_MNASNET} (B1)",
        define=mnasnet,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS, printed="4,383,312", source="torchvision mnasnet1_0"
            ),
            Figure(quantity=Quantity.MACS, printed="0.31 G", source="torchvision mnasnet1_0"),
        ),
    ),
    NetworkEntry(
        name="mobilenet-v3-large",
        family=Family.SEARCHED,
        input=image(224),
        smallest=(64, 64),
        source=_MOBILENET,
        define=partial(mobilenet_v3, blocks=_LARGE, last=1280),
        figures=(
            Figure(
                quantity=Quantity.MACS,
                printed="219 M",
                source=f"{_MOBILENET}, table 3",
                why="The shapes give 216.6 M; the paper does not say what else it counts.",
            ),
            Figure(
                quantity=Quantity.MACS, printed="0.22 G", source="torchvision mobilenet_v3_large"
            ),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="5,483,032",
                source="torchvision mobilenet_v3_large",
            ),
        ),
    ),
    NetworkEntry(
        name="mobilenet-v3-small",
        family=Family.SEARCHED,
        input=image(224),
        smallest=(64, 64),
        source=_MOBILENET,
        define=partial(mobilenet_v3, blocks=_SMALL, last=1024),
        figures=(
            Figure(
                quantity=Quantity.MACS,
                printed="56 M",
                source=f"{_MOBILENET}, table 3",
                why="The shapes give 56.5 M, which the paper cuts off.",
            ),
            Figure(
                quantity=Quantity.MACS, printed="0.06 G", source="torchvision mobilenet_v3_small"
            ),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="2,542,856",
                source="torchvision mobilenet_v3_small",
            ),
        ),
    ),
    NetworkEntry(
        name="efficientnet-b0",
        family=Family.SEARCHED,
        input=image(224),
        smallest=(64, 64),
        source=_EFFICIENTNET,
        define=efficientnet_b0,
        figures=(
            Figure(quantity=Quantity.MACS, printed="0.39 G", source=f"{_EFFICIENTNET}, table 2"),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="5,288,548",
                source="torchvision efficientnet_b0",
            ),
        ),
    ),
)
