"""The compiler's passes on small networks made for them: what they fuse, what they must not, and
the same bytes, fewer cycles and less traffic than without."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from arch.commands import Engine
from arch.errors import InputError
from arch.layers import FeatureMap
from arch.mapping import Mapping
from arch.presets import PRESETS
from compiler.fusion import FusedLayer
from compiler.place import place_network
from compiler.tiling import map_layer
from sim.network import (
    Alias,
    Concat,
    Layer,
    Network,
    Slice,
)
from tests.support.machine_layers import compile_alone
from tests.support.pass_networks import (
    IMAGE,
    NAMES,
    SMALL,
    add,
    average,
    compiled,
    conv,
    cost,
    kinds,
    multiply,
    network,
    outputs,
    pool,
    spec,
    table,
)


def others(name: str) -> tuple[str, ...]:
    """All passes but ``name``."""
    return tuple(each for each in NAMES if each != name)


def pooled() -> Network:
    first = conv("c", IMAGE, 24, clamp=(-5, 60))
    return network(first, pool("p", first.output))


def residual() -> Network:
    first = conv("c", IMAGE)
    return network(first, add("a", IMAGE, first.output))


def looked_up() -> Network:
    first = conv("c", IMAGE, 24)
    return network(first, table("t", first.output))


def followed() -> Network:
    first = conv("c", IMAGE, 24)
    return network(first, conv("d", first.output))


def strided() -> Network:
    return network(conv("c", IMAGE, kernel=1, stride=2))


def gated_by_itself() -> Network:
    """x * f(x), and another function of that."""
    first = table("t", IMAGE)
    second = multiply("m", IMAGE, first.output)
    return network(first, second, table("u", second.output))


def joined() -> Network:
    first, second = conv("c", IMAGE), conv("d", IMAGE, 8)
    second = replace(second, output=replace(first.output, name="d", shape=second.output.shape))
    whole = replace(first.output, name="cd", shape=replace(first.output.shape, channels=24))
    joint = Concat(name="j", inputs=(first.output, second.output), output=whole)
    return network(first, second, joint, conv("e", whole))


def test_functions_are_joined_as_far_as_nothing_else_reads_them() -> None:
    only = others("join-functions")
    first = table("t", IMAGE)
    product = multiply("m", IMAGE, first.output)
    # The first function is an output, and the second one is read by a convolution as well.
    made = network(first, product, also=(first.output,))
    assert kinds(compiled(made, *only)) == ["Table", "Multiply"]
    last = table("u", product.output)
    made = network(first, product, last, conv("c", product.output), also=(last.output,))
    assert kinds(compiled(made, *only)) == ["Table", "Table", "Conv"]
    # Two maps are no function of one number.
    other = conv("c", IMAGE)
    made = network(first, other, multiply("m", other.output, first.output))
    assert kinds(compiled(made, *only)) == ["Table", "Conv", "Multiply"]


@pytest.mark.parametrize(
    ("name", "made", "fused"),
    [
        ("fuse-pool", pooled, ["Conv+MaxPool"]),
        ("fuse-add", residual, ["Conv+Add"]),
        ("fuse-table", looked_up, ["Conv+Table"]),
        ("keep-on-chip", followed, ["Conv", "Conv"]),
        ("join-functions", gated_by_itself, ["Table"]),
        ("skip-pixels", strided, ["Conv"]),
        ("share-maps", joined, ["Conv", "Conv", "Conv"]),
    ],
)
def test_a_pass_saves_cycles_and_traffic(
    name: str, made: Callable[[], Network], fused: list[str]
) -> None:
    """Alone, each pass against none."""
    with_it, without = compiled(made(), *others(name)), compiled(made(), *NAMES)
    assert kinds(with_it) == fused
    assert with_it.network.outputs == without.network.outputs
    for each in with_it.network.outputs:
        assert np.array_equal(outputs(with_it)[each.name], outputs(without)[each.name])
    cycles, traffic = cost(with_it)
    assert cycles < cost(without)[0]
    assert traffic < cost(without)[1]


@pytest.mark.parametrize("name", ["tiny", "small", "gemmini16"])
def test_a_whole_pipeline(name: str) -> None:
    config = PRESETS[name]
    first = conv("c", IMAGE)
    second = pool("p", first.output)
    third = conv("d", second.output, kernel=1)
    fourth = add("a", third.output, second.output)
    fifth = table("t", fourth.output)
    pixel = average("g", fifth.output)
    last = multiply("m", fifth.output, pixel.output)
    program = compiled(network(first, second, third, fourth, fifth, pixel, last), config=config)
    # On the tiny one, windows that overlap would cost more sums than the pooling's map.
    start = ["Conv", "MaxPool"] if config.name == "tiny" else ["Conv+MaxPool"]
    assert kinds(program) == [*start, "Conv+Add+Table", "AveragePool", "Multiply"]


def test_a_map_that_is_an_output_is_not_fused_away() -> None:
    first = conv("c", IMAGE)
    made = network(first, pool("p", first.output), also=(first.output,))
    assert kinds(compiled(made)) == ["Conv", "MaxPool"]


def test_a_map_with_two_readers_is_not_fused_away() -> None:
    first = conv("c", IMAGE)
    second, third = table("t", first.output), conv("d", first.output)
    made = network(first, second, third, add("a", second.output, third.output))
    assert kinds(compiled(made)) == ["Conv", "Table", "Conv+Add"]


def test_a_map_added_to_itself_is_not_fused_away() -> None:
    first = conv("c", IMAGE)
    assert kinds(compiled(network(first, add("a", first.output, first.output)))) == ["Conv", "Add"]


def test_a_reshaped_map_is_not_fused_away() -> None:
    first = conv("c", IMAGE)
    shape = FeatureMap(height=1, width=1, channels=first.output.shape.elements)
    flat = Alias(name="f", input=first.output, output=replace(first.output, name="f", shape=shape))
    assert kinds(compiled(network(first, flat, table("t", flat.output)))) == ["Conv", "Table"]


def test_pooling_to_another_scale_is_not_fused() -> None:
    """Its rounding comes on top of the convolution's."""
    first = conv("c", IMAGE)
    made = network(first, pool("p", first.output, multiplier=0.7))
    assert kinds(compiled(made)) == ["Conv", "MaxPool"]


