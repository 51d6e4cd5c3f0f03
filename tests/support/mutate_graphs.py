"""Changes ONNX graphs as a clumsy exporter might: most stay valid, so that rules far in are met.

Each change is drawn from a random generator alone, so a seed gives the same model again.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.integer_operators import INTEGER_OPERATORS
from compiler.onnx_file import OPSETS
from compiler.support import OPERATORS

_SIZES = (1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 12, 13, 25, 255, 4096, 1 << 20, 1 << 28, 0)
_NUMBERS = (0, 1, 2, 3, 5, 6, -1, -2, 7, 64, 2**31 - 1, -(2**63))
_REALS = (0.0, 1.0, 0.5, -1.0, 0.01, 1e-45, 1e-30, 3e38, float("inf"), float("nan"))
_TEXTS = ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "tanh", "none", "")
_TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.bool_)
_INTEGER_TYPES = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16)
_MOST_ELEMENTS = 1 << 12
_MOST_GRAFTED = 6


def change_graph(model: onnx.ModelProto, chance: random.Random) -> None:
    """Change one thing; nothing where the model has not what the change is about."""
    chance.choice(_CHANGES)(model, chance)


def graft(model: onnx.ModelProto, other: onnx.ModelProto, chance: random.Random) -> None:
    """Put a few neighbouring nodes of another model, and their constants, into this one."""
    graph, nodes = model.graph, list(other.graph.node)
    if not nodes or not graph.node:
        return
    start = chance.randrange(len(nodes))
    nodes = nodes[start : start + chance.randint(1, _MOST_GRAFTED)]
    at = chance.randrange(len(graph.node) + 1)
    constants = {tensor.name: tensor for tensor in other.graph.initializer}
    names = {
        name: f"g{chance.randrange(1 << 30)}"
        for node in nodes
        for name in (*node.output, *(each for each in node.input if each in constants))
        if name
    }
    for old in names.keys() & constants.keys():
        graph.initializer.add().CopyFrom(constants[old])
        graph.initializer[-1].name = names[old]
    before = _activations(graph, at)
    copies = []
    for node in nodes:
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        copy.name = ""
        copy.output[:] = [names.get(name, name) for name in node.output]
        copy.input[:] = [
            names.get(name, chance.choice(before)) if name else "" for name in node.input
        ]
        copies.append(copy)
    _insert(graph, at, copies)
    made = [name for name in copies[-1].output if name]
    if made:
        _read_instead(graph, at + len(copies), chance, made[0])


def _set_attribute(model: onnx.ModelProto, chance: random.Random) -> None:
    node = _node(model, chance)
    kinds = _attribute_kinds(node)
    if not kinds:
        return
    name = chance.choice(sorted(kinds))
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if chance.random() < 0.85:
        node.attribute.append(_attribute(name, kinds[name], chance))


def _attribute_kinds(node: onnx.NodeProto) -> dict[str, Any]:
    """The supported attributes of a node's operator, with their types (``AttributeProto``)."""
    integer = INTEGER_OPERATORS.get(node.op_type)
    name = node.op_type if integer is None else integer.operator
    if name not in OPERATORS:
        return {}
    known = OPERATORS[name].attributes if integer is None else integer.attributes
    schema = onnx.defs.get_schema(name).attributes
    return {
        each: schema[each].type if each in schema else onnx.AttributeProto.INTS for each in known
    }


def _attribute(name: str, kind: int, chance: random.Random) -> onnx.AttributeProto:
    count = chance.choice((1, 2, 2, 4, 4, 3))
    values: dict[int, Any] = {
        onnx.AttributeProto.INT: chance.choice(_NUMBERS),
        onnx.AttributeProto.FLOAT: chance.choice(_REALS),
        onnx.AttributeProto.STRING: chance.choice(_TEXTS),
        onnx.AttributeProto.FLOATS: [chance.choice(_REALS) for _ in range(count)],
        onnx.AttributeProto.TENSOR: numpy_helper.from_array(_array((count,), chance)),
    }
    few = _NUMBERS if chance.random() < 0.2 else _NUMBERS[:5]
    value = values.get(kind, [chance.choice(few) for _ in range(count)])
    return helper.make_attribute(name, value, attr_type=kind)


