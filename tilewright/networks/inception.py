"""Inception V3 and V4: parallel branches, kernels of 1x7, 7x1, 1x3 and 3x1."""

from tilewright.networks.builder import Builder, Size
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Tensor

_ROW7, _COLUMN7, _ROW3, _COLUMN3 = (1, 7), (7, 1), (1, 3), (3, 1)
Steps = tuple[tuple[int, Size], ...]


def chain(net: Builder, x: Tensor, *steps: tuple[int, Size]) -> Tensor:
    """Convolutions with ReLU, each of (channels, kernel), that keep the map's size."""
    for channels, kernel in steps:
        x = net.conv(x, channels, kernel, then=net.relu)
    return x


def halve(net: Builder, x: Tensor, channels: int, *before: tuple[int, Size]) -> Tensor:
    """``before``, then a 3x3 convolution with stride 2 and no padding."""
    return net.conv(chain(net, x, *before), channels, 3, stride=2, padding=0, then=net.relu)


def stem(net: Builder) -> Tensor:
    """The three convolutions that all Inceptions from V3 on begin with."""
    x = halve(net, net.input, 32)
    x = net.conv(x, 32, 3, padding=0, then=net.relu)
    return chain(net, x, (64, 3))


def inception_v3(net: Builder) -> Tensor:
    """Inception V3, without the auxiliary classifier."""
    x = net.max_pool(stem(net), 3, 2)
    x = net.conv(chain(net, x, (80, 1)), 192, 3, padding=0, then=net.relu)
    x = net.max_pool(x, 3, 2)
    for after in (32, 64, 64):
        with net.scope("square"):
            x = _v3_square(net, x, after)
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 384), halve(net, x, 96, (64, 1), (96, 3)), net.max_pool(x, 3, 2)
        )
    for width in (128, 160, 160, 192):
        with net.scope("long"):
            x = _v3_long(net, x, width)
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 320, (192, 1)),
            halve(net, x, 192, (192, 1), (192, _ROW7), (192, _COLUMN7)),
            net.max_pool(x, 3, 2),
        )
    for _ in range(2):
        with net.scope("fan"):
            x = _v3_fan(net, x)
    return net.linear(net.global_average_pool(x), 1000)


def inception_v4(net: Builder) -> Tensor:
    """Inception V4."""
    with net.scope("stem"):
        x = _v4_stem(net)
    for _ in range(4):
        with net.scope("square"):
            x = net.concat(
                chain(net, x, (96, 1)),
                chain(net, x, (64, 1), (96, 3)),
                chain(net, x, (64, 1), (96, 3), (96, 3)),
                _after_pool(net, x, 96),
            )
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 384), halve(net, x, 256, (192, 1), (224, 3)), net.max_pool(x, 3, 2)
        )
    for _ in range(7):
        with net.scope("long"):
            x = _v4_long(net, x)
    with net.scope("halve"):
        x = net.concat(
            halve(net, x, 192, (192, 1)),
            halve(net, x, 320, (256, 1), (256, _ROW7), (320, _COLUMN7)),
            net.max_pool(x, 3, 2),
        )
    for _ in range(3):
        with net.scope("fan"):
            x = _v4_fan(net, x)
    return net.linear(net.global_average_pool(x), 1000)


def _after_pool(net: Builder, x: Tensor, channels: int) -> Tensor:
    return chain(net, net.average_pool(x, 3, 1, 1), (channels, 1))


def _v3_square(net: Builder, x: Tensor, after: int) -> Tensor:
    return net.concat(
        chain(net, x, (64, 1)),
        chain(net, x, (48, 1), (64, 5)),
        chain(net, x, (64, 1), (96, 3), (96, 3)),
        _after_pool(net, x, after),
    )


def _v3_long(net: Builder, x: Tensor, width: int) -> Tensor:
    columns_and_rows: Steps = ((width, _COLUMN7), (width, _ROW7), (width, _COLUMN7))
    return net.concat(
        chain(net, x, (192, 1)),
        chain(net, x, (width, 1), (width, _ROW7), (192, _COLUMN7)),
        chain(net, x, (width, 1), *columns_and_rows, (192, _ROW7)),
        _after_pool(net, x, 192),
    )


def _v3_fan(net: Builder, x: Tensor) -> Tensor:
    single = chain(net, x, (384, 1))
    double = chain(net, x, (448, 1), (384, 3))
    return net.concat(
        chain(net, x, (320, 1)),
        chain(net, single, (384, _ROW3)),
        chain(net, single, (384, _COLUMN3)),
        chain(net, double, (384, _ROW3)),
        chain(net, double, (384, _COLUMN3)),
        _after_pool(net, x, 192),
    )


def _v4_stem(net: Builder) -> Tensor:
    x = stem(net)
    x = net.concat(net.max_pool(x, 3, 2), halve(net, x, 96))
    branches = (
        chain(net, x, (64, 1)),
        chain(net, x, (64, 1), (64, _ROW7), (64, _COLUMN7)),
    )
    x = net.concat(*(net.conv(b, 96, 3, padding=0, then=net.relu) for b in branches))
    return net.concat(halve(net, x, 192), net.max_pool(x, 3, 2))


def _v4_long(net: Builder, x: Tensor) -> Tensor:
    return net.concat(
        chain(net, x, (384, 1)),
        chain(net, x, (192, 1), (224, _ROW7), (256, _COLUMN7)),
        chain(net, x, (192, 1), (192, _COLUMN7), (224, _ROW7), (224, _COLUMN7), (256, _ROW7)),
        _after_pool(net, x, 128),
    )


def _v4_fan(net: Builder, x: Tensor) -> Tensor:
    single = chain(net, x, (384, 1))
    double = chain(net, x, (384, 1), (448, _COLUMN3), (512, _ROW3))
    return net.concat(
        chain(net, x, (256, 1)),
        chain(net, single, (256, _ROW3)),
        chain(net, single, (256, _COLUMN3)),
        chain(net, double, (256, _ROW3)),
        chain(net, double, (256, _COLUMN3)),
        _after_pool(net, x, 256),
    )


ENTRIES = (
    NetworkEntry(
        name="inception-v3",
        family=Family.PARALLEL,
        input=image(299),
        smallest=(75, 75),
        source="Szegedy et al., Rethinking the Inception architecture for computer vision, 2016",
        define=inception_v3,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="23,834,568",
                source="timm inception_v3 (torchvision's, without auxiliary classifier)",
            ),
            Figure(quantity=Quantity.MACS, printed="5.71 G", source="torchvision inception_v3"),
        ),
        note="Without the auxiliary classifier of training.",
    ),
    NetworkEntry(
        name="inception-v4",
        family=Family.PARALLEL,
        input=image(299),
        smallest=(75, 75),
        source="Szegedy, Ioffe, Vanhoucke, Alemi, Inception-v4, 2017",
        define=inception_v4,
        figures=(
            Figure(quantity=Quantity.PARAMETERS, printed="42,679,816", source="timm inception_v4"),
        ),
    ),
)
