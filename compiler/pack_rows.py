"""The pass that lets the host pack the kernel rows of a first layer, whose few channels would leave
most of the array's rows empty."""

from dataclasses import replace

from arch.layers import ConvShape, Window
from compiler.fusion import FusedLayer
from compiler.memory_map import MapPlace
from compiler.packed_input import PackedInput, packed_shape
from compiler.plan import Plan
from compiler.tiling import cycles_alone
from compiler.views import View, Views
from sim.network import Conv, TensorSpec


def pack_rows(plan: Plan) -> Plan:
    """``plan`` with a convolution of the network's input as one with a single kernel row, over the
    input as ``PackedInput`` lays it out; if nothing else reads the input, and if that is cheaper.

    The array takes a kernel row's taps as one run of kernel width x channels, in chunks of its
    rows. Packed, all of the kernel is one run.
    """
    reader = _only_reader(plan)
    if reader is None:
        return plan
    (only,) = reader.layers
    if not isinstance(only, Conv) or only.shape.groups > 1 or only.shape.window.kernel[0] == 1:
        return plan
    spec = _packed(only)
    packed = FusedLayer(layers=(_with_one_row(only, spec),))
    if cycles_alone(packed.shape, plan.config) >= cycles_alone(reader.shape, plan.config):
        return plan
    place = MapPlace.packed(0, spec.shape, spec.bytes)
    views = Views(
        maps={**plan.views.maps, spec.name: View(root=spec.name, place=place)},
        roots={**plan.views.roots, spec.name: spec.shape.elements * spec.bytes},
    )
    layers = tuple(packed if layer is reader else layer for layer in plan.layers)
    packing = PackedInput(source=only.input, packed=spec, window=only.shape.window)
    return replace(plan, layers=layers, views=views, packing=packing)


def _only_reader(plan: Plan) -> FusedLayer | None:
    """The layer that reads the network's input as it is, if no other use is made of that."""
    given, views = plan.network.input, plan.views.maps
    root = views[given.name].root
    outputs = (*(layer.output for layer in plan.layers), *plan.network.outputs)
    if not plan.owns_input or root in {views[spec.name].root for spec in outputs}:
        return None
    readers = [
        layer for layer in plan.layers if root in {views[spec.name].root for spec in layer.inputs}
    ]
    return readers[0] if len(readers) == 1 and readers[0].inputs == (given,) else None


def _packed(layer: Conv) -> TensorSpec:
    shape = packed_shape(layer.shape.ifmap, layer.shape.window)
    return replace(layer.input, name=f"{layer.name}.input", shape=shape)


def _with_one_row(layer: Conv, spec: TensorSpec) -> Conv:
    window, channels = layer.shape.window, layer.shape.out_channels
    shape = ConvShape(
        ifmap=spec.shape,
        out_channels=channels,
        window=Window(
            kernel=(1, window.kernel[1]),
            stride=(1, window.stride[1]),
            dilation=(1, window.dilation[1]),
            padding=(0, window.padding[1], 0, window.padding[3]),
        ),
    )
    weights = layer.weights.swapaxes(1, 2).reshape(channels, 1, window.kernel[1], -1)
    return replace(layer, input=spec, shape=shape, weights=weights)