def _rewire(model: onnx.ModelProto, chance: random.Random) -> None:
    """An input reads another tensor that was made before, mostly an activation."""
    graph = model.graph
    at = chance.randrange(len(graph.node))
    inputs = graph.node[at].input
    if inputs:
        constants = [tensor.name for tensor in graph.initializer]
        names = constants if constants and chance.random() < 0.3 else _activations(graph, at)
        inputs[chance.randrange(len(inputs))] = chance.choice(names)


def _change_inputs(model: onnx.ModelProto, chance: random.Random) -> None:
    """Two inputs change places, one is left out or one is there twice."""
    inputs = _node(model, chance).input
    if not inputs:
        return
    names = list(inputs)
    kind = chance.randrange(4)
    if kind == 0:
        chance.shuffle(names)
    elif kind == 1:
        names[chance.randrange(len(names))] = ""
    elif kind == 2:
        names.pop()
    else:
        names.append(chance.choice(names))
    inputs[:] = names


def _replace_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    node = _node(model, chance)
    node.op_type = chance.choice(_OPERATORS)
    node.domain = (
        INTEGER_OPERATORS[node.op_type].domain if node.op_type in INTEGER_OPERATORS else ""
    )
    kinds = _attribute_kinds(node)
    kept = [item for item in node.attribute if item.name in kinds]
    del node.attribute[:]
    node.attribute.extend(kept)


def _insert_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    """A later node reads an activation through one more operator."""
    graph = model.graph
    at = chance.randrange(len(graph.node))
    node = helper.make_node(
        chance.choice(sorted(OPERATORS)), [chance.choice(_activations(graph, at))],
        [f"i{chance.randrange(1 << 30)}"],
    )  # fmt: skip
    kinds = _attribute_kinds(node)
    for name in sorted(kinds):
        if chance.random() < 0.5:
            node.attribute.append(_attribute(name, kinds[name], chance))
    for _ in range(chance.randrange(3)):
        node.input.append(chance.choice(_activations(graph, at)))
    _insert(graph, at, [node])
    _read_instead(graph, at + 1, chance, node.output[0])


def _remove_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    """What read the node's outputs reads its first input."""
    graph = model.graph
    at = chance.randrange(len(graph.node))
    gone = graph.node[at]
    source, outputs = next(iter(gone.input), ""), set(gone.output)
    del graph.node[at]
    for node in graph.node:
        node.input[:] = [source if name in outputs else name for name in node.input]


def _copy_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    graft(model, model, chance)


def _reshape_constant(model: onnx.ModelProto, chance: random.Random) -> None:
    tensor = _constant(model, chance)
    if tensor is None:
        return
    dims = list(tensor.dims)
    if not dims or chance.random() < 0.2:
        dims.insert(chance.randint(0, len(dims)), 1)
    elif chance.random() < 0.2:
        dims.pop(chance.randrange(len(dims)))
    elif chance.random() < 0.2:
        chance.shuffle(dims)
    else:
        at = chance.randrange(len(dims))
        dims[at] = chance.choice((*_SIZES, dims[at] + 1, dims[at] - 1, 2 * dims[at]))
    values = numpy_helper.to_array(tensor).reshape(-1)
    if min(dims, default=0) >= 0 and int(np.prod(dims, dtype=object)) <= _MOST_ELEMENTS:
        values = np.resize(values, dims) if values.size else np.zeros(dims, values.dtype)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    else:
        tensor.dims[:] = [min(max(size, -1), 1 << 40) for size in dims]