@pytest.mark.parametrize("zero_point", [-100, -5, 90])
def test_pooling_to_another_zero_point_is(zero_point: int) -> None:
    first = conv("c", IMAGE, clamp=(-50, 100))
    made = network(first, pool("p", first.output, zero_point=zero_point))
    assert kinds(compiled(made)) == ["Conv+MaxPool"]


def test_averages_are_not_fused() -> None:
    first = conv("c", IMAGE)
    assert kinds(compiled(network(first, average("g", first.output)))) == ["Conv", "AveragePool"]


def test_of_two_operands_the_later_one_is_fused() -> None:
    first, second = conv("c", IMAGE), conv("d", IMAGE)
    for pair in ((first, second), (second, first)):
        program = compiled(network(first, second, add("a", pair[0].output, pair[1].output)))
        assert [placed.layer.name for placed in program.layers] == ["c", "d"]
        assert kinds(program) == ["Conv", "Conv+Add"]


def test_the_pixel_of_a_gate_is_not_the_fused_operand() -> None:
    pixel = average("g", IMAGE)
    gate = table("t", pixel.output)
    program = compiled(network(pixel, gate, multiply("m", IMAGE, gate.output)))
    assert kinds(program) == ["AveragePool+Table", "Multiply"]


def test_a_gated_convolution_is_one_layer() -> None:
    pixel, wide = average("g", IMAGE), conv("c", IMAGE)
    made = network(pixel, wide, multiply("m", wide.output, pixel.output))
    assert kinds(compiled(made)) == ["AveragePool", "Conv+Multiply"]


def test_a_map_on_chip_that_is_an_output_is_stored() -> None:
    first = conv("c", IMAGE)
    program = compiled(network(first, conv("d", first.output), also=(first.output,)))
    (resident,) = program.residents
    assert (resident.root, resident.first, resident.last, resident.in_memory) == ("c", 0, 1, True)


def test_a_map_on_chip_alone_is_not_in_memory() -> None:
    program = compiled(followed())
    (resident,) = program.residents
    assert not resident.in_memory
    assert set(program.maps) == {"image", "d"}


