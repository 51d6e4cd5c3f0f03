"""Targets are computed from the layers that they name."""

import pytest

from tilewright.bench import targets
from tilewright.bench.targets import Target, schedule
from tilewright.timing import time_schedule


def test_utilization_of_some_layers_and_of_all() -> None:
    timing = time_schedule(schedule("lenet-5"))
    whole = targets._used("x", "lenet-5", 10, lambda _: True)
    assert whole.value == pytest.approx(100 * timing.macs / (256 * timing.cycles))
    assert whole.what == f"x: MACs / (PEs x cycles), {timing.cycles:,} cycles"
    convolutions = [layer for layer in timing.layers if layer.name in ("conv1", "conv2")]
    some = targets._used("x", "lenet-5", 10, targets._is_convolution)
    cycles = sum(layer.cycles for layer in convolutions)
    assert some.value == pytest.approx(
        100 * sum(layer.macs for layer in convolutions) / (256 * cycles)
    )


def test_the_slowest_fully_connected_layer() -> None:
    layers = [each for each in time_schedule(schedule("lenet-5")).layers if each.name[:2] == "fc"]
    found = targets._bandwidth("lenet-5")
    least = min(each.bounds.memory / each.cycles for each in layers)
    assert found.value == pytest.approx(100 * least)


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(1.0, False, True), (0.9, False, False), (0.9, True, True)]
)
def test_verdicts(value: float, at_most: bool, met: bool) -> None:
    assert Target(what="x", value=value, target=1.0, at_most=at_most).met is met


def test_layers_of_a_block() -> None:
    assert targets.block_layers(schedule("resnet-8"), "block1") == ["block1.conv1", "block1.conv2"]
