"""Weights and MACs of the built-in networks against what is printed about them."""

from functools import partial

import pytest

from arch.layers import ConvShape, FeatureMap, Window
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Figure, NetworkEntry, Quantity, image
from tilewright.networks.nodes import Elementwise, NetworkGraph, Operation, Pool, PoolKind, Weighted
from tilewright.networks.parallel import googlenet
from tilewright.networks.registry import NETWORKS, build, totals
from tilewright.networks.totals import Totals, count

FIGURES = [
    pytest.param(entry, figure, id=f"{entry.name}-{figure.quantity}-{figure.printed}")
    for entry in NETWORKS.values()
    for figure in entry.figures
]

# The totals as taught in courses on hardware for neural networks: a second copy, on purpose.
TAUGHT = {
    "lenet-5": ("2.6 k", "283 k", "58 k", "60 k", "341 k"),
    "alexnet": ("2.3 M", "666 M", "58.6 M", "61 M", "724 M"),
    "vgg-16": ("14.7 M", "15.3 G", "124 M", "138 M", "15.5 G"),
    "googlenet": ("6.0 M", "1.43 G", "1 M", "7 M", "1.43 G"),
    "resnet-50": ("23.5 M", "3.86 G", "2 M", "25.5 M", "3.9 G"),
    "mobilenet-v1": (None, None, None, "4.2 M", "575 M"),
    "mobilenet-v2": (None, None, None, "3.4 M", "300 M"),
    "resnet-18": (None, None, None, None, "1.8 G"),
    "resnet-34": (None, None, None, None, "3.6 G"),
    "resnet-101": (None, None, None, None, "7.6 G"),
    "resnet-152": (None, None, None, None, "11.3 G"),
}
QUANTITIES = (
    Quantity.CONV_WEIGHTS,
    Quantity.CONV_MACS,
    Quantity.FC_WEIGHTS,
    Quantity.WEIGHTS,
    Quantity.MACS,
)
# Where the layer shapes give another count; each reason has a test below or stands in the page.
EXCEPTIONS = {
    ("lenet-5", Quantity.CONV_MACS): 357_600,
    ("lenet-5", Quantity.FC_WEIGHTS): 58_920,
    ("lenet-5", Quantity.WEIGHTS): 61_470,
    ("lenet-5", Quantity.MACS): 416_520,
    ("googlenet", Quantity.CONV_MACS): 1_581_647_872,
    ("googlenet", Quantity.MACS): 1_582_671_872,
    ("mobilenet-v1", Quantity.MACS): 568_740_352,
    ("mobilenet-v2", Quantity.WEIGHTS): 3_469_760,
    ("mobilenet-v2", Quantity.MACS): 300_774_272,
    ("resnet-34", Quantity.MACS): 3_663_761_408,
}


def computed(counted: Totals, quantity: Quantity) -> int:
    value: int = getattr(counted, quantity)
    return value


@pytest.mark.parametrize(("entry", "figure"), FIGURES)
def test_printed_figures(entry: NetworkEntry, figure: Figure) -> None:
    # A figure agrees to its last digit, or says why not and does not.
    value = computed(totals(entry), figure.quantity)
    assert figure.agrees(value) == (not figure.why), f"{value:,} from the shapes"


@pytest.mark.parametrize("name", TAUGHT)
def test_taught_totals(name: str) -> None:
    counted = totals(NETWORKS[name])
    for quantity, printed in zip(QUANTITIES, TAUGHT[name], strict=True):
        if printed is None:
            continue
        value = computed(counted, quantity)
        agrees = Figure(quantity=quantity, printed=printed, source="taught").agrees(value)
        exception = EXCEPTIONS.get((name, quantity))
        assert (exception is None) == agrees, (quantity, printed, value)
        assert exception in (None, value)


def test_exceptions_are_explained_in_the_registry() -> None:
    explained = {
        (entry.name, figure.quantity)
        for entry in NETWORKS.values()
        for figure in entry.figures
        if figure.why
    }
    assert set(EXCEPTIONS) <= explained


