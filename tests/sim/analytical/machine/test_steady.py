"""Steps that repeat are not walked, and cycles stay exact."""

from dataclasses import replace

import numpy as np

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.layers import ConvShape, FeatureMap, Window
from arch.mapping import Mapping
from arch.presets import PRESETS
from compiler.plan import Plan
from compiler.tiling import all_mappings
from sim.analytical.machine.steady import Walk
from sim.network import Conv, TensorSpec
from tests.support.machine_layers import Alone, Inside, compile_alone, compile_inside, network_of
from tests.support.machines import CONFIGS
from tests.support.random_mappings import random_mapping


def conv(shape: ConvShape, config: AcceleratorConfig) -> Conv:
    """A convolution without data."""

    def spec(name: str, fmap: FeatureMap) -> TensorSpec:
        return TensorSpec(
            name=name,
            shape=fmap,
            signed=True,
            scale=np.float32(1),
            zero_point=0,
            bits=config.activation_bits,
        )

    weights = (shape.out_channels, *shape.window.kernel, shape.group_inputs)
    return Conv(
        name="conv",
        input=spec("input", shape.ifmap),
        output=spec("output", shape.ofmap),
        shape=shape,
        weights=np.broadcast_to(np.int8(0), weights),
        bias=np.broadcast_to(np.int32(0), shape.out_channels),
        multiplier=np.broadcast_to(np.float32(1), shape.out_channels),
        clamp=(-128, 127),
    )


def walked(alone: Alone | Inside) -> int:
    """Commands that are timed one by one; the counters must be exact."""
    expected, found = alone.counters, alone.priced
    wrong = {each: (found[each], expected[each]) for each in found if found[each] != expected[each]}
    assert not wrong, alone.tiling.mapping
    walk = Walk(alone.tiling, alone.addresses, expected["commands"])
    walk.run()
    return walk.commands


def test_a_fully_connected_layer_repeats_soon() -> None:
    config = PRESETS["gemmini16"]
    shape = ConvShape(
        ifmap=FeatureMap(height=1, width=1, channels=9216),
        out_channels=4096,
        window=Window(kernel=(1, 1)),
    )
    alone = compile_alone(network_of(conv(shape, config)), config)
    assert walked(alone) < len(alone.program.commands) / 3


def drawn(seed: int) -> Alone:
    """A convolution of round sizes, under the compiler's mapping or a random one.

    Raises ``CompileError`` if it does not fit.
    """
    rng = np.random.default_rng(seed)
    config = CONFIGS[("tiny", "uneven16", "gemmini16", "small")[seed % 4]]
    height, width = rng.choice([1, 8, 16, 32], size=2).tolist()
    kernel = int(rng.choice([1, 1, 3]))
    shape = ConvShape(
        ifmap=FeatureMap(height=height, width=width, channels=int(rng.choice([16, 64]))),
        out_channels=int(rng.choice([64, 128])),
        window=Window(kernel=(kernel, kernel), padding=(kernel // 2,) * 4),
    )
    network = network_of(conv(shape, config))
    if rng.random() < 0.7:
        return compile_alone(network, config)
    return compile_alone(network, config, lambda layer: random_mapping(rng, layer, config))


def test_round_sizes_repeat() -> None:
    shorter = 0
    for seed in range(30):
        try:
            alone = drawn(seed)
            shorter += walked(alone) < len(alone.program.commands)
        except CompileError:
            continue
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert shorter >= 6, shorter


def kept_and_stored(seed: int) -> Inside:
    """A convolution whose output stays on chip for the next one and is the network's as well."""
    rng = np.random.default_rng(seed)
    config = PRESETS["gemmini16"]
    height, width = int(rng.choice([32, 64])), int(rng.choice([8, 16]))
    fmap = FeatureMap(height=height, width=width, channels=int(rng.choice([16, 32, 64])))
    shape = ConvShape(ifmap=fmap, out_channels=fmap.channels, window=Window(kernel=(1, 1)))
    first = conv(shape, config)
    second = replace(
        first, name="second", input=first.output, output=replace(first.output, name="last")
    )
    outputs = first.output, second.output
    network = replace(network_of(first, second), outputs=outputs)

    def choose(plan: Plan, index: int) -> Mapping:
        mappings = all_mappings(plan.layers[index].shape, plan.room(index), config)
        return mappings[int(rng.integers(len(mappings)))]

    return compile_inside(network, config, choose)[0]


def test_outputs_on_chip_and_in_memory_repeat() -> None:
    shorter = 0
    for seed in range(24):
        inside = kept_and_stored(seed)
        home = inside.tiling.layer.output_home
        assert (home.on_chip, home.in_memory) == (True, True)
        try:
            shorter += walked(inside) < inside.priced["commands"]
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert shorter >= 6, shorter
