"""Serial networks: one layer after the other."""

from functools import partial

from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Offsets, Tensor

SURVEY = (
    "Sze, Chen, Yang, Emer, Efficient processing of deep neural networks: a tutorial and survey, "
    "2017, table 2"
)
_LENET = "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition"
_ALEXNET = "Krizhevsky, Sutskever, Hinton, ImageNet classification with deep CNNs, 2012"
_MOBILENET = "Howard et al., MobileNets, 2017"
_NO_NORMALISATION = "Without its local response normalisation, which has no weights."


def lenet5(net: Builder) -> Tensor:
    """LeNet-5 as it is taught: padded to 32x32, every map of C3 sees all of S2."""
    x = net.conv(net.input, 6, 5, offsets=Offsets.BIAS, then=net.tanh)
    x = net.average_pool(x, 2, 2)
    x = net.conv(x, 16, 5, padding=0, offsets=Offsets.BIAS, then=net.tanh)
    x = net.average_pool(x, 2, 2)
    x = net.linear(x, 120, then=net.tanh)
    x = net.linear(x, 84, then=net.tanh)
    return net.linear(x, 10)


def alexnet(net: Builder, *, normalised: bool = False) -> Tensor:
    """AlexNet: the second, fourth and fifth convolution in two groups."""

    def normalise(x: Tensor) -> Tensor:
        # The paper's factor is of the sum, ONNX's of the mean.
        return net.normalise(x, 5, alpha=5 * 1e-4, bias=2.0) if normalised else x

    x = normalise(_plain(net, net.input, 96, 11, stride=4, padding=0))
    x = net.max_pool(x, 3, 2)
    x = normalise(_plain(net, x, 256, 5, groups=2))
    x = net.max_pool(x, 3, 2)
    x = _plain(net, x, 384, 3)
    x = _plain(net, x, 384, 3, groups=2)
    x = _plain(net, x, 256, 3, groups=2)
    x = net.max_pool(x, 3, 2)
    return _classifier(net, x, 4096, 4096)


def overfeat(net: Builder) -> Tensor:
    """OverFeat, the fast model."""
    x = _plain(net, net.input, 96, 11, stride=4, padding=0)
    x = net.max_pool(x, 2, 2)
    x = _plain(net, x, 256, 5, padding=0)
    x = net.max_pool(x, 2, 2)
    for channels in (512, 1024, 1024):
        x = _plain(net, x, channels, 3)
    x = net.max_pool(x, 2, 2)
    return _classifier(net, x, 3072, 4096)


def vgg(net: Builder, *, depths: tuple[int, ...]) -> Tensor:
    """A VGG of five stages with ``depths`` convolutions each."""
    x = net.input
    for depth, channels in zip(depths, (64, 128, 256, 512, 512), strict=True):
        for _ in range(depth):
            x = _plain(net, x, channels, 3)
        x = net.max_pool(x, 2, 2)
    return _classifier(net, x, 4096, 4096)


def mobilenet_v1(net: Builder, *, width: float = 1.0, classes: int = 1000) -> Tensor:
    """MobileNet V1 with ``width`` times its channels."""
    x = net.conv(net.input, int(32 * width), 3, stride=2, then=net.relu)
    layers = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
    for channels, stride in (*layers, *((512, 1),) * 5, (1024, 2), (1024, 1)):
        with net.scope("block"):
            x = net.depthwise(x, 3, stride=stride, then=net.relu)
            x = net.conv(x, int(channels * width), then=net.relu)
    return net.linear(net.global_average_pool(x), classes)


def _plain(
    net: Builder,
    x: Tensor,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
) -> Tensor:
    """A convolution with bias and ReLU, from before batch-norm."""
    return net.conv(
        x,
        channels,
        kernel,
        stride=stride,
        padding=padding,
        groups=groups,
        offsets=Offsets.BIAS,
        then=net.relu,
    )


def _classifier(net: Builder, x: Tensor, *widths: int) -> Tensor:
    for features in widths:
        x = net.linear(x, features, then=net.relu)
    return net.linear(x, 1000)


def surveyed(
    conv_weights: str,
    conv_macs: str,
    fc: str,
    weights: str,
    macs: str,
    *,
    whys: dict[Quantity, str],
) -> tuple[Figure, ...]:
    """A row of the survey's table; ``whys`` explains figures that the shapes do not give."""
    printed = {
        Quantity.CONV_WEIGHTS: conv_weights,
        Quantity.CONV_MACS: conv_macs,
        Quantity.FC_WEIGHTS: fc,
        Quantity.FC_MACS: fc,
        Quantity.WEIGHTS: weights,
        Quantity.MACS: macs,
    }
    return tuple(
        Figure(quantity=quantity, printed=text, source=SURVEY, why=whys.get(quantity, ""))
        for quantity, text in printed.items()
    )


