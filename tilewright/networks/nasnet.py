"""NASNet-A (mobile): cells found by search, each fed by the two cells before it."""

from collections.abc import Callable

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Tensor

_SOURCE = "Zoph, Vasudevan, Shlens, Le, Learning transferable architectures, 2018"
_FILTERS = 44
_STEM = 32


def nasnet_a_mobile(net: Builder) -> Tensor:
    """NASNet-A (4 @ 1056): three times four normal cells, with reduction cells between."""
    image_map = net.conv(net.input, _STEM, 3, stride=2, padding=0)
    with net.scope("stem"):
        first = _first_stem(net, image_map, _FILTERS // 4)
    with net.scope("stem"):
        current = _fit(net, first, _FILTERS // 2)
        previous = _halved(net, image_map, _FILTERS // 2)
        x = _reduction(net, current, previous)
    before = first
    for stage in range(3):
        filters = _FILTERS << stage
        if stage:
            with net.scope("reduction"):
                reduced = _reduction(net, _fit(net, x, filters), _fit(net, before, filters))
            before, x = x, reduced
        for _ in range(4):
            with net.scope("cell"):
                before, x = x, _normal(net, x, before, filters)
    return net.linear(net.global_average_pool(net.relu(x)), 1000)


def _normal(net: Builder, x: Tensor, before: Tensor, filters: int) -> Tensor:
    current = _fit(net, x, filters)
    same_size = before.shape.height == x.shape.height
    previous = (_fit if same_size else _halved)(net, before, filters)
    parts = (
        net.add(_separable(net, current, 5), _separable(net, previous, 3)),
        net.add(_separable(net, previous, 5), _separable(net, previous, 3)),
        net.add(net.average_pool(current, 3, 1, 1), previous),
        net.add(net.average_pool(previous, 3, 1, 1), net.average_pool(previous, 3, 1, 1)),
        net.add(_separable(net, current, 3), current),
    )
    return net.concat(previous, *parts)


def _reduction(net: Builder, current: Tensor, previous: Tensor) -> Tensor:
    def branch(kernel: int) -> Tensor:
        return _separable(net, previous, kernel, stride=2)

    return _combine(net, current, branch)


def _first_stem(net: Builder, x: Tensor, filters: int) -> Tensor:
    """A reduction cell whose second input is the image's map itself, of another width."""

    def branch(kernel: int) -> Tensor:
        return _separable(net, x, kernel, stride=2, channels=filters)

    return _combine(net, _fit(net, x, filters), branch)


def _combine(net: Builder, current: Tensor, branch: Callable[[int], Tensor]) -> Tensor:
    """A reduction cell; ``branch`` halves the previous cell's map by a separable convolution."""
    first = net.add(_separable(net, current, 5, stride=2), branch(7))
    second = net.add(net.max_pool(current, 3, 2, 1), branch(7))
    third = net.add(net.average_pool(current, 3, 2, 1), branch(5))
    fourth = net.add(net.average_pool(first, 3, 1, 1), second)
    fifth = net.add(_separable(net, first, 3), net.max_pool(current, 3, 2, 1))
    return net.concat(second, third, fourth, fifth)


def _separable(
    net: Builder, x: Tensor, kernel: int, *, stride: int = 1, channels: int | None = None
) -> Tensor:
    """ReLU and separable convolution, twice; the first has the stride."""
    first = channels or x.shape.channels
    y = net.separable(net.relu(x), first, kernel, stride=stride)
    return net.separable(net.relu(y), first, kernel)


def _fit(net: Builder, x: Tensor, filters: int) -> Tensor:
    """ReLU and 1x1 convolution to the cell's width."""
    return net.conv(net.relu(x), filters)


def _halved(net: Builder, x: Tensor, filters: int) -> Tensor:
    """ReLU, then every second pixel to half the width, and those right below them likewise."""
    x = net.relu(x)
    height, width, channels = x.shape.height, x.shape.width, x.shape.channels
    shape = FeatureMap(height=height - 1, width=width - 1, channels=channels)
    moved = net.slice(x, (1, 1, 0), shape)
    # An odd map lacks the last row and column: they are zeros.
    padding = (0, 0, height % 2, width % 2)
    return net.concat(
        net.conv(x, filters // 2, stride=2),
        net.conv(moved, filters // 2, stride=2, padding=padding),
    )


ENTRIES = (
    NetworkEntry(
        name="nasnet-a-mobile",
        family=Family.SEARCHED,
        input=image(224),
        smallest=(64, 64),
        source=_SOURCE,
        define=nasnet_a_mobile,
        figures=(
            Figure(quantity=Quantity.MACS, printed="564 M", source=_SOURCE),
            Figure(
                quantity=Quantity.PARAMETERS,
                printed="5,289,978",
                source="pretrained-models.pytorch nasnetamobile",
            ),
        ),
    ),
)
