"""Dilated networks, and small ones for whole runs on the RTL."""

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, NetworkEntry, image
from tilewright.networks.nodes import Offsets, Tensor
from tilewright.networks.residual import basic, bottleneck, squeeze_excite

_RESIDUAL_CHANNELS = 32
_SKIP_CHANNELS = 64
_LAYERS = 10


def wavenet(net: Builder) -> Tensor:
    """Ten gated residual layers of causal 1x2 convolutions, dilated by 1, 2, 4 ... 512."""
    x = _causal(net, net.input, _RESIDUAL_CHANNELS, 1)
    skips = []
    for power in range(_LAYERS):
        with net.scope("layer"):
            filtered = net.tanh(_causal(net, x, _RESIDUAL_CHANNELS, 1 << power))
            gate = net.sigmoid(_causal(net, x, _RESIDUAL_CHANNELS, 1 << power))
            gated = net.multiply(filtered, gate)
            skips.append(net.conv(gated, _SKIP_CHANNELS, offsets=Offsets.BIAS))
            if power < _LAYERS - 1:  # after the last, only the skips are read
                x = net.add(net.conv(gated, _RESIDUAL_CHANNELS, offsets=Offsets.BIAS), x)
    total = skips[0]
    for skip in skips[1:]:
        total = net.add(total, skip)
    x = net.conv(net.relu(total), _SKIP_CHANNELS, offsets=Offsets.BIAS, then=net.relu)
    return net.conv(x, 256, offsets=Offsets.BIAS)


def context_module(net: Builder) -> Tensor:
    """The context module for segmentation: dilated 3x3 convolutions that keep the size."""
    x = net.input
    channels = x.shape.channels
    for dilation in (1, 1, 2, 4, 8, 16, 1):
        x = net.conv(x, channels, 3, dilation=dilation, offsets=Offsets.BIAS, then=net.relu)
    return net.conv(x, channels, offsets=Offsets.BIAS)


def resnet8(net: Builder) -> Tensor:
    """A ResNet for 32x32 images of one block a stage."""
    x = net.conv(net.input, 16, 3, then=net.relu)
    for width in (16, 32, 64):
        with net.scope("block"):
            stride = 1 if width == 16 else 2
            shortcut = x if stride == 1 else net.conv(x, width, stride=stride)
            x = net.relu(net.add(basic(net, x, width, stride), shortcut))
    return net.linear(net.global_average_pool(x), 10)


def se_block(net: Builder) -> Tensor:
    """One bottleneck with squeeze-and-excitation."""
    x = net.input
    width = x.shape.channels // 4
    return net.relu(net.add(squeeze_excite(net, bottleneck(net, x, width, 1), width), x))


def _causal(net: Builder, x: Tensor, channels: int, dilation: int) -> Tensor:
    """Each step sees itself and the step ``dilation`` before."""
    padding = (0, dilation, 0, 0)
    return net.conv(
        x,
        channels,
        (1, 2),
        dilation=(1, dilation),
        padding=padding,
        offsets=Offsets.BIAS,
    )


ENTRIES = (
    NetworkEntry(
        name="wavenet",
        family=Family.OTHER,
        input=FeatureMap(height=1, width=1024, channels=1),
        smallest=(1, 64),
        source="van den Oord et al., WaveNet, 2016: one stack of ten layers on a scalar signal",
        define=wavenet,
        note="One-dimensional: maps of height 1.",
    ),
    NetworkEntry(
        name="context-module",
        family=Family.OTHER,
        input=image(64, 21),
        smallest=(32, 32),
        source="Yu, Koltun, Multi-scale context aggregation by dilated convolutions, 2016 (basic)",
        define=context_module,
    ),
    NetworkEntry(
        name="resnet-8",
        family=Family.RESIDUAL,
        input=image(32),
        smallest=(32, 32),
        source="Banbury et al., MLPerf Tiny benchmark, 2021",
        define=resnet8,
    ),
    NetworkEntry(
        name="se-block",
        family=Family.RESIDUAL,
        input=image(16, 32),
        smallest=(8, 8),
        source="Hu, Shen, Sun, Squeeze-and-excitation networks, 2018: one block",
        define=se_block,
    ),
)
