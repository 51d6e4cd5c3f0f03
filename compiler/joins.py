"""Fifth step: operators of several 8-bit tensors become one integer layer."""

from dataclasses import replace

from arch.errors import ModelError
from arch.layers import Window
from compiler.fold import varying_axes
from compiler.graph import Graph, Node
from compiler.layout import Layout, map_shape
from compiler.quantisation import Quantisation
from compiler.values import Build, Value, is_quantised_as
from sim.multipliers import add_multipliers, product_multiplier
from sim.network import Add, Concat, Multiply, TensorSpec


def join(
    graph: Graph,
    node: Node,
    values: list[Value],
    target: tuple[str, Quantisation],
    build: Build,
) -> Value:
    """The value that an Add, Mul or Concat makes, with the name and quantisation of ``target``.

    Raises ``ModelError`` for operands whose shapes or scales no integer layer can have.
    """
    if node.operator == "Concat":
        return _concatenate(graph, node, values, target, build)
    if len(values) != 2:
        raise ModelError(
            f"{node.label}: two inputs must be given, got {len(values)}; export the model again"
        )
    first, second = _aligned(graph, node, values, build)
    output = build.tensor(target[0], first.tensor.shape, target[1])
    make = _add if node.operator == "Add" else _multiply
    name = build.layer_names.make(node.name or node.output)
    try:
        build.layers.append(make(name, first.tensor, second.tensor, output))
    except ModelError as error:
        raise ModelError(f"{node.label}: {error}") from error
    return Value(tensor=output, layout=first.layout)


def _add(name: str, first: TensorSpec, second: TensorSpec, output: TensorSpec) -> Add:
    multiplier, other, shift = add_multipliers(first.scale, second.scale, output.scale)
    return Add(
        name=name,
        input=first,
        other=second,
        output=output,
        multiplier=multiplier,
        other_multiplier=other,
        shift=shift,
        clamp=output.limits,
    )


def _multiply(name: str, first: TensorSpec, second: TensorSpec, output: TensorSpec) -> Multiply:
    multiplier, shift = product_multiplier(first.scale, second.scale, output.scale)
    return Multiply(
        name=name,
        input=first,
        other=second,
        output=output,
        multiplier=multiplier,
        shift=shift,
        clamp=output.limits,
    )


def _aligned(graph: Graph, node: Node, values: list[Value], build: Build) -> tuple[Value, Value]:
    """Both operands with their elements in one order; the second may be one pixel."""
    shape = graph.shape(node.output)
    first, second = values
    if first.layout.shape != shape:
        first, second = second, first
    if first.layout.shape != shape:
        raise _not_alike(node, values)
    if second.layout.shape != shape:
        return _with_pixel(node, first, second, build)
    if first.layout != second.layout:
        first, second = _in_one_order(node, first, second, build)
    return first, replace(second, tensor=build.shaped(second.tensor, first.tensor.shape))


def _in_one_order(node: Node, first: Value, second: Value, build: Build) -> tuple[Value, Value]:
    """Both with the channels of one axis in the order of ONNX."""
    for axis in (1, *range(len(first.layout.axes))):
        if first.layout.view(axis) is not None and second.layout.view(axis) is not None:
            return build.in_order(first, axis, node), build.in_order(second, axis, node)
    raise ModelError(
        f"{node.label}: both inputs must lie in memory in one order, got one of them transposed; "
        "export the model without the Transpose before it"
    )


def _with_pixel(node: Node, first: Value, second: Value, build: Build) -> tuple[Value, Value]:
    """The second operand as one pixel with the channels of the first."""
    shape, rank = first.layout.shape, len(first.layout.shape)
    varying = varying_axes(second.layout.shape, rank)
    # One number fits a map of one channel.
    candidates = varying or [axis for axis in range(1, rank) if shape[axis] == 1][:1]
    if len(candidates) != 1 or len(second.layout.shape) > rank:
        raise _not_alike(node, [first, second])
    (axis,) = candidates
    own = axis - (rank - len(second.layout.shape))
    pixel = second if own >= 0 else replace(second, layout=Layout.with_channels((1,), 0))
    first = build.in_order(first, axis, node)
    pixel = build.in_order(pixel, max(own, 0), node)
    shape_of_pixel = replace(pixel.tensor.shape, height=1, width=1, channels=shape[axis])
    return first, replace(pixel, tensor=build.shaped(pixel.tensor, shape_of_pixel))


def _not_alike(node: Node, values: list[Value]) -> ModelError:
    shapes = " and ".join(str(list(value.layout.shape)) for value in values)
    return ModelError(
        f"{node.label}: both inputs must have one shape, or one of them one value for each channel "
        f"[1, C, 1, 1], got {shapes}; reshape them before"
    )


def _concatenate(
    graph: Graph,
    node: Node,
    values: list[Value],
    target: tuple[str, Quantisation],
    build: Build,
) -> Value:
    shape = graph.shape(node.output)
    axis = node.integer("axis", 0) % len(shape)
    name, quantisation = target
    tensors = []
    for value in values:
        if value.layout.view(axis) is None:
            raise ModelError(
                f"{node.label}: maps must be joined along their channels, got axis {axis} of shape "
                f"{list(value.layout.shape)}; join them along axis 1"
            )
        tensor = build.in_order(value, axis, node).tensor
        if not is_quantised_as(tensor, quantisation):
            tensor = _requantised(node, tensor, quantisation, build)
        tensors.append(tensor)
    output = build.tensor(name, map_shape(shape, axis), quantisation)
    build.layers.append(
        Concat(
            name=build.layer_names.make(node.name or node.output),
            inputs=tuple(tensors),
            output=output,
        )
    )
    return Value(tensor=output, layout=Layout.with_channels(shape, axis))


def _requantised(
    node: Node, tensor: TensorSpec, quantisation: Quantisation, build: Build
) -> TensorSpec:
    output = build.tensor(f"{tensor.name}_requantised", tensor.shape, quantisation)
    build.requantised(node, tensor, output, Window(kernel=(1, 1)), output.limits)
    return output
