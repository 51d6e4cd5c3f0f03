"""Hand-written QDQ models, node by node: input for tests of single rules of the front end."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


@dataclass
class QdqGraph:
    """Nodes and constants in order of appearance; ``tensor`` is the last activation.

    ``elements`` is the type of the model's output.
    """

    shape: tuple[int | str, ...] = (1, 3, 6, 5)
    opset: int = 17
    tensor: str = "x"
    elements: int = TensorProto.FLOAT
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> "QdqGraph":
        """Append an operator on the last activation; ``inputs`` are its further inputs."""
        name = name or f"{operator.lower()}{len(self.nodes)}"
        self.raw(operator, (self.tensor, *inputs), f"{name}_out", name, **attributes)
        self.tensor = f"{name}_out"
        return self

    def raw(
        self, operator: str, inputs: tuple[str, ...], output: str, name: str, **attributes: Any
    ) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name, **attributes))
        return output

    def qdq(self, scale: Any = 0.5, zero_point: Any = 0, dtype: Any = np.int8) -> "QdqGraph":
        """Append a QuantizeLinear and a DequantizeLinear."""
        name = f"q{len(self.nodes)}"
        parameters = (
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", zero_point, dtype),
        )
        self.node("QuantizeLinear", *parameters, name=name)
        return self.node("DequantizeLinear", *parameters, name=f"d{name}")

    def weights(
        self,
        name: str,
        values: Any,
        scale: Any = 0.25,
        zero_point: Any = 0,
        dtype: Any = np.int8,
        **attributes: Any,
    ) -> str:
        """A quantised constant behind a DequantizeLinear."""
        inputs = (
            self.constant(f"{name}_q", values, dtype),
            self.constant(f"{name}_scale", scale),
            self.constant(
                f"{name}_zero_point", np.broadcast_to(zero_point, np.shape(scale)), dtype
            ),
        )
        return self.raw("DequantizeLinear", inputs, name, f"{name}_dq", **attributes)

    def conv(
        self, *more: str, weights: NDArray[Any] | None = None, **attributes: Any
    ) -> "QdqGraph":
        """A Conv named ``conv`` of weight scale 0.25, by default 3x3 to 4 channels, of ones."""
        values = np.ones((4, 3, 3, 3)) if weights is None else weights
        return self.node("Conv", self.weights("w", values), *more, name="conv", **attributes)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.tensor, self.elements, None)],
            self.constants,
        )
        others = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(o, 1) for o in others)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def save(self, folder: Path) -> Path:
        path = folder / "net.onnx"
        path.write_bytes(self.model().SerializeToString())
        return path
