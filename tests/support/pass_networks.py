"""Small networks for the compiler's passes, and what their programs do."""

import numpy as np

from arch.config import AcceleratorConfig
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from arch.presets import PRESETS
from compiler.passes import PASSES
from compiler.place import place_network
from compiler.program import Program
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.multipliers import add_multipliers, product_multiplier
from sim.network import (
    Add,
    AveragePool,
    Bytes,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Table,
    TensorSpec,
)

SMALL = PRESETS["small"]
NAMES = tuple(each.name for each in PASSES)
SCALE = np.float32(0.5)


def spec(name: str, shape: FeatureMap, *, zero_point: int = 3) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, signed=True, scale=SCALE, zero_point=zero_point)


IMAGE = spec("image", FeatureMap(height=12, width=10, channels=16))


def conv(
    name: str,
    source: TensorSpec,
    channels: int = 16,
    *,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    clamp: tuple[int, int] = (-128, 127),
) -> Conv:
    window = Window(kernel=(kernel, kernel), stride=(stride, stride), padding=(kernel // 2,) * 4)
    shape = ConvShape(ifmap=source.shape, out_channels=channels, window=window, groups=groups)
    rng = np.random.default_rng(sum(map(ord, name)))
    return Conv(
        name=name,
        input=source,
        output=spec(name, shape.ofmap, zero_point=-5),
        shape=shape,
        weights=rng.integers(-128, 127, (channels, kernel, kernel, shape.group_inputs), np.int8),
        bias=rng.integers(-1000, 1000, channels).astype(np.int32),
        multiplier=rng.uniform(0.0005, 0.001, channels).astype(np.float32),
        clamp=clamp,
    )


def pool(
    name: str, source: TensorSpec, *, multiplier: float = 1.0, zero_point: int = -5
) -> MaxPool:
    window = Window(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    shape = PoolShape(ifmap=source.shape, window=window)
    return MaxPool(
        name=name,
        input=source,
        output=spec(name, shape.ofmap, zero_point=zero_point),
        shape=shape,
        multiplier=np.float32(multiplier),
        clamp=(-100, 110),
    )


def add(name: str, first: TensorSpec, second: TensorSpec) -> Add:
    # Unlike multipliers, so that swapped operands would show.
    multiplier, other_multiplier, shift = add_multipliers(SCALE, np.float32(0.2), SCALE)
    return Add(
        name=name,
        input=first,
        other=second,
        output=spec(name, first.shape, zero_point=7),
        multiplier=multiplier,
        other_multiplier=other_multiplier,
        shift=shift,
        clamp=(7, 127),
    )


def multiply(name: str, first: TensorSpec, second: TensorSpec) -> Multiply:
    multiplier, shift = product_multiplier(SCALE, np.float32(0.05), SCALE)
    return Multiply(
        name=name,
        input=first,
        other=second,
        output=spec(name, first.shape, zero_point=2),
        multiplier=multiplier,
        shift=shift,
        clamp=(-128, 127),
    )


def table(name: str, source: TensorSpec) -> Table:
    values = np.random.default_rng(0).permutation(256).astype(np.uint8)
    return Table(name=name, input=source, output=spec(name, source.shape), table=values)


def average(name: str, source: TensorSpec) -> AveragePool:
    window = Window(kernel=(source.shape.height, source.shape.width))
    shape = PoolShape(ifmap=source.shape, window=window)
    return AveragePool(
        name=name,
        input=source,
        output=spec(name, shape.ofmap),
        shape=shape,
        include_padding=False,
        clamp=(-128, 127),
    )


def network(*layers: Layer, also: tuple[TensorSpec, ...] = ()) -> Network:
    """A network of ``layers``, the first of which reads the image."""
    outputs = (*also, layers[-1].output)
    return Network(name="n", input=layers[0].input, layers=layers, outputs=outputs)


def image(made: Network) -> Bytes:
    shape = made.input.shape
    size = shape.height, shape.width, shape.channels
    return np.random.default_rng(1).integers(-128, 127, size, np.int8)


def outputs(program: Program) -> dict[str, np.ndarray]:
    memory = program.image.copy()
    program.write_map(memory, program.network.input, image(program.network))
    storage = Storage(program.config, memory)
    for command in program.commands:
        storage.apply(command)
    return {spec.name: program.read_map(memory, spec) for spec in program.network.outputs}


def assert_golden(program: Program) -> None:
    golden = run_network(program.network, image(program.network))
    for name, found in outputs(program).items():
        assert np.array_equal(found, golden[name]), name


def kinds(program: Program) -> list[str]:
    return [placed.layer.kind for placed in program.layers]


def compiled(made: Network, *without: str, config: AcceleratorConfig = SMALL) -> Program:
    """The program of ``made``, whose outputs are golden."""
    program = place_network(made, config, without=without)
    assert_golden(program)
    return program


def cost(program: Program) -> tuple[int, int]:
    """Cycles and bytes moved."""
    counters = TimelineSimulator(program.config).run(program.commands).counters
    beats = counters["memory_read_beats"] + counters["memory_write_beats"]
    return counters["cycles"], beats * program.config.bus_bytes