_LENET_FC = (
    "The paper's count of C5 and F6 with biases, 48,120 + 10,164 = 58,284: the output layer's 840 "
    "are not in it."
)
_LENET_WHYS = {
    Quantity.CONV_MACS: (
        "The shapes give 28*28*6*25 + 10*10*16*150 = 357,600. The paper counts connections: C3 "
        "sees 60 of the 96 pairs of maps, biases and subsampling count too; its total of 340,908 "
        "less C5 and F6 (58,284) is 282,624."
    ),
    Quantity.FC_WEIGHTS: _LENET_FC,
    Quantity.FC_MACS: _LENET_FC,
    Quantity.WEIGHTS: (
        "The paper's 60,000 trainable parameters: C3 with 60 of the 96 pairs of maps, biases, and "
        "a fixed output layer."
    ),
    Quantity.MACS: "The paper's 340,908 connections, as for the convolutions.",
}

ENTRIES = (
    NetworkEntry(
        name="lenet-5",
        family=Family.SERIAL,
        input=image(28, 1),
        smallest=(28, 28),
        source=f"{_LENET}, 1998",
        define=lenet5,
        figures=surveyed("2.6 k", "283 k", "58 k", "60 k", "341 k", whys=_LENET_WHYS),
        note="Padded to 32x32; every map of C3 sees all of S2; subsampling is a plain average.",
    ),
    NetworkEntry(
        name="alexnet",
        family=Family.SERIAL,
        input=image(227),
        smallest=(67, 67),
        source=_ALEXNET,
        define=alexnet,
        figures=surveyed("2.3 M", "666 M", "58.6 M", "61 M", "724 M", whys={}),
        note=f"{_NO_NORMALISATION} With it: alexnet-lrn.",
    ),
    NetworkEntry(
        name="alexnet-lrn",
        family=Family.SERIAL,
        input=image(227),
        smallest=(67, 67),
        source=_ALEXNET,
        define=partial(alexnet, normalised=True),
        note="With its local response normalisation, which the host runs.",
    ),
    NetworkEntry(
        name="caffenet",
        family=Family.SERIAL,
        input=image(227),
        smallest=(67, 67),
        source="Jia et al., Caffe, 2014",
        define=alexnet,
        figures=(
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="60,965,224",
                source="Caffe's bvlc_reference_caffenet, weights and biases",
            ),
        ),
        note=(
            "AlexNet with pooling before local response normalisation; without the latter, the "
            "same layers."
        ),
    ),
    NetworkEntry(
        name="overfeat",
        family=Family.SERIAL,
        input=image(231),
        smallest=(71, 71),
        source="Sermanet et al., OverFeat, 2014 (fast model)",
        define=overfeat,
        figures=surveyed("16 M", "2.67 G", "130 M", "146 M", "2.80 G", whys={}),
    ),
    NetworkEntry(
        name="vgg-16",
        family=Family.SERIAL,
        input=image(224),
        smallest=(32, 32),
        source="Simonyan, Zisserman, Very deep CNNs for large-scale image recognition, 2015",
        define=partial(vgg, depths=(2, 2, 3, 3, 3)),
        figures=(
            *surveyed("14.7 M", "15.3 G", "124 M", "138 M", "15.5 G", whys={}),
            Figure(quantity=Quantity.PARAMETERS, printed="138,357,544", source="torchvision vgg16"),
        ),
    ),
    NetworkEntry(
        name="vgg-19",
        family=Family.SERIAL,
        input=image(224),
        smallest=(32, 32),
        source="Simonyan, Zisserman, Very deep CNNs for large-scale image recognition, 2015",
        define=partial(vgg, depths=(2, 2, 4, 4, 4)),
        figures=(
            Figure(quantity=Quantity.PARAMETERS, printed="143,667,240", source="torchvision vgg19"),
            Figure(quantity=Quantity.MACS, printed="19.63 G", source="torchvision vgg19"),
        ),
    ),
    NetworkEntry(
        name="mobilenet-v1",
        family=Family.SERIAL,
        input=image(224),
        smallest=(32, 32),
        source=_MOBILENET,
        define=mobilenet_v1,
        figures=(
            Figure(quantity=Quantity.PARAMETERS, printed="4.2 M", source=f"{_MOBILENET}, table 8"),
            Figure(quantity=Quantity.MACS, printed="569 M", source=f"{_MOBILENET}, table 8"),
            Figure(
                quantity=Quantity.MACS,
                printed="575 M",
                source="Sandler et al., MobileNetV2, 2018, table 4",
                why="MobileNet V1's own paper prints 569 M, which the shapes give.",
            ),
        ),
    ),
    NetworkEntry(
        name="mobilenet-v1-0.5",
        family=Family.SERIAL,
        input=image(224),
        smallest=(32, 32),
        source=f"{_MOBILENET}, width multiplier 0.5",
        define=partial(mobilenet_v1, width=0.5),
        figures=(
            Figure(quantity=Quantity.MACS, printed="149 M", source=f"{_MOBILENET}, table 6"),
            Figure(quantity=Quantity.PARAMETERS, printed="1.3 M", source=f"{_MOBILENET}, table 6"),
        ),
    ),
    NetworkEntry(
        name="mobilenet-v1-0.25-32x32",
        family=Family.SERIAL,
        input=image(32),
        smallest=(32, 32),
        source=f"{_MOBILENET}, width multiplier 0.25, ten classes",
        define=partial(mobilenet_v1, width=0.25, classes=10),
    ),
)
