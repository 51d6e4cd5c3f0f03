"""The least cycles that a layer can take: what its arithmetic needs, and what its bytes need.

Both count what the layer must do, whatever its mapping; where its maps are, memory or chip, is the
compiler's choice and taken as given.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import FeatureMap, Window
from compiler.fusion import FusedLayer
from compiler.packed_input import PackedInput
from compiler.program import Program


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Of one layer.

    ``compute`` is ceil(MACs on the array / PEs): a depthwise convolution in front, which the
    post-processor multiplies, takes none of it. ``memory`` is the busier direction's bytes over
    the memory's bytes per cycle, each direction having all of them: read are each weight, each
    channel's bias and multiplier, a second operand's constants and a table once, and of maps in
    memory each element that the layer looks at once; written is the output once, if it goes to
    memory. Maps on chip cost nothing. Neither padding of weights to whole tiles counts, nor halos
    that are loaded twice, nor elements that packing repeats, nor the program.
    """

    compute: int
    memory: int
    read_bytes: int
    written_bytes: int

    @property
    def cycles(self) -> int:
        """The higher of the two."""
        return max(self.compute, self.memory)


def layer_bounds(program: Program, index: int) -> Bounds:
    """The bounds of layer ``index``."""
    config, placed = program.config, program.layers[index]
    layer, mapping = placed.layer, placed.mapping
    read = _constant_bytes(layer, config)
    tiles = mapping.inputs if layer.depthwise is None else mapping.depthwise
    if tiles is not None:
        read += _input_elements(layer, program.packing) * layer.input.bytes
    if layer.other is not None and mapping.operands is not None:
        read += layer.other.shape.elements * layer.other.bytes
    stored = mapping.outputs is not None or layer.output.name in program.maps
    written = layer.output.shape.elements * layer.output.bytes if stored else 0
    return Bounds(
        compute=ceil_div(array_macs(layer), config.rows * config.cols),
        memory=ceil_div(max(read, written), config.memory_bytes_per_cycle),
        read_bytes=read,
        written_bytes=written,
    )


def array_macs(layer: FusedLayer) -> int:
    """Multiply-accumulates of ``layer`` on the array."""
    return 0 if layer.conv is None else layer.conv.shape.macs


def _constant_bytes(layer: FusedLayer, config: AcceleratorConfig) -> int:
    """Weights, parameters, table; the one bias and multiplier of a layer without weights are left
    out."""
    size = 0
    for conv in (layer.depthwise, layer.conv):
        if conv is not None:
            size += conv.shape.weights * config.weight_bytes
            size += conv.shape.out_channels * config.parameter_column_bytes
    if layer.join is not None:
        size += config.operand_block_bytes
    if layer.table is not None:
        size += config.table_bytes
    return size


def _input_elements(layer: FusedLayer, packing: PackedInput | None) -> int:
    """Elements of the input under any window of any output; of a packed one, those that it was
    packed from."""
    if packing is not None and packing.packed.name != layer.input.name:
        packing = None
    pixels = 1
    for axis in (0, 1):
        window = layer.shape.window
        size = (window.ofmap.height, window.ofmap.width)[axis]
        positions = under(range(size), window.window, axis, window.ifmap)
        for conv in (layer.conv, layer.depthwise):
            if conv is not None:
                positions = under(positions, conv.shape.window, axis, conv.shape.ifmap)
        if packing is not None and axis == 0:
            positions = under(positions, packing.window, axis, packing.source.shape)
        pixels *= len(positions)
    source = layer.input if packing is None else packing.source
    return pixels * source.shape.channels


def under(outputs: Iterable[int], window: Window, axis: int, ifmap: FeatureMap) -> set[int]:
    """Rows (``axis`` 0) or columns (1) of ``ifmap`` that windows of ``outputs`` lie over."""
    size = (ifmap.height, ifmap.width)[axis]
    first, stride = -window.padding[axis], window.stride[axis]
    taps = range(0, window.extent[axis], window.dilation[axis])
    found = {first + output * stride + tap for output in outputs for tap in taps}
    return {place for place in found if 0 <= place < size}
