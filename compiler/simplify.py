"""Third step: constants are computed, operators without effect and unused ones leave the graph."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.graph import Graph, Node


def simplify(graph: Graph) -> Graph:
    """An equal graph without Constant, constant QuantizeLinear, Identity, Dropout, dead nodes.

    Of QuantizeLinear nodes that do the same, one is left.
    """
    return _prune(_merge_quantizers(_fold_constants(_bypass(graph))))


def _bypass(graph: Graph) -> Graph:
    """Readers of an Identity or inference Dropout read its input instead."""
    source: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        moved = replace(node, inputs=tuple(source.get(name, name) for name in node.inputs))
        if _has_no_effect(graph, node):
            source[node.output] = moved.inputs[0]
        else:
            nodes.append(moved)
    outputs = {name: source.get(tensor, tensor) for name, tensor in graph.outputs.items()}
    return replace(graph, nodes=tuple(nodes), outputs=outputs)


def _has_no_effect(graph: Graph, node: Node) -> bool:
    """Identity, Concat of one tensor, and Dropout that is not asked to train or for its mask."""
    if node.operator == "Concat":
        return len(node.inputs) == 1
    if node.operator != "Dropout":
        return node.operator == "Identity"
    training = node.input(2)
    trains = bool(training) and bool(np.any(graph.constants.get(training, np.True_)))
    masks = node.outputs[1:]
    read = any(graph.consumers(mask) or mask in graph.outputs for mask in masks if mask)
    return not trains and not read


def _fold_constants(graph: Graph) -> Graph:
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        value = _constant_value(node, constants)
        if value is None:
            nodes.append(node)
        else:
            constants[node.output] = value
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _constant_value(node: Node, constants: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
    if node.operator == "Constant":
        (value,) = node.attributes.values()
        return np.asarray(value, np.float32 if _holds_floats(node) else None)
    if node.operator == "QuantizeLinear" and all(name in constants for name in node.inputs if name):
        return _quantised(node, [constants[name] for name in node.inputs if name])
    return None


def _merge_quantizers(graph: Graph) -> Graph:
    """Readers of a QuantizeLinear that an earlier one equals read that one instead."""
    first: dict[tuple[object, ...], str] = {}
    source: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        moved = replace(node, inputs=tuple(source.get(name, name) for name in node.inputs))
        if node.operator == "QuantizeLinear":
            known = first.setdefault(_signature(graph, moved), node.output)
            if known != node.output:
                source[node.output] = known
                continue
        nodes.append(moved)
    outputs = {name: source.get(tensor, tensor) for name, tensor in graph.outputs.items()}
    return replace(graph, nodes=tuple(nodes), outputs=outputs)


def _signature(graph: Graph, node: Node) -> tuple[object, ...]:
    """What a QuantizeLinear does: its input, its parameters by value, its attributes."""
    constants = [graph.constants.get(name) for name in node.inputs[1:]]
    parameters = [
        name if value is None else (value.dtype.str, value.shape, value.tobytes())
        for name, value in zip(node.inputs[1:], constants, strict=True)
    ]
    return node.input(0), *parameters, *sorted(node.attributes.items())


def _holds_floats(node: Node) -> bool:
    return "value_float" in node.attributes or "value_floats" in node.attributes


def _quantised(node: Node, inputs: list[NDArray[Any]]) -> NDArray[Any] | None:
    """QuantizeLinear of a constant, as ONNX defines it; None where its inputs make no sense."""
    values, scale = inputs[0], inputs[1]
    zero_point = inputs[2] if len(inputs) > 2 else np.zeros(scale.shape, np.uint8)
    axis = node.integer("axis", 1) % max(values.ndim, 1)
    fits = scale.shape == zero_point.shape and scale.size in (1, *values.shape[axis : axis + 1])
    positive = bool(np.all(np.isfinite(scale) & (scale > 0)))
    words = zero_point.dtype in (np.int8, np.uint8, np.int16, np.uint16)
    if not (fits and positive and words and np.isfinite(values).all()):
        return None
    along_axis = [1] * values.ndim
    if scale.size > 1:
        along_axis[axis] = scale.size
    limits = np.iinfo(zero_point.dtype)
    rounded = np.rint(values / scale.reshape(along_axis)).astype(np.float64)
    shifted = rounded + zero_point.reshape(along_axis)
    quantised: NDArray[Any] = np.clip(shifted, limits.min, limits.max).astype(zero_point.dtype)
    return quantised


def _prune(graph: Graph) -> Graph:
    """Only what the outputs depend on."""
    live = set(graph.outputs.values())
    kept = []
    for node in reversed(graph.nodes):
        if live.intersection(node.outputs):
            live.update(node.inputs)
            kept.append(node)
    constants = {name: value for name, value in graph.constants.items() if name in live}
    return replace(graph, nodes=tuple(reversed(kept)), constants=constants)
