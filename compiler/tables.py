"""Fifth step: a chain of functions of one number becomes a table.

The functions are those of ONNX Runtime in float32, computed once for every byte that the input can
hold, or at the ends of 256 segments of a 16-bit input; quantisation around them is ONNX's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.errors import ModelError
from compiler.graph import Graph, Node
from compiler.onnx_file import first_line
from compiler.quantisation import Quantisation, expect_real, is_constant
from sim.golden.elementwise import table_outputs
from sim.host import RUNTIME_ERRORS, run_model
from sim.network import TensorSpec

# Inputs of 16 bits that share a segment.
_SEGMENT = 256
# The file format of onnx 1.13, which every opset can be written in.
_IR_VERSION = 8


def table_of(
    graph: Graph, nodes: Sequence[Node], source: TensorSpec, target: Quantisation
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The table of ``nodes`` one after the other, in the form of ``sim.network.Table``.

    Where a function is not defined (the root of a negative number), the output is real 0. Raises
    ``ModelError`` for a function of 16 bits that straight lines do not follow closely.
    """
    if source.bits == 8:
        every = np.arange(256, dtype=np.uint8).view(source.dtype).astype(np.int64)
        return _outputs(graph, nodes, every, source, target).astype(np.uint8)
    low, high = source.limits
    q = np.arange(low, high + 2, dtype=np.int64)
    outputs = _outputs(graph, nodes, q, source, target)
    ends = outputs[::_SEGMENT]
    changes = np.clip(np.diff(ends), -(1 << 15), (1 << 15) - 1)
    segments = np.stack([ends[:-1], changes], axis=1).astype(np.uint16)
    # Entries by the bits of the input: those of negative inputs come last.
    table = np.roll(segments, low // _SEGMENT, axis=0)
    found = table_outputs(table, q[:-1].astype(np.uint16)).astype(np.int64)
    if target.signed:
        found = found.astype(np.int16).astype(np.int64)
    error = int(np.abs(found - outputs[:-1]).max())
    if error > _SEGMENT:
        raise ModelError(
            f"{nodes[0].label}: at 16 bits a function must lie within {_SEGMENT} steps of the "
            f"lines between its values at every {_SEGMENT}th input, got {error} steps; quantise "
            "the model with 8-bit activations, or use a smoother function"
        )
    return table


def _outputs(
    graph: Graph,
    nodes: Sequence[Node],
    q: NDArray[np.int64],
    source: TensorSpec,
    target: Quantisation,
) -> NDArray[np.int64]:
    """What ``nodes`` make of the inputs ``q``, quantised as ``target``."""
    real = ((q - source.zero_point).astype(np.float32) * source.scale).astype(np.float32)
    values = _computed(_model(graph, nodes, len(q)), real, nodes[0].label)
    low, high = target.limits
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.rint(values / target.scale).astype(np.float64)
    quantised = np.clip(
        np.nan_to_num(rounded, posinf=1e9, neginf=-1e9) + target.zero_point, low, high
    )
    return np.asarray(quantised, np.int64)


def _model(graph: Graph, nodes: Sequence[Node], size: int) -> bytes:
    """A float model of the nodes alone, from ``x`` [``size``] to ``y``; constants are scalars."""
    made: list[onnx.NodeProto] = []
    constants: list[TensorProto] = []
    tensor = "x"
    for index, node in enumerate(nodes):
        inputs = []
        for position, name in enumerate(node.inputs):
            if name and is_constant(graph, name):
                value = np.asarray(expect_real(graph, name).reshape(-1)[0], np.float32)
                inputs.append(f"c{index}_{position}")
                constants.append(numpy_helper.from_array(value, inputs[-1]))
            else:
                inputs.append(tensor if name else "")
        tensor = "y" if index == len(nodes) - 1 else f"t{index}"
        attributes: dict[str, Any] = dict(node.attributes)
        made.append(helper.make_node(node.operator, inputs, [tensor], **attributes))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name in "xy")
    model = helper.make_model(
        helper.make_graph(made, "table", [x], [y], constants),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=_IR_VERSION,
    )
    return bytes(model.SerializeToString())


def _computed(model: bytes, x: NDArray[np.float32], label: str) -> NDArray[np.float32]:
    try:
        return np.asarray(run_model(model, x), np.float32)
    except RUNTIME_ERRORS as error:
        raise ModelError(
            f"{label}: ONNX Runtime must be able to compute the function, got "
            f"'{first_line(error)}'; use another opset"
        ) from error
