"""Damages ONNX models: in their graphs, field by field, and seldom byte by byte.

A change is drawn from a random generator alone, so a seed gives the same model again.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from compiler.integer_operators import INTEGER_OPERATORS
from compiler.support import OPERATORS
from tests.support.mutate_graphs import change_graph

_INTEGERS = (0, 1, 2, 3, 4, 7, 13, 25, 64, 127, 128, 255, 2**15, 2**20, 2**31 - 1, 2**40, 2**62, -1,
             -2, -128, -(2**31), -(2**62))  # fmt: skip
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e30, 3.4e38, float("inf"), float("nan"))
_OPERATORS = sorted({*OPERATORS, *INTEGER_OPERATORS})
_TEXTS = ("", "x", "axis", "pads", "strides", "group", "SAME_UPPER", "VALID", "com.microsoft",
          "../../x", "a\n\x1b[31m", "\u202e", "n" * 300)  # fmt: skip
_GRAPH_CHANGES = 0.7
_BYTES_OF_DAMAGE = 0.05
_MOST_CHANGES = 2
# Of numbers in one field; long lists of weights are looked at in part.
_MOST_PLACES = 64

_INTEGER_TYPES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}


def mutated(data: bytes, chance: random.Random, limit: int | None = None) -> bytes:
    """``data`` with a few changes; of at most ``limit`` bytes, else cut off."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            if model.graph.node and chance.random() < _GRAPH_CHANGES:
                change_graph(model, chance)
            else:
                _change_field(model, chance)
        made: bytes = model.SerializeToString()
    except (DecodeError, UnicodeDecodeError):  # no model, or its names are no text
        return _damaged(data, chance)[:limit]
    if chance.random() < _BYTES_OF_DAMAGE:
        made = _damaged(made, chance)
    return made[:limit]


def _damaged(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return chance.randbytes(20)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def _messages(message: Message) -> Iterator[Message]:
    """A message and all in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in [value] if isinstance(value, Message) else value:
                yield from _messages(item)


def _change_field(model: onnx.ModelProto, chance: random.Random) -> None:
    messages = list(_messages(model))
    # Nodes and what they hold are what most rules are about.
    nodes = [each for each in messages if isinstance(each, onnx.NodeProto | onnx.AttributeProto)]
    message = chance.choice(nodes if nodes and chance.random() < 0.5 else messages)
    if isinstance(message, onnx.NodeProto) and chance.random() < 0.4:
        _rewire(message, messages, chance)
        return
    held = [field for field, _ in message.ListFields()]
    any_field = chance.random() < 0.15 or not held
    fields = list(message.DESCRIPTOR.fields) if any_field else held
    field = chance.choice(fields)
    if chance.random() < 0.1:
        message.ClearField(field.name)
    elif isinstance(getattr(message, field.name), Message):
        _replace_message(getattr(message, field.name), messages, chance)
    elif hasattr(getattr(message, field.name), "append") or hasattr(
        getattr(message, field.name), "add"
    ):
        _change_list(getattr(message, field.name), field, messages, chance)
    else:
        value = _value(field, getattr(message, field.name), messages, chance)
        setattr(message, field.name, value)


def _rewire(node: onnx.NodeProto, messages: list[Message], chance: random.Random) -> None:
    if chance.random() < 0.3:
        node.op_type = chance.choice(_OPERATORS)
        return
    names = chance.choice([node.input, node.output])
    if names:
        names[chance.randrange(len(names))] = _name(messages, chance)


def _replace_message(message: Message, messages: list[Message], chance: random.Random) -> None:
    others = [each for each in messages if type(each) is type(message) and each is not message]
    if others:
        copy = type(message)()
        copy.CopyFrom(chance.choice(others))
        message.CopyFrom(copy)
    else:
        message.SetInParent()


def _change_list(
    items: Any, field: FieldDescriptor, messages: list[Message], chance: random.Random
) -> None:
    if not len(items):
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            items.add()
        else:
            items.append(_value(field, None, messages, chance))
        return
    at = chance.randrange(min(len(items), _MOST_PLACES))
    changes: list[Callable[[], object]] = [lambda: items.pop(at)]
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        changes.append(lambda: items.add().CopyFrom(items[at]))
        changes.append(lambda: _replace_message(items[at], messages, chance))
    else:
        other = _value(field, items[at], messages, chance)
        changes.append(lambda: items.append(other))
        changes.append(lambda: items.__setitem__(at, other))
    chance.choice(changes)()


def _value(
    field: FieldDescriptor, old: object, messages: list[Message], chance: random.Random
) -> object:
    """Another value for a field or list item that is no message."""
    if field.type in _INTEGER_TYPES:
        near = old + chance.choice((-1, 1)) if isinstance(old, int) else 0
        low, high = _INTEGER_TYPES[field.type]
        value = near if chance.random() < 0.4 else chance.choice(_INTEGERS)
        return min(max(value, low), high)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return chance.choice(_FLOATS)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _name(messages, chance)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _damaged(old if isinstance(old, bytes) else b"", chance)
    return chance.choice(field.enum_type.values).number


def _name(messages: list[Message], chance: random.Random) -> str:
    if chance.random() < 0.2:
        return chance.choice(_TEXTS)
    nodes = [each for each in messages if isinstance(each, onnx.NodeProto)]
    tensors = [each.name for each in messages if isinstance(each, onnx.TensorProto)]
    names = [name for node in nodes for name in (*node.input, *node.output)] + tensors
    return chance.choice(names) if names else ""
