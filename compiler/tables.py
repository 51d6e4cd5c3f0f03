"""Fifth step: a chain of functions of one number becomes a table of 256 bytes.

The functions are those of ONNX Runtime in float32, computed once for every byte that the input can
hold; quantisation around them is ONNX's.
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
from sim.host import RUNTIME_ERRORS, run_model
from sim.network import TensorSpec

# The file format of onnx 1.13, which every opset can be written in.
_IR_VERSION = 8


def table_of(
    graph: Graph, nodes: Sequence[Node], source: TensorSpec, target: Quantisation
) -> NDArray[np.uint8]:
    """Output bits by input bits of ``nodes`` one after the other, uint8 [256].

    Where a function is not defined (the root of a negative number), the output is real 0.
    """
    bits = np.arange(256, dtype=np.uint8)
    q = bits.view(source.dtype).astype(np.int32)
    real = ((q - source.zero_point).astype(np.float32) * source.scale).astype(np.float32)
    values = _computed(_model(graph, nodes), real, nodes[0].label)
    low, high = target.limits
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.rint(values / target.scale).astype(np.float64)
    quantised = np.clip(
        np.nan_to_num(rounded, posinf=1e9, neginf=-1e9) + target.zero_point, low, high
    )
    return np.asarray(quantised.astype(np.int16).astype(np.uint8))


def _model(graph: Graph, nodes: Sequence[Node]) -> bytes:
    """A float model of the nodes alone, from ``x`` [256] to ``y``; constants are scalars."""
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
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [256]) for name in "xy")
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
