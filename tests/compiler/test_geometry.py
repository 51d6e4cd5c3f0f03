"""Halos row by row and column by column, and the blocks of input channels that sums are made of."""

from hypothesis import given
from hypothesis import strategies as st

from arch.layers import ConvShape, FeatureMap, Window
from arch.presets import PRESETS
from compiler.geometry import Span2D, column_groups, column_inputs, halo, halo_span, reductions

small = st.integers(1, 4)
pairs = st.tuples(small, small)


@given(kernel=pairs, stride=pairs, dilation=pairs, padding=st.tuples(*[st.integers(0, 3)] * 4),
       place=st.tuples(*[st.integers(0, 5)] * 2), size=pairs)  # fmt: skip
def test_a_halo_is_its_rows_and_its_columns(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    place: tuple[int, int],
    size: tuple[int, int],
) -> None:
    window = Window(kernel=kernel, stride=stride, dilation=dilation, padding=padding)
    ifmap = FeatureMap(height=13, width=11, channels=1)
    whole = halo(window, ifmap, Span2D(y=place[0], x=place[1], height=size[0], width=size[1]))
    rows = halo_span(window, 0, ifmap.height, place[0], size[0])
    columns = halo_span(window, 1, ifmap.width, place[1], size[1])
    assert (rows, columns) == ((whole.y, whole.height), (whole.x, whole.width))


@given(groups=st.integers(1, 40), inputs=small, outputs=st.integers(1, 10), units=st.integers(1, 9))
def test_blocks_of_whole_groups_of_columns(
    groups: int, inputs: int, outputs: int, units: int
) -> None:
    """Each group of columns finds its inputs in one block, and all blocks begin at multiples."""
    config = PRESETS["small"]
    shape = ConvShape(
        ifmap=FeatureMap(height=5, width=5, channels=groups * inputs),
        out_channels=groups * outputs,
        window=Window(kernel=(3, 2)),
        groups=groups,
    )
    block = units * column_inputs(shape, config.cols)
    for columns in column_groups(shape, config.cols):
        (found,) = reductions(shape, columns, block, config)
        assert (found.channel, found.channels) == (columns.input_channel, columns.input_channels)
        assert found.block <= found.channel
        assert found.channel + found.channels <= found.block + found.block_channels
        if block < shape.ifmap.channels:
            assert found.block % block == 0
            assert found.block + found.block_channels <= shape.ifmap.channels