@pytest.mark.parametrize(
    ("printed", "inside", "outside"),
    [
        ("15.3 G", 15_349_999_999, 15_350_000_001),
        ("283 k", 282_500, 282_499),
        ("25,557,032", 25_557_032, 25_557_033),
    ],
)
def test_a_figure_reaches_half_a_unit_of_its_last_digit(
    printed: str, inside: int, outside: int
) -> None:
    figure = Figure(quantity=Quantity.MACS, printed=printed, source="")
    assert (figure.agrees(inside), figure.agrees(outside)) == (True, False)


def test_lenet_as_its_authors_count() -> None:
    # LeCun et al. 1998, section II-B: connections of C1, S2, C3, S4, C5, F6 and the output layer.
    c1, c3 = 28 * 28 * 6 * 26, 10 * 10 * (60 * 25 + 16)
    s2, s4 = 14 * 14 * 6 * 5, 5 * 5 * 16 * 5
    c5, f6, output = 120 * 401, 84 * 121, 84 * 10
    assert (c1, s2, c3, s4, c5, f6) == (122_304, 5_880, 151_600, 2_000, 48_120, 10_164)
    total = c1 + s2 + c3 + s4 + c5 + f6 + output
    assert total == 340_908
    # The taught figures are these: 341 k, 58 k, and what remains, 283 k.
    assert (c5 + f6, total - c5 - f6) == (58_284, 282_624)
    # The taught 60 k are its trainable parameters, without the output layer.
    assert 6 * 26 + 6 * 2 + (60 * 25 + 16) + 16 * 2 + c5 + f6 == 60_000


def test_googlenet_with_pools_that_round_down() -> None:
    net = Builder("googlenet", image(224))
    counted = count(net.graph(partial(googlenet, ceil=False)(net)))
    assert counted.conv_macs == 1_430_532_352
    assert counted.weights == totals(NETWORKS["googlenet"]).weights


def test_resnet_34_with_identity_shortcuts() -> None:
    graph = build("resnet-34")
    projections = sum(
        node.shape.macs
        for node in graph.nodes
        if isinstance(node, Weighted)
        and node.shape.window.kernel == (1, 1)
        and "block" in node.name
    )
    macs = count(graph).macs - projections
    assert projections == 19_267_584
    assert Figure(quantity=Quantity.MACS, printed="3.6 G", source="").agrees(macs)


def gate_products(graph: NetworkGraph) -> int:
    """Products of each pixel with a gate of its channel."""
    return sum(
        node.output.shape.elements
        for node in graph.nodes
        if isinstance(node, Elementwise)
        and node.operation is Operation.MULTIPLY
        and node.inputs[1].shape != node.inputs[0].shape
    )


def test_se_resnet_50_with_pooling_and_gating() -> None:
    graph = build("se-resnet-50")
    pools = [node for node in graph.nodes if isinstance(node, Pool)]
    pooled = sum(n.shape.ifmap.elements for n in pools[1:-1] if n.kind is PoolKind.AVERAGE)
    assert pooled == gate_products(graph) == 5_519_360
    macs = count(graph).macs + pooled + gate_products(graph)
    assert Figure(quantity=Quantity.MACS, printed="3.87 G", source="").agrees(macs)


def test_sknet_50_with_its_products() -> None:
    graph = build("sknet-50")
    macs = count(graph).macs + gate_products(graph)
    assert Figure(quantity=Quantity.MACS, printed="4.47 G", source="").agrees(macs)


def test_separable_convolution_as_taught() -> None:
    # 64x64 pixels, 3 to 16 channels, 3x3 taps.
    x = FeatureMap(height=64, width=64, channels=3)
    window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    full = ConvShape(ifmap=x, out_channels=16, window=window)
    depthwise = ConvShape(ifmap=x, out_channels=3, window=window, groups=3)
    pointwise = ConvShape(ifmap=x, out_channels=16, window=Window(kernel=(1, 1)))
    assert (full.macs, depthwise.macs + pointwise.macs) == (1_769_472, 307_200)

    net = Builder("separable", x)
    assert count(net.graph(net.separable(net.input, 16, 3))).macs == 307_200
    net = Builder("full", x)
    assert count(net.graph(net.conv(net.input, 16, 3))).macs == 1_769_472
