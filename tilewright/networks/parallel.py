"""Parallel networks with branches of square kernels: GoogLeNet and SqueezeNet."""

from functools import partial

from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Offsets, Tensor
from tilewright.networks.serial import surveyed

_SQUEEZENET = "Iandola et al., SqueezeNet, 2016"
# 1x1, reduced and full 3x3, reduced and full 5x5, 1x1 after the pool.
_INCEPTIONS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def googlenet(net: Builder, *, ceil: bool = True, normalised: bool = False) -> Tensor:
    """GoogLeNet, without the auxiliary classifiers that training uses.

    Its pools round sizes up; ``ceil=False`` is the misreading behind a printed count.
    """

    def normalise(x: Tensor) -> Tensor:
        return net.normalise(x, 5, alpha=1e-4) if normalised else x

    x = _plain(net, net.input, 64, 7, stride=2)
    x = normalise(net.max_pool(x, 3, 2, ceil=ceil))
    x = normalise(_plain(net, _plain(net, x, 64, 1), 192, 3))
    for stage in _INCEPTIONS:
        x = net.max_pool(x, 3, 2, ceil=ceil)
        for widths in stage:
            with net.scope("inception"):
                x = _inception(net, x, *widths)
    return net.linear(net.global_average_pool(x), 1000)


def squeezenet(
    net: Builder,
    *,
    stem: tuple[int, int],
    stages: tuple[tuple[int, ...], ...],
    classes: int = 1000,
) -> Tensor:
    """A SqueezeNet: channels and kernel of the ``stem``, then stages of fire modules.

    A module is named by the channels it squeezes to; each stage begins with a pool.
    """
    x = _plain(net, net.input, *stem, stride=2, padding=0)
    for stage in stages:
        x = net.max_pool(x, 3, 2, ceil=True)
        for squeezed in stage:
            with net.scope("fire"):
                x = _fire(net, x, squeezed)
    return net.global_average_pool(_plain(net, x, classes, 1))


def _inception(
    net: Builder, x: Tensor, single: int, into3: int, three: int, into5: int, five: int, after: int
) -> Tensor:
    return net.concat(
        _plain(net, x, single, 1),
        _plain(net, _plain(net, x, into3, 1), three, 3),
        _plain(net, _plain(net, x, into5, 1), five, 5),
        _plain(net, net.max_pool(x, 3, 1, 1), after, 1),
    )


def _fire(net: Builder, x: Tensor, squeezed: int) -> Tensor:
    x = _plain(net, x, squeezed, 1)
    return net.concat(_plain(net, x, 4 * squeezed, 1), _plain(net, x, 4 * squeezed, 3))


def _plain(
    net: Builder,
    x: Tensor,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
) -> Tensor:
    return net.conv(
        x,
        channels,
        kernel,
        stride=stride,
        padding=padding,
        offsets=Offsets.BIAS,
        then=net.relu,
    )


_GOOGLENET_WHY = (
    "With pools that round sizes down, to maps of 55, 27, 13 and 6, the shapes give 1.43 G. The "
    "network's round up, to 56, 28, 14 and 7: 1.58 G."
)
_V1 = partial(squeezenet, stem=(96, 7), stages=((16, 16, 32), (32, 48, 48, 64), (64,)))
_V1_1 = partial(squeezenet, stem=(64, 3), stages=((16, 16), (32, 32), (48, 48, 64, 64)))

ENTRIES = (
    NetworkEntry(
        name="googlenet",
        family=Family.PARALLEL,
        input=image(224),
        smallest=(64, 64),
        source="Szegedy et al., Going deeper with convolutions, 2015",
        define=googlenet,
        figures=(
            *surveyed(
                "6.0 M",
                "1.43 G",
                "1 M",
                "7 M",
                "1.43 G",
                whys={Quantity.CONV_MACS: _GOOGLENET_WHY, Quantity.MACS: _GOOGLENET_WHY},
            ),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="6,998,552",
                source="Caffe's bvlc_googlenet, weights and biases of the main branch",
            ),
        ),
        note="Without local response normalisation (with it: googlenet-lrn) and the auxiliary "
        "classifiers of training.",
    ),
    NetworkEntry(
        name="googlenet-lrn",
        family=Family.PARALLEL,
        input=image(224),
        smallest=(64, 64),
        source="Szegedy et al., Going deeper with convolutions, 2015; Caffe's bvlc_googlenet",
        define=partial(googlenet, normalised=True),
        note="With its local response normalisation, which the host runs.",
    ),
    NetworkEntry(
        name="squeezenet",
        family=Family.PARALLEL,
        input=image(224),
        smallest=(48, 48),
        source=_SQUEEZENET,
        define=_V1,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS, printed="1,248,424", source=f"{_SQUEEZENET}, table 1"
            ),
            Figure(quantity=Quantity.MACS, printed="0.82 G", source="torchvision squeezenet1_0"),
        ),
    ),
    NetworkEntry(
        name="squeezenet-1.1",
        family=Family.PARALLEL,
        input=image(224),
        smallest=(48, 48),
        source=f"{_SQUEEZENET} (version 1.1 of its model files)",
        define=_V1_1,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="1,235,496",
                source="torchvision squeezenet1_1",
            ),
            Figure(quantity=Quantity.MACS, printed="0.35 G", source="torchvision squeezenet1_1"),
        ),
    ),
    NetworkEntry(
        name="squeezenet-64x64",
        family=Family.PARALLEL,
        input=image(64),
        smallest=(64, 64),
        source=f"{_SQUEEZENET} (version 1.1 of its model files, ten classes)",
        define=partial(_V1_1, classes=10),
    ),
)
