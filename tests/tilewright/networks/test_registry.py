"""The registry: every network at its two sizes, names and sizes that are refused, the page."""

from pathlib import Path

import pytest

from arch.errors import ModelError, ShapeError
from tilewright.networks.nodes import Weighted
from tilewright.networks.registry import NETWORKS, build, totals

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", NETWORKS)
def test_graphs_hang_together(name: str) -> None:
    entry = NETWORKS[name]
    for size in (None, entry.smallest):
        graph = build(name, size=size)
        made = {graph.input.name}
        for node in graph.nodes:
            assert made.issuperset(tensor.name for tensor in node.inputs)
            assert node.output.name == node.name not in made
            made.add(node.name)
        unread = [name for name, found in graph.readers().items() if not found]
        assert unread == [graph.output.name]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_fit_their_maps(name: str) -> None:
    for node in build(name).nodes:
        if isinstance(node, Weighted):
            (x,) = node.inputs
            assert node.shape.ifmap.elements == x.shape.elements
            assert node.shape.ofmap == node.output.shape


@pytest.mark.parametrize("name", [name for name in NETWORKS if name[-1].isdigit()])
def test_size_does_not_change_weights_of_convolutions(name: str) -> None:
    smallest = NETWORKS[name].smallest
    weights = sum(
        node.shape.weights
        for node in build(name, size=smallest).nodes
        if isinstance(node, Weighted) and node.role.value == "conv"
    )
    assert weights == totals(NETWORKS[name]).conv_weights


def test_names_are_told() -> None:
    with pytest.raises(
        ModelError, match=r"^a built-in network must be one of lenet-5, .*, got 'x'"
    ):
        build("x")


def test_sizes_that_are_too_small_are_told() -> None:
    with pytest.raises(
        ShapeError,
        match=r"^the input of vgg-16 must be at least 32x32, got 31x32; give a larger size$",
    ):
        build("vgg-16", size=(31, 32))
