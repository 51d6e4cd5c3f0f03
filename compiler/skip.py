"""The pass that leaves out input pixels which no window looks at."""

from dataclasses import replace

from arch.layers import ConvShape, FeatureMap, Window
from compiler.fusion import FusedLayer
from compiler.plan import Plan
from compiler.views import View, Views
from sim.network import Conv, TensorSpec


def skip_pixels(plan: Plan) -> Plan:
    """``plan`` with 1x1 convolutions that have a stride as such without one, over a view of every
    n-th pixel of every n-th row."""
    views = dict(plan.views.maps)
    layers = []
    for layer in plan.layers:
        (only,) = layer.layers
        if isinstance(only, Conv) and _skips(only):
            spec = _thinned(only)
            views[spec.name] = _view(views[only.input.name], only.shape.window.stride)
            layers.append(FusedLayer(layers=(_without_stride(only, spec),)))
        else:
            layers.append(layer)
    return replace(plan, layers=tuple(layers), views=Views(maps=views, roots=plan.views.roots))


def _skips(layer: Conv) -> bool:
    window = layer.shape.window
    return window.kernel == (1, 1) and window.stride != (1, 1) and not any(window.padding)


def _thinned(layer: Conv) -> TensorSpec:
    """The map of those pixels alone."""
    ofmap = layer.shape.ofmap
    shape = FeatureMap(height=ofmap.height, width=ofmap.width, channels=layer.shape.ifmap.channels)
    return replace(layer.input, name=f"{layer.name}.input", shape=shape)


def _without_stride(layer: Conv, spec: TensorSpec) -> Conv:
    shape = ConvShape(
        ifmap=spec.shape,
        out_channels=layer.shape.out_channels,
        window=Window(kernel=(1, 1)),
        groups=layer.shape.groups,
    )
    return replace(layer, input=spec, shape=shape)


def _view(whole: View, stride: tuple[int, int]) -> View:
    place = whole.place
    thinned = place._replace(
        pixel_pitch=place.pixel_pitch * stride[1],
        row_pitch=place.row_pitch * stride[0],
        skipped=place.pixel_pitch * (stride[1] - 1),
    )
    return replace(whole, place=thinned)
