"""The formula for layers without the array, against the optimum that the exact model proves, and
its quick bound."""

from collections.abc import Iterator
from itertools import product
from statistics import mean

import numpy as np
import pytest

from arch.config import ceil_div
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from arch.mapping import Order
from arch.presets import PRESETS
from compiler.conv_cost import ConvWork
from compiler.fusion import LayerShape, Operand
from compiler.map_cost import MapWork
from compiler.passes import run_passes
from compiler.place import choose_mapping
from compiler.search import MappingSearch
from compiler.tile_cost import Counts, Room, Tile, Work
from sim.analytical.objective import Goal, Objective
from sim.network import Add, AveragePool, Conv, Layer, MaxPool, Multiply, Table, TensorSpec
from tests.support.machine_layers import compile_alone, network_of

Size = tuple[int, int, int]

CLAMP = (-128, 127)


def spec(name: str, size: Size) -> TensorSpec:
    return TensorSpec(name=name, shape=fmap(size), signed=True, scale=np.float32(1), zero_point=0)


def fmap(size: Size) -> FeatureMap:
    height, width, channels = size
    return FeatureMap(height=height, width=width, channels=channels)


def window(size: Size, kernel: int, stride: int, padding: int = 0) -> PoolShape:
    sides = Window(kernel=(kernel, kernel), stride=(stride, stride), padding=(padding,) * 4)
    return PoolShape(ifmap=fmap(size), window=sides)


def output(shape: PoolShape) -> TensorSpec:
    return spec("y", (shape.ofmap.height, shape.ofmap.width, shape.ofmap.channels))


def maximum(size: Size, kernel: int, stride: int, padding: int = 0) -> Layer:
    shape = window(size, kernel, stride, padding)
    return MaxPool(
        name="max",
        input=spec("x", size),
        output=output(shape),
        shape=shape,
        multiplier=np.float32(1),
        clamp=CLAMP,
    )


def average(size: Size, kernel: int, stride: int, padding: int = 0) -> Layer:
    shape = window(size, kernel, stride, padding)
    return AveragePool(
        name="average",
        input=spec("x", size),
        output=output(shape),
        shape=shape,
        include_padding=False,
        clamp=CLAMP,
    )


def added(size: Size) -> Layer:
    x, other, y = (spec(name, size) for name in ("x", "other", "y"))
    return Add(
        name="add",
        input=x,
        other=other,
        output=y,
        multiplier=1 << 20,
        other_multiplier=1 << 20,
        shift=21,
        clamp=CLAMP,
    )


def scaled(size: Size) -> Layer:
    x, y, other = spec("x", size), spec("y", size), spec("other", (1, 1, size[2]))
    return Multiply(
        name="scale", input=x, other=other, output=y, multiplier=1 << 20, shift=21, clamp=CLAMP
    )


def looked_up(size: Size) -> Layer:
    table = np.zeros(256, np.uint8)
    return Table(name="table", input=spec("x", size), output=spec("y", size), table=table)


def depthwise(size: Size, stride: int) -> Layer:
    sides = Window(kernel=(3, 3), stride=(stride, stride), padding=(1, 1, 1, 1))
    channels = size[2]
    shape = ConvShape(ifmap=fmap(size), out_channels=channels, window=sides, groups=channels)
    return Conv(
        name="depthwise",
        input=spec("x", size),
        output=spec("y", (shape.ofmap.height, shape.ofmap.width, channels)),
        shape=shape,
        weights=np.zeros((channels, 3, 3, 1), np.int8),
        bias=np.zeros(channels, np.int32),
        multiplier=np.ones(channels, np.float32),
        clamp=CLAMP,
    )


LAYERS = (
    maximum((13, 13, 256), 3, 2),
    maximum((24, 24, 256), 2, 2),
    maximum((14, 14, 480), 3, 1, 1),
    maximum((15, 20, 7), 2, 2),
    average((7, 7, 512), 7, 1),
    average((14, 14, 176), 3, 2, 1),
    average((8, 8, 96), 3, 1, 1),
    average((10, 10, 16), 2, 2),
    added((14, 14, 88)),
    added((7, 7, 512)),
    added((1, 64, 64)),
    added((33, 17, 5)),
    scaled((14, 14, 64)),
    scaled((7, 7, 480)),
    looked_up((28, 28, 144)),
    looked_up((1, 197, 96)),
    looked_up((1, 1, 120)),
)
DEPTHWISE = (depthwise((28, 28, 128), 2), depthwise((14, 14, 256), 2), depthwise((8, 8, 32), 1))
"""Where the post-processor has multipliers for them."""


@pytest.mark.parametrize(
    ("name", "layers"),
    [("gemmini16", (*LAYERS, *DEPTHWISE)), ("small", LAYERS), ("tiny", LAYERS)],
)
def test_choices_are_near_the_optimum(name: str, layers: tuple[Layer, ...]) -> None:
    """Within 1 % on average, and 5 % each."""
    search = MappingSearch(Goal(objective=Objective.LATENCY))
    found = {}
    for number, layer in enumerate(layers):
        network = network_of(layer)
        plan = run_passes(network, PRESETS[name], (), owns_input=True)
        assert plan.layers[0].conv is None
        best = search.best(plan, 0, choose_mapping(plan, 0))
        assert best.optimal
        chosen = compile_alone(network, PRESETS[name]).counters["cycles"]
        found[number, layer.name, layer.input.shape] = chosen / best.counters["cycles"]
    assert min(found.values()) >= 1
    assert max(found.values()) <= 1.05, found
    assert mean(found.values()) <= 1.01, found


def tiles(work: Work, height: int, width: int) -> Iterator[Tile]:
    """Tiles of some sizes, each in both orders."""
    groups = len(work.sizes)
    for size in product((1, 2, 5, height), (1, 3, width), (1, 2, groups), Order):
        rows, columns, number, order = size
        if rows <= height and columns <= width and number <= groups:
            yield Tile(rows, columns, number, sum(work.sizes[:number]), order)


def assert_bounded(work: Work) -> None:
    ofmap = work.shape.window.ofmap
    for tile in tiles(work, ofmap.height, ofmap.width):
        for inputs, outputs in product((1, 2), (1, 2)):
            counts = Counts(inputs=inputs, outputs=outputs)
            assert work.least_cycles(tile) <= work.cycles(tile, counts), (tile, counts)


@pytest.mark.parametrize("on_chip", [False, True])
@pytest.mark.parametrize("rate", [1, 4])
def test_the_bound_is_below_the_price(rate: int, on_chip: bool) -> None:
    """With commands that take longer to fetch than to run, too."""
    config = PRESETS["tiny"].model_copy(update={"memory_bytes_per_cycle": rate})
    room = Room(
        first_bank=0,
        banks=config.activation_banks,
        input_pitch=20 if on_chip else None,
        other_on_chip=on_chip,
        output_on_chip=on_chip,
        output_in_memory=not on_chip,
    )
    shapes = window((13, 9, 20), 3, 2, 1), window((6, 11, 20), 1, 1)
    for shape, operand in product(shapes, Operand):
        assert_bounded(MapWork(LayerShape(conv=None, window=shape, operand=operand), room, config))
        sides = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
        conv = ConvShape(ifmap=shape.ifmap, out_channels=20, window=sides)
        fused = LayerShape(conv=conv, window=shape, operand=operand)
        for block in (20, ceil_div(20, 2)):
            assert_bounded(ConvWork(fused, conv, room, block, config))
