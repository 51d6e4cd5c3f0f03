"""onnx's inference of shapes, kept from sizes that it does not survive.

Of a Slice of an empty dimension, or of one that a kernel larger than its input made negative, onnx
1.23 calls std::clamp with bounds in the wrong order, which may end the process. So a model is
inferred in parts: what a Slice reads is known, and checked, before the part with the Slice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import shape_inference

from arch.errors import ModelError
from compiler.names import printable

_Infos = dict[str, onnx.ValueInfoProto]


def infer(model: onnx.ModelProto, *, strict: bool, check_type: bool) -> onnx.ModelProto:
    """A copy of ``model``, whose nodes are in order, with what onnx finds of its tensors.

    Values of shapes are not followed through the model: onnx would make one for each element of a
    vector, however long. Raises ``ModelError`` for a Slice of nothing, and what onnx raises:
    ``InferenceError`` and ``ValueError``.
    """
    parts = list(_parts(model.graph))
    if len(parts) == 1:
        return shape_inference.infer_shapes(model, check_type=check_type, strict_mode=strict)
    infos = {item.name: item for item in model.graph.input}
    known = _Known.of(model)
    for part in parts:
        _check_slices(part, infos)
        alone = known.alone(part, infos)
        found = shape_inference.infer_shapes(alone, check_type=check_type, strict_mode=strict).graph
        infos |= {item.name: item for item in (*found.value_info, *found.output)}
    return _with_infos(model, infos)


def _parts(graph: onnx.GraphProto) -> Iterator[list[onnx.NodeProto]]:
    """The nodes, cut before each Slice of what has been made since the last cut."""
    part: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        if node.op_type == "Slice" and not made.isdisjoint(node.input[:1]):
            yield part
            part, made = [], set()
        part.append(node)
        made.update(node.output)
    yield part


def _check_slices(part: Sequence[onnx.NodeProto], infos: _Infos) -> None:
    for node in part:
        for name in node.input[:1] if node.op_type == "Slice" else ():
            if name not in infos:
                continue
            dims = infos[name].type.tensor_type.shape.dim
            sizes = [dim.dim_value for dim in dims if dim.HasField("dim_value")]
            if min(sizes, default=1) < 1:
                raise ModelError(
                    f"tensor '{printable(name)}' must have sizes of 1 or more to be sliced, got "
                    f"{sizes}; use larger images"
                )


def _with_infos(model: onnx.ModelProto, infos: _Infos) -> onnx.ModelProto:
    inferred = onnx.ModelProto()
    inferred.CopyFrom(model)
    graph = inferred.graph
    for output in graph.output:
        if output.name in infos:
            output.CopyFrom(infos[output.name])
    declared = {item.name for item in (*graph.input, *graph.output)}
    graph.value_info.extend(item for name, item in infos.items() if name not in declared)
    return inferred


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a model says from the start, by names."""

    model: onnx.ModelProto
    constants: dict[str, onnx.NodeProto]
    initializers: dict[str, onnx.TensorProto]
    outputs: _Infos

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "_Known":
        graph = model.graph
        constants = [node for node in graph.node if node.op_type == "Constant"]
        return cls(
            model=model,
            constants={name: node for node in constants for name in node.output},
            initializers={tensor.name: tensor for tensor in graph.initializer},
            outputs={item.name: item for item in graph.output},
        )

    def alone(self, part: Sequence[onnx.NodeProto], infos: _Infos) -> onnx.ModelProto:
        """A model of ``part``, the constants that it reads, and of other tensors ``infos``."""
        made = {name for node in part for name in node.output}
        used = dict.fromkeys(name for node in part for name in node.input if name not in made)
        constants = [self.constants[name] for name in used if name in self.constants]
        graph = onnx.GraphProto(
            name="part",
            node=[*constants, *part],
            initializer=[self.initializers[name] for name in used if name in self.initializers],
            input=[infos[name] for name in used if name in infos and name not in self.constants],
            output=[self.outputs[name] for name in made if name in self.outputs],
        )
        return onnx.ModelProto(
            ir_version=self.model.ir_version, opset_import=self.model.opset_import, graph=graph
        )
