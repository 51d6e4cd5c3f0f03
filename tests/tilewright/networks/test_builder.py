"""The builder: names, windows, and shapes that cannot be."""

import pytest

from arch.errors import ShapeError
from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import Offsets, Pool, Weighted
from tilewright.networks.totals import count


def builder(height: int = 8, width: int = 6, channels: int = 4) -> Builder:
    return Builder("net", FeatureMap(height=height, width=width, channels=channels))


def test_names_count_within_scopes() -> None:
    net = builder()
    x = net.conv(net.input, 4)
    for _ in range(2):
        with net.scope("stage"):
            with net.scope("block"):
                x = net.conv(x, 4, then=net.relu)
            x = net.conv(x, 4)
    names = [node.name for node in net.graph(x).nodes]
    assert names == [
        "conv1",
        "stage1.block1.conv1",
        "stage1.block1.relu1",
        "stage1.conv1",
        "stage2.block1.conv1",
        "stage2.block1.relu1",
        "stage2.conv1",
    ]


def test_every_tensor_has_its_readers() -> None:
    net = builder()
    x = net.relu(net.input)
    y = net.add(x, x)
    readers = net.graph(y).readers()
    assert {name: [node.name for node in found] for name, found in readers.items()} == {
        "input": ["relu1"],
        "relu1": ["add1"],
        "add1": [],
    }


@pytest.mark.parametrize("kernel", [1, 3, (1, 7), (5, 3)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_keeps_the_size_unless_given(kernel: int | tuple[int, int], dilation: int) -> None:
    net = builder(height=16, width=16)
    x = net.conv(net.input, 5, kernel, dilation=dilation)
    assert (x.shape.height, x.shape.width, x.shape.channels) == (16, 16, 5)


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 3)])
def test_ceil_pools_cover_every_pixel(size: int, kernel: int, stride: int) -> None:
    net = builder(height=size, width=size)
    x = net.max_pool(net.input, kernel, stride, ceil=True)
    (node,) = net.graph(x).nodes
    assert isinstance(node, Pool)
    assert x.shape.height == -(-(size - kernel) // stride) + 1
    # Every window begins on the map: none sees padding alone.
    assert (x.shape.height - 1) * stride < size
    assert node.shape.window.padding[:2] == (0, 0)


def test_parameters_count_offsets() -> None:
    net = builder(height=1, width=1, channels=4)
    x = net.conv(net.input, 3, offsets=Offsets.NONE)
    x = net.conv(x, 3, offsets=Offsets.BIAS)
    x = net.conv(x, 3, offsets=Offsets.NORM)
    x = net.linear(net.scale(x), 2)
    counted = count(net.graph(x))
    assert (counted.conv_weights, counted.fc_weights, counted.scale_weights) == (30, 6, 3)
    assert counted.parameters == 30 + (0 + 3 + 6) + (3 + 3) + (6 + 2)
    assert (counted.weights, counted.macs) == (36, 36)


def test_fully_connected_layers_flatten() -> None:
    net = builder()
    x = net.linear(net.input, 7)
    (node,) = net.graph(x).nodes
    assert isinstance(node, Weighted)
    assert node.shape.reduction == 8 * 6 * 4
    assert x.shape == FeatureMap(height=1, width=1, channels=7)


def test_a_second_operand_must_fit() -> None:
    net = builder()
    with pytest.raises(ShapeError, match=r"^the second operand must be .* or one pixel of it, got"):
        net.add(net.input, net.conv(net.input, 5))
    assert net.multiply(net.input, net.global_average_pool(net.input)).shape == net.input.shape


def test_maps_of_two_sizes_do_not_join() -> None:
    net = builder()
    with pytest.raises(ShapeError, match=r"^maps to concatenate must have one height and width"):
        net.concat(net.input, net.max_pool(net.input, 2, 2))


def test_groups_of_a_shuffle_must_divide() -> None:
    net = builder()
    with pytest.raises(ShapeError, match=r"^a shuffle's groups must divide its 4 channels, got 3$"):
        net.shuffle(net.input, 3)