def test_what_no_longer_fits_is_read_from_memory_later() -> None:
    """A long shortcut: on chip for its first reader, stored for its last."""
    config = SMALL.model_copy(update={"activation_buffer_bytes": 8192})
    first = conv("c", IMAGE, 48)
    second = conv("d", first.output, 40)
    third = conv("e", second.output, 40)
    fourth = conv("f", third.output, 48)
    made = network(first, second, third, fourth, add("a", fourth.output, first.output))
    program = compiled(made, config=config)
    found = {each.root: each for each in program.residents}
    assert (found["c"].first, found["c"].last, found["c"].in_memory) == (0, 1, True)


def test_parts_of_a_concatenation_lie_side_by_side_on_chip() -> None:
    program = compiled(joined())
    assert [each.root for each in program.residents] == ["cd"]
    assert set(program.maps) == {"image", "e"}


def test_a_convolution_reads_a_slice_on_chip_in_place() -> None:
    first = conv("c", IMAGE, 24)
    shape = replace(first.output.shape, channels=8)
    part = replace(first.output, name="s", shape=shape)
    cut = Slice(name="s", input=first.output, output=part, start=(0, 0, 9))
    program = compiled(network(first, cut, conv("d", part)))
    assert kinds(program) == ["Conv", "Conv"]
    assert program.layers[1].mapping.inputs is None
    assert program.layers[1].mapping.channel_block == 24


def test_pixels_on_chip_are_skipped_in_place() -> None:
    first = conv("c", IMAGE, 24)
    program = compiled(network(first, conv("d", first.output, kernel=1, stride=2)))
    assert program.layers[1].mapping.channel_block == 48
    assert set(program.maps) == {"image", "d"}


def test_pixels_that_are_skipped_are_not_waited_for() -> None:
    """Behind the last pixel of the input, there is no pixel to leave out, but the output."""
    source = replace(IMAGE, shape=FeatureMap(height=7, width=7, channels=64))
    strided = network(conv("strided", source, kernel=1, stride=2))
    alone = compile_alone(strided, SMALL, lambda layer: replace(_mapped(layer), tile_height=1))
    loads = [each for each in alone.program.commands if each.engine is Engine.LOAD]
    assert len(loads) >= 4
    assert all(load["wait_store"] == 0 for load in loads)


def _mapped(layer: FusedLayer) -> Mapping:
    return map_layer(layer.name, layer.shape, SMALL).mapping


def test_a_wider_window_skips_no_pixels() -> None:
    program = compiled(network(conv("c", IMAGE, stride=2)))
    assert program.layers[0].layer.input is IMAGE


def test_residents_never_share_bytes_nor_do_two_readers_a_bank() -> None:
    config = PRESETS["tiny"]
    layers: list[Layer] = []
    source = spec("small", FeatureMap(height=6, width=5, channels=8))
    last = source
    for number in range(4):
        inner = conv(f"c{number}", last, 8)
        outer = conv(f"d{number}", inner.output, 8)
        total = add(f"a{number}", outer.output, last)
        layers += [inner, outer, total]
        last = total.output
    made = Network(name="n", input=source, layers=tuple(layers), outputs=(last,))
    program = place_network(made, config)
    assert len(program.residents) >= 4
    bank = config.activation_bank_bytes
    for index, placed in enumerate(program.layers):
        alive = [each for each in program.residents if each.lives(index)]
        spans = sorted((each.address, each.address + each.size) for each in alive)
        assert all(one[1] <= two[0] for one, two in pairwise(spans))
        banks = {
            each.root: set(range(each.address // bank, -(-(each.address + each.size) // bank)))
            for each in alive
        }
        layer = placed.layer
        assert layer.other is None or not (
            banks.get(layer.input.name, set()) & banks.get(layer.other.name, set())
        )


def test_an_unknown_pass_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        place_network(followed(), SMALL, without=["fuse-add", "fuse-conv"])
    assert str(caught.value) == (
        "a pass to leave out must be one of share-maps, join-functions, skip-pixels, pack-rows, "
        "fuse-depthwise, fuse-pool, fuse-add, fuse-table, keep-on-chip, got 'fuse-conv'"
    )
