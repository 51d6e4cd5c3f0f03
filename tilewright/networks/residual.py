"""ResNets: plain, wide, in groups (ResNeXt), with squeeze-and-excitation."""

from collections.abc import Callable
from functools import partial

from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Offsets, Tensor
from tilewright.networks.serial import surveyed

_HE = "He, Zhang, Ren, Sun, Deep residual learning for image recognition, 2016"
_HU = "Hu, Shen, Sun, Squeeze-and-excitation networks, 2018"

# Appends the residual branch: (builder, input, width, stride) to the branch's last map.
Branch = Callable[[Builder, Tensor, int, int], Tensor]


def resnet(net: Builder, *, depths: tuple[int, ...], branch: Branch, expansion: int) -> Tensor:
    """A ResNet for ImageNet of four stages with ``depths`` blocks each.

    A block's output has ``expansion`` times the width that its ``branch`` gets; from the second
    stage on, the first block has stride 2.
    """
    x = net.conv(net.input, 64, 7, stride=2, then=net.relu)
    x = net.max_pool(x, 3, 2, 1)
    for number, depth in enumerate(depths):
        with net.scope("stage"):
            for block in range(depth):
                stride = 2 if number and not block else 1
                with net.scope("block"):
                    x = _block(net, x, branch, 64 << number, stride, expansion)
    return net.linear(net.global_average_pool(x), 1000)


def basic(net: Builder, x: Tensor, width: int, stride: int) -> Tensor:
    """Two 3x3 convolutions."""
    return net.conv(net.conv(x, width, 3, stride=stride, then=net.relu), width, 3)


def bottleneck(net: Builder, x: Tensor, width: int, stride: int) -> Tensor:
    """1x1 down, with the stride as in the paper, 3x3, 1x1 up."""
    x = net.conv(x, width, stride=stride, then=net.relu)
    return net.conv(net.conv(x, width, 3, then=net.relu), 4 * width)


def wide_bottleneck(
    net: Builder, x: Tensor, width: int, stride: int, *, factor: int, groups: int
) -> Tensor:
    """A bottleneck ``factor`` times as wide within, in ``groups``, with the stride in its 3x3."""
    inner = factor * width
    y = net.conv(x, inner, then=net.relu)
    y = net.conv(y, inner, 3, stride=stride, groups=groups, then=net.relu)
    return net.conv(y, 4 * width)


def squeezed_bottleneck(net: Builder, x: Tensor, width: int, stride: int) -> Tensor:
    """A bottleneck with squeeze-and-excitation of its output, reduced by 16."""
    y = bottleneck(net, x, width, stride)
    return squeeze_excite(net, y, y.shape.channels // 16)


def squeeze_excite(net: Builder, x: Tensor, reduced: int) -> Tensor:
    """Every channel of ``x`` times a gate in 0 to 1, computed from all channels' means."""
    gate = net.conv(net.global_average_pool(x), reduced, offsets=Offsets.BIAS, then=net.relu)
    gate = net.conv(gate, x.shape.channels, offsets=Offsets.BIAS, then=net.sigmoid)
    return net.multiply(x, gate)


def _block(
    net: Builder, x: Tensor, branch: Branch, width: int, stride: int, expansion: int
) -> Tensor:
    shortcut = x
    if stride > 1 or x.shape.channels != expansion * width:
        shortcut = net.conv(x, expansion * width, stride=stride)
    return net.relu(net.add(branch(net, x, width, stride), shortcut))


def _torchvision(name: str, parameters: str, macs: str = "") -> tuple[Figure, ...]:
    source = f"torchvision {name}"
    figures = (Figure(quantity=Quantity.PARAMETERS, printed=parameters, source=source),)
    if not macs:
        return figures
    return (*figures, Figure(quantity=Quantity.MACS, printed=macs, source=source))


def _entry(
    name: str,
    source: str,
    depths: tuple[int, ...],
    branch: Branch,
    *figures: Figure,
    expansion: int = 4,
    note: str = "",
) -> NetworkEntry:
    return NetworkEntry(
        name=name,
        family=Family.RESIDUAL,
        input=image(224),
        smallest=(64, 64),
        source=source,
        define=partial(resnet, depths=depths, branch=branch, expansion=expansion),
        figures=figures,
        note=note,
    )


def _paper(printed: str, why: str = "") -> Figure:
    return Figure(quantity=Quantity.MACS, printed=printed, source=f"{_HE}, table 1", why=why)


_STRIDE = "Stride 2 in the first 1x1 convolution of a block, as in the paper."

ENTRIES = (
    _entry(
        "resnet-18",
        _HE,
        (2, 2, 2, 2),
        basic,
        _paper("1.8 G"),
        *_torchvision("resnet18", "11,689,512", "1.81 G"),
        expansion=1,
    ),
    _entry(
        "resnet-34",
        _HE,
        (3, 4, 6, 3),
        basic,
        _paper(
            "3.6 G",
            "The paper's 34 layers take identity shortcuts; the 1x1 convolutions in their place "
            "add 19 M. Without them the shapes give 3.64 G.",
        ),
        *_torchvision("resnet34", "21,797,672", "3.66 G"),
        expansion=1,
    ),
    _entry(
        "resnet-50",
        _HE,
        (3, 4, 6, 3),
        bottleneck,
        *surveyed("23.5 M", "3.86 G", "2 M", "25.5 M", "3.9 G", whys={}),
        *_torchvision("resnet50", "25,557,032"),
        note=_STRIDE,
    ),
    _entry(
        "resnet-101",
        _HE,
        (3, 4, 23, 3),
        bottleneck,
        _paper("7.6 G"),
        *_torchvision("resnet101", "44,549,160"),
        note=_STRIDE,
    ),
    _entry(
        "resnet-152",
        _HE,
        (3, 8, 36, 3),
        bottleneck,
        _paper("11.3 G"),
        *_torchvision("resnet152", "60,192,808"),
        note=_STRIDE,
    ),
    _entry(
        "wide-resnet-50-2",
        "Zagoruyko, Komodakis, Wide residual networks, 2016",
        (3, 4, 6, 3),
        partial(wide_bottleneck, factor=2, groups=1),
        *_torchvision("wide_resnet50_2", "68,883,240", "11.40 G"),
    ),
    _entry(
        "resnext-50",
        "Xie, Girshick, Dollar, Tu, He, Aggregated residual transformations, 2017 (32x4d)",
        (3, 4, 6, 3),
        partial(wide_bottleneck, factor=2, groups=32),
        *_torchvision("resnext50_32x4d", "25,028,904", "4.23 G"),
    ),
    _entry(
        "se-resnet-50",
        _HU,
        (3, 4, 6, 3),
        squeezed_bottleneck,
        Figure(
            quantity=Quantity.MACS,
            printed="3.87 G",
            source=_HU,
            why="Global pooling and the product with the gates count too, 5.5 M each: 3.872 G.",
        ),
        Figure(
            quantity=Quantity.PARAMETERS,
            printed="28,088,024",
            source="pretrained-models.pytorch se_resnet50",
        ),
        note=_STRIDE,
    ),
)
