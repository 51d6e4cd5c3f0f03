"""A mapping that does not fit is refused in one line that says where, and by how much."""

from dataclasses import replace
from typing import Any

import pytest

from arch.errors import MappingError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from arch.mapping import Mapping, Order, Slots
from arch.presets import PRESETS
from sim.analytical.machine.layer import Home, MachineLayer
from sim.analytical.machine.tiling import Tiling

CONFIG = PRESETS["tiny"]
CONV = ConvShape(
    ifmap=FeatureMap(height=8, width=8, channels=12),
    out_channels=8,
    window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
)
LAYER = MachineLayer(conv=CONV, window=PoolShape(ifmap=CONV.ofmap, window=Window(kernel=(1, 1))))
MAPPING = Mapping(
    tile_height=2,
    tile_width=8,
    tile_groups=2,
    channel_block=12,
    order=Order.PIXELS_OUTER,
    split=(3, 1, 9),
    window=(1, 1),
    inputs=Slots(first=0, banks=1, count=2),
    operands=None,
    outputs=Slots(first=1, banks=1, count=2),
)


def test_one_that_fits() -> None:
    assert Tiling(LAYER, MAPPING, CONFIG).tiles == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tile_height": 8},
            "a tile's sums must fit half of the accumulators: 64 entries of 32, short by 32; make "
            "the tile smaller",
        ),
        (
            {"inputs": Slots(first=0, banks=1, count=3)},
            "a tile of inputs must fit a slot of inputs: 384 bytes of 320, short by 64; make the "
            "tile smaller",
        ),
        (
            {"outputs": Slots(first=1, banks=1, count=9)},
            "a tile of outputs must fit a slot of outputs: 128 bytes of 64, short by 64; make the "
            "tile smaller",
        ),
        (
            {"outputs": Slots(first=3, banks=2, count=2)},
            "slots of outputs must lie in the 4 free banks of the activation buffer from bank 0 "
            "on, got banks 3 to 4",
        ),
        (
            {"inputs": Slots(first=0, banks=1, count=0)},
            "inputs must have at least 1 slot, got 0",
        ),
        (
            {"inputs": None},
            "inputs must have slots in the activation buffer, got none, and they are not on chip",
        ),
        (
            {"split": (3, 1, 8)},
            "the tiles of a box of weights must follow one another, got a split (3, 1, 8) of "
            "(3, 1, 9)",
        ),
        (
            {"window": (1, 2)},
            "a window must be taken whole to be priced, 1 x 1 positions, got 1 x 2; time the "
            "program instead",
        ),
        (
            {"channel_block": 13},
            "channel_block must be 1 to the layer's 12 input channels, got 13",
        ),
        (
            {"tile_groups": 0},
            "a tile's sizes and its weights' parts must be 1 to 4096, got (2, 8, 0, 3, 1, 9)",
        ),
        (
            {"depthwise": Slots(first=0, banks=1, count=2)},
            "a mapping must be without slots for a depthwise convolution in front to be priced, "
            "got 2; time the program instead",
        ),
    ],
)
def test_one_that_does_not(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MappingError) as error:
        Tiling(LAYER, replace(MAPPING, **changes), CONFIG)
    assert str(error.value) == message


ON_CHIP = Home(on_chip=True, in_memory=False)
INSIDE = replace(
    LAYER,
    input_home=replace(ON_CHIP, pitches=(20, 160)),
    output_home=replace(ON_CHIP, in_memory=True),
    free_banks=(2, 2),
)
"""The input is a part of a map of 20 channels on chip."""
NO_SLOTS = replace(MAPPING, channel_block=20, split=(3, 3, 3), inputs=None, outputs=None)


def test_maps_on_chip_that_fit() -> None:
    assert Tiling(INSIDE, NO_SLOTS, CONFIG).input_pitches == (20, 160)


@pytest.mark.parametrize(
    ("changes", "layer", "message"),
    [
        (
            {"inputs": Slots(first=2, banks=1, count=2)},
            INSIDE,
            "inputs must have no slots in the activation buffer if they are on chip as a whole, "
            "got 2",
        ),
        (
            {"outputs": Slots(first=2, banks=1, count=1)},
            INSIDE,
            "outputs must have no slots in the activation buffer if they are on chip as a whole, "
            "got 1",
        ),
        (
            {"channel_block": 12},
            INSIDE,
            "channel_block must be the 20 elements from pixel to pixel of an input on chip, got 12",
        ),
        (
            {"outputs": Slots(first=1, banks=1, count=2)},
            replace(INSIDE, output_home=Home()),
            "slots of outputs must lie in the 2 free banks of the activation buffer from bank 2 "
            "on, got banks 1 to 1",
        ),
    ],
)
def test_maps_on_chip_that_do_not(
    changes: dict[str, Any], layer: MachineLayer, message: str
) -> None:
    with pytest.raises(MappingError) as error:
        Tiling(layer, replace(NO_SLOTS, **changes), CONFIG)
    assert str(error.value) == message


def test_weights_that_do_not_fit() -> None:
    wide = replace(CONV, ifmap=replace(CONV.ifmap, channels=60))
    layer = MachineLayer(conv=wide, window=LAYER.window)
    mapping = replace(
        MAPPING,
        tile_height=1,
        channel_block=60,
        split=(3, 1, 45),
        inputs=Slots(first=0, banks=2, count=1),
        outputs=Slots(first=2, banks=1, count=1),
    )
    with pytest.raises(MappingError) as error:
        Tiling(layer, mapping, CONFIG)
    assert str(error.value) == (
        "a box of weights must fit the weight buffer: 2160 bytes of 2048, short by 112; make the "
        "tile smaller"
    )
