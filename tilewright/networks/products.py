"""Square matrix products, the measure that matrix engines are compared by."""

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, NetworkEntry
from tilewright.networks.nodes import Offsets, Tensor


def product(net: Builder) -> Tensor:
    """The input, a pixel a row, times as many columns of weights as it has."""
    return net.conv(net.input, net.input.shape.channels, offsets=Offsets.NONE)


def _entry(size: int) -> NetworkEntry:
    return NetworkEntry(
        name=f"gemm-{size}",
        family=Family.PRODUCT,
        input=FeatureMap(height=1, width=size, channels=size),
        smallest=(1, 1),
        source="Dongarra et al., A set of level 3 basic linear algebra subprograms, 1990 (GEMM)",
        define=product,
        note=f"{size} x {size} inputs times {size} x {size} weights, as a 1x1 convolution.",
    )


ENTRIES = tuple(_entry(size) for size in (64, 512))
