"""Parts of a network between steps of the host: what they read, and where it lies."""

import numpy as np
import pytest

from arch.errors import CompileError
from arch.layers import FeatureMap, PoolShape, Window
from arch.presets import PRESETS
from compiler.parts import split_parts
from compiler.place import place_network
from compiler.schedule import HostTraffic, Schedule, schedule_network
from sim.golden.run import run_network
from sim.network import Alias, Concat, HostStep, Layer, MaxPool, Network, Slice, TensorSpec
from tests.support.host_models import identity_model
from tilewright.machines import CommandMachine

TINY = PRESETS["tiny"]


def spec(name: str, channels: int = 4, height: int = 3, width: int = 5) -> TensorSpec:
    shape = FeatureMap(height=height, width=width, channels=channels)
    return TensorSpec(name=name, shape=shape, signed=True, scale=np.float32(0.1), zero_point=0)


def pool(source: TensorSpec, target: TensorSpec) -> MaxPool:
    return MaxPool(
        name=f"to {target.name}",
        input=source,
        output=target,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=np.float32(1.5),
        clamp=source.limits,
    )


def host(source: TensorSpec, target: TensorSpec) -> HostStep:
    return HostStep(
        name=f"host {target.name}",
        input=source,
        output=target,
        operator="Softmax",
        model=identity_model(source),
    )


def network(*layers: Layer, outputs: tuple[TensorSpec, ...] = ()) -> Network:
    return Network(name="n", input=X, layers=layers, outputs=outputs or (layers[-1].output,))


def assert_golden(schedule: Schedule) -> None:
    """Every map in memory after a run is the golden model's."""
    image = np.random.default_rng(0).integers(-99, 99, (3, 5, 4)).astype(np.int8)
    golden = run_network(schedule.network, image)
    run = CommandMachine(schedule).run(image)
    assert len(run.parts) == len(schedule.programs)
    for name, found in run.maps.items():
        assert np.array_equal(found, golden[name]), name
    assert {each.name for each in schedule.network.outputs} <= golden.keys()


X, A, B, C, D = (spec(name) for name in "xabcd")


def test_without_the_host_there_is_one_part() -> None:
    whole = network(pool(X, A), pool(A, B))
    assert split_parts(whole) == [whole]
    schedule = schedule_network(whole, TINY)
    assert schedule.stages == (schedule.program,)
    assert schedule.host_traffic() == []


def test_a_step_between_two_parts() -> None:
    step = host(A, B)
    first, middle, second = split_parts(network(pool(X, A), step, pool(B, C)))
    assert middle is step
    assert isinstance(first, Network)
    assert isinstance(second, Network)
    assert (first.name, first.input, first.outputs) == ("n.1", X, (A,))
    assert (second.name, second.input, second.outputs) == ("n.2", B, (C,))
    schedule = schedule_network(network(pool(X, A), step, pool(B, C)), TINY)
    assert_golden(schedule)
    first_program, second_program = schedule.programs
    assert first_program.image is second_program.image
    assert first_program.program_address != second_program.program_address
    with pytest.raises(LookupError, match="n has 2 programs"):
        assert schedule.program


def test_what_the_host_moves() -> None:
    steps = network(host(X, A), pool(A, B), pool(B, C), host(C, D))
    schedule = schedule_network(steps, TINY)
    assert schedule.host_traffic() == [
        HostTraffic(
            name=f"host {name}",
            kind="Softmax",
            output="3x5x4",
            layers_before=before,
            read_bytes=60,
            written_bytes=60,
        )
        # The two poolings, functions of one byte, are one layer.
        for name, before in (("a", 0), ("d", 1))
    ]
    assert_golden(schedule)


def test_a_map_that_a_later_part_reads_too() -> None:
    joined = spec("joined", 8)
    parts = network(
        pool(X, A),
        pool(A, B),
        host(B, C),
        Concat(name="concat", inputs=(A, C), output=joined),
        pool(joined, spec("y", 8)),
    )
    first, _, second = split_parts(parts)
    assert isinstance(first, Network)
    assert isinstance(second, Network)
    assert {each.name for each in first.outputs} == {"a", "b"}
    assert {each.name for each in second.sources} == {"a", "c"}
    assert_golden(schedule_network(parts, TINY))


def test_an_input_that_a_later_part_reads_too() -> None:
    parts = network(
        pool(X, A),
        host(A, B),
        Concat(name="concat", inputs=(X, B), output=(joined := spec("joined", 8))),
        pool(joined, spec("y", 8)),
    )
    first, _, _ = split_parts(parts)
    assert isinstance(first, Network)
    assert {each.name for each in first.outputs} == {"x", "a"}
    assert_golden(schedule_network(parts, TINY))


def test_a_slice_that_a_later_part_reshapes() -> None:
    part, flat = spec("part", 2), spec("flat", 30, 1, 1)
    assert_golden(
        schedule_network(
            network(
                pool(X, A),
                Slice(name="slice", input=A, output=part, start=(0, 0, 1)),
                host(A, B),
                Alias(name="flatten", input=part, output=flat),
                pool(flat, spec("y", 30, 1, 1)),
                pool(B, C),
                outputs=(spec("y", 30, 1, 1), C),
            ),
            TINY,
        )
    )


def test_the_host_reads_a_part_of_a_map() -> None:
    part, other = spec("part", 2), spec("other", 2)
    assert_golden(
        schedule_network(
            network(
                Slice(name="slice", input=X, output=part, start=(0, 0, 2)),
                host(part, other),
                pool(other, spec("y", 2)),
            ),
            TINY,
        )
    )


def test_a_program_alone_has_no_place_for_the_host() -> None:
    with pytest.raises(LookupError, match="host b is a step of the host"):
        place_network(network(pool(X, A), host(A, B), pool(B, C)), TINY)


def test_nothing_for_the_machine_is_refused() -> None:
    part = spec("part", 2)
    steps = network(
        Slice(name="slice", input=X, output=part, start=(0, 0, 2)), host(part, spec("y", 2))
    )
    with pytest.raises(CompileError) as raised:
        schedule_network(steps, TINY)
    assert str(raised.value) == (
        "n: the machine must run at least one layer, got none; "
        "nothing is computed before the outputs"
    )
