"""Fifth step: operators that compute nothing, and what they do to shapes."""

from arch.errors import ModelError
from compiler.graph import Graph, Shape
from compiler.layout import Layout, map_axes, map_shape
from compiler.operators import CUTS
from compiler.segments import Step
from compiler.values import Build, Value
from sim.network import Slice


def moved(graph: Graph, step: Step, value: Value, build: Build, name: str) -> Value:
    """The value after an operator that only moves elements; a new tensor is called ``name``.

    Raises ``ModelError`` where bytes would have to move that no layer moves.
    """
    if step.node.operator in CUTS:
        return _sliced(graph, step, value, build, name)
    return _reshaped(graph, step, value)


def relaid(graph: Graph, step: Step, layout: Layout) -> Layout | None:
    """``layout`` after a Reshape, Transpose or their like; None where no loops express it."""
    shape = graph.shape(step.tensor)
    if step.node.operator == "Transpose":
        backwards = tuple(reversed(range(len(shape))))
        return layout.transposed(step.node.integers("perm", backwards))
    return layout.reshaped(shape)


def _reshaped(graph: Graph, step: Step, value: Value) -> Value:
    new = relaid(graph, step, value.layout)
    if new is None:
        shape = graph.shape(step.tensor)
        raise ModelError(
            f"{step.node.label}: a reshape must merge and split whole axes, got "
            f"{list(value.layout.shape)} to {list(shape)}; remove it"
        )
    return Value(tensor=value.tensor, layout=new)


def _sliced(graph: Graph, step: Step, value: Value, build: Build, name: str) -> Value:
    """A part of the value: a Slice, or one output of a Split."""
    before, after = value.layout.shape, graph.shape(step.tensor)
    if before == after:
        return value
    starts = _starts(graph, step, before)
    axis = _channel_axis(value)
    source = build.in_order(value, axis, step.node).tensor
    others = map_axes(before, axis)
    if len(others) > 2 and any(before[each] != after[each] for each in others):
        raise ModelError(
            f"{step.node.label}: at most two axes beside the channels may be cut, got "
            f"{list(before)} to {list(after)}; reshape the tensor to a map before"
        )
    y, x = (0, 0, *(starts[each] for each in others))[-2:] if len(others) < 3 else (0, 0)
    output = build.tensor(name, map_shape(after, axis), source)
    build.layers.append(
        Slice(
            name=build.layer_names.make(step.node.name or step.tensor),
            input=source,
            output=output,
            start=(y, x, starts[axis]),
        )
    )
    return Value(tensor=output, layout=Layout.with_channels(after, axis))


def _channel_axis(value: Value) -> int:
    """The axis that lies innermost: where several may, the one that makes the tensor's own map."""
    views = [(axis, value.layout.view(axis)) for axis in range(len(value.layout.axes))]
    found = [(axis, view) for axis, view in views if view is not None]
    exact = [axis for axis, view in found if view.shape == value.tensor.shape]
    return (exact or [axis for axis, _ in found] or [1])[0]


def _starts(graph: Graph, step: Step, before: Shape) -> list[int]:
    """Where the part begins along each axis."""
    node, starts = step.node, [0] * len(before)
    if node.operator == "Slice":
        given = graph.constants[node.input(1)].reshape(-1).tolist()
        axes = list(range(len(given)))
        if node.input(3):
            axes = graph.constants[node.input(3)].reshape(-1).tolist()
        for axis, start in zip(axes, given, strict=True):
            size = before[axis]
            starts[axis] = min(max(start + size if start < 0 else start, 0), size)
        return starts
    axis = node.integer("axis", 0) % len(before)
    index = node.outputs.index(step.tensor)
    if node.input(1) in graph.constants:
        starts[axis] = int(graph.constants[node.input(1)].reshape(-1)[:index].sum())
    else:
        starts[axis] = index * -(-before[axis] // len(node.outputs))
    return starts