def _retype_constant(model: onnx.ModelProto, chance: random.Random) -> None:
    tensor = _constant(model, chance)
    if tensor is not None:
        with np.errstate(all="ignore"):
            values = numpy_helper.to_array(tensor).astype(chance.choice(_TYPES))
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _change_constant(model: onnx.ModelProto, chance: random.Random) -> None:
    """One number becomes another, or all do."""
    tensor = _constant(model, chance)
    if tensor is None:
        return
    values = numpy_helper.to_array(tensor).copy()
    if not values.size:
        return
    at = slice(None) if chance.random() < 0.2 else chance.randrange(values.size)
    if values.dtype.kind == "f":
        values.reshape(-1)[at] = chance.choice(_REALS)
    else:
        number = chance.choice((*_NUMBERS, *_SIZES))
        values.reshape(-1)[at] = np.array(number, np.int64).astype(values.dtype)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _quantise_wider(model: onnx.ModelProto, chance: random.Random) -> None:
    """All constants of one integer type get another, as of a machine with another word."""
    old, new = chance.sample(_INTEGER_TYPES, 2)
    dtype = helper.tensor_dtype_to_np_dtype(new)
    for tensor in model.graph.initializer:
        if tensor.data_type == old and _is_readable(tensor):
            values = numpy_helper.to_array(tensor).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _reshape_input(model: onnx.ModelProto, chance: random.Random) -> None:
    if not model.graph.input:
        return
    dims = model.graph.input[0].type.tensor_type.shape.dim
    kind = chance.random()
    if not dims or kind < 0.1:
        dims.add().dim_value = chance.choice(_SIZES)
    elif kind < 0.2:
        dims.pop()
    elif kind < 0.25:
        chance.choice(dims).dim_param = "size"
    else:
        chance.choice(dims[1:] or dims).dim_value = chance.choice(_SIZES)


def _show_tensor(model: onnx.ModelProto, chance: random.Random) -> None:
    """Another tensor is an output too, or instead."""
    graph = model.graph
    name = chance.choice(_activations(graph, len(graph.node)))
    if graph.output and chance.random() < 0.5:
        graph.output[0].name = name
    else:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _set_opset(model: onnx.ModelProto, chance: random.Random) -> None:
    for item in model.opset_import:
        if not item.domain:
            item.version = chance.choice(OPSETS)


def _node(model: onnx.ModelProto, chance: random.Random) -> onnx.NodeProto:
    node: onnx.NodeProto = chance.choice(model.graph.node)
    return node


def _constant(model: onnx.ModelProto, chance: random.Random) -> onnx.TensorProto | None:
    """A small constant, mostly one of the shapes, scales and zero points."""
    constants = [tensor for tensor in model.graph.initializer if _is_readable(tensor)]
    few = [tensor for tensor in constants if len(tensor.dims) < 2]
    return chance.choice(few if few and chance.random() < 0.6 else constants) if constants else None


def _is_readable(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor is small and holds the numbers that it claims to."""
    count = int(np.prod(list(tensor.dims), dtype=object))
    external = tensor.external_data or tensor.data_location != TensorProto.DEFAULT
    if external or not 0 <= count <= _MOST_ELEMENTS:
        return False
    try:
        return numpy_helper.to_array(tensor).dtype in _TYPES
    except (KeyError, TypeError, ValueError):
        return False


def _activations(graph: onnx.GraphProto, at: int) -> list[str]:
    """The tensors known before node ``at`` that are no constants; one without a name at least."""
    names = [item.name for item in graph.input]
    names += [name for node in graph.node[:at] for name in node.output if name]
    return names or [""]


def _array(shape: tuple[int, ...], chance: random.Random) -> np.ndarray[Any, Any]:
    values = [chance.choice(_REALS[:5]) for _ in range(int(np.prod(shape)))]
    return np.array(values).astype(chance.choice(_TYPES)).reshape(shape)


def _insert(graph: onnx.GraphProto, at: int, nodes: list[onnx.NodeProto]) -> None:
    all_nodes = [*graph.node[:at], *nodes, *graph.node[at:]]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in all_nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _read_instead(graph: onnx.GraphProto, start: int, chance: random.Random, name: str) -> None:
    """The first input of a node after ``start``, or the model's output, becomes ``name``."""
    readers = [node for node in graph.node[start:] if node.input]
    if readers and chance.random() < 0.8:
        chance.choice(readers[:8]).input[0] = name
    elif graph.output:
        graph.output[0].name = name


_OPERATORS = sorted({*OPERATORS, *INTEGER_OPERATORS})
_CHANGES: tuple[Callable[[onnx.ModelProto, random.Random], None], ...] = (
    _set_attribute,
    _rewire,
    _change_inputs,
    _replace_operator,
    _insert_operator,
    _remove_operator,
    _copy_operator,
    _reshape_constant,
    _retype_constant,
    _change_constant,
    _quantise_wider,
    _reshape_input,
    _show_tensor,
    _set_opset,
)
