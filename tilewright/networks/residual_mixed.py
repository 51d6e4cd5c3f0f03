"""Residual networks that also branch: Inception-ResNet, dual paths, selective kernels."""

from functools import partial

from tilewright.networks.builder import Builder, Size
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.inception import chain, halve, stem
from tilewright.networks.nodes import Offsets, Tensor
from tilewright.networks.residual import resnet

_SZEGEDY = "Szegedy, Ioffe, Vanhoucke, Alemi, Inception-v4, 2017"
_CHEN = "Chen, Li, Xiao, Jin, Yan, Feng, Dual path networks, 2017"
_LI = "Li, Wang, Hu, Yang, Selective kernel networks, 2019"
Branches = tuple[tuple[tuple[int, Size], ...], ...]

_BLOCK35: Branches = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
_BLOCK17: Branches = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
_BLOCK8: Branches = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


def inception_resnet_v2(net: Builder) -> Tensor:
    """Inception-ResNet V2; the scaling of a residual is part of its last weights."""
    x = net.max_pool(stem(net), 3, 2)
    x = net.conv(chain(net, x, (80, 1)), 192, 3, padding=0, then=net.relu)
    x = net.max_pool(x, 3, 2)
    with net.scope("mixed"):
        x = net.concat(
            chain(net, x, (96, 1)),
            chain(net, x, (48, 1), (64, 5)),
            chain(net, x, (64, 1), (96, 3), (96, 3)),
            chain(net, net.average_pool(x, 3, 1, 1), (64, 1)),
        )
    x = _residuals(net, x, 10, _BLOCK35)
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 384), halve(net, x, 384, (256, 1), (256, 3)), net.max_pool(x, 3, 2)
        )
    x = _residuals(net, x, 20, _BLOCK17)
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 384, (256, 1)),
            halve(net, x, 288, (256, 1)),
            halve(net, x, 320, (256, 1), (288, 3)),
            net.max_pool(x, 3, 2),
        )
    x = _residuals(net, x, 9, _BLOCK8)
    with net.scope("block"):
        x = _residual(net, x, _BLOCK8)
    x = chain(net, x, (1536, 1))
    return net.linear(net.global_average_pool(x), 1000)


def dpn92(net: Builder) -> Tensor:
    """DPN-92: the first channels of a map are summed (residual), the others appended (dense)."""
    x = net.conv(net.input, 64, 7, stride=2, then=net.relu)
    x = net.max_pool(x, 3, 2, 1)
    for number, (blocks, growth) in enumerate(zip((3, 4, 20, 3), (16, 32, 24, 128), strict=True)):
        with net.scope("stage"):
            for block in range(blocks):
                with net.scope("block"):
                    x = _dual_path(
                        net,
                        x,
                        summed=256 << number,
                        growth=growth,
                        inner=96 << number,
                        first=not block,
                        stride=2 if number and not block else 1,
                    )
    x = net.relu(net.scale(x))
    return net.linear(net.global_average_pool(x), 1000)


def selective_bottleneck(net: Builder, x: Tensor, width: int, stride: int) -> Tensor:
    """1x1, selective kernels of 3x3 and dilated 3x3 in 32 groups, 1x1."""
    y = net.conv(x, 2 * width, then=net.relu)
    return net.conv(selective_kernels(net, y, stride), 4 * width)


def selective_kernels(net: Builder, x: Tensor, stride: int) -> Tensor:
    """Two kernel sizes, mixed channel by channel.

    The softmax over two branches is a sigmoid of the difference of their scores, and of its
    negative; the second score's weights are trained negative, so that the difference is a sum.
    """
    channels = x.shape.channels
    near, far = (
        net.conv(x, channels, 3, stride=stride, groups=32, dilation=dilation, then=net.relu)
        for dilation in (1, 2)
    )
    means = net.global_average_pool(net.add(near, far))
    code = net.conv(means, max(channels // 16, 32), then=net.relu)
    scores = [net.conv(code, channels, offsets=Offsets.BIAS) for _ in range(2)]
    difference = net.add(*scores)
    return net.add(
        net.multiply(near, net.sigmoid(difference)),
        net.multiply(far, net.sigmoid(net.negate(difference))),
    )


def _residuals(net: Builder, x: Tensor, blocks: int, branches: Branches) -> Tensor:
    for _ in range(blocks):
        with net.scope("block"):
            x = net.relu(_residual(net, x, branches))
    return x


def _residual(net: Builder, x: Tensor, branches: Branches) -> Tensor:
    joined = net.concat(*(chain(net, x, *steps) for steps in branches))
    return net.add(net.conv(joined, x.shape.channels, offsets=Offsets.BIAS), x)


def _dual_path(
    net: Builder,
    x: Tensor,
    *,
    summed: int,
    growth: int,
    inner: int,
    first: bool,
    stride: int,
) -> Tensor:
    """A block; batch-norm and ReLU come before each convolution."""
    shortcut = x
    if first:
        shortcut = net.conv(
            net.relu(net.scale(x)), summed + 2 * growth, stride=stride, offsets=Offsets.NONE
        )
    y = net.conv(net.relu(net.scale(x)), inner, then=net.relu)
    y = net.conv(y, inner, 3, stride=stride, groups=32, then=net.relu)
    y = net.conv(y, summed + growth, offsets=Offsets.NONE)
    kept, grown = net.split(shortcut, summed)
    residual, new = net.split(y, summed)
    return net.concat(net.add(kept, residual), grown, new)


ENTRIES = (
    NetworkEntry(
        name="inception-resnet-v2",
        family=Family.RESIDUAL,
        input=image(299),
        smallest=(75, 75),
        source=_SZEGEDY,
        define=inception_resnet_v2,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="55,843,464",
                source="timm inception_resnet_v2",
            ),
        ),
    ),
    NetworkEntry(
        name="dpn-92",
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=_CHEN,
        define=dpn92,
        figures=(
            Figure(quantity=Quantity.PARAMETERS, printed="37.67 M", source="timm dpn92"),
            Figure(quantity=Quantity.MACS, printed="6.5 G", source=_CHEN),
        ),
        note="Batch-norms of concatenated maps are depthwise 1x1 convolutions, as in DenseNet.",
    ),
    NetworkEntry(
        name="sknet-50",
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=_LI,
        define=partial(resnet, depths=(3, 4, 6, 3), branch=selective_bottleneck, expansion=4),
        figures=(
            Figure(quantity=Quantity.PARAMETERS, printed="27.5 M", source=_LI),
            Figure(
                quantity=Quantity.MACS,
                printed="4.47 G",
                source=_LI,
                why="The two products with the attention count too, 2.8 M each: 4.468 G.",
            ),
        ),
        note="The softmax over its two branches is a sigmoid of the difference, which is equal.",
    ),
)
