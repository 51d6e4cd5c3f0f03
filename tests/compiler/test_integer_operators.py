"""Integer operators against ONNX Runtime, which has them; all scales are powers of two."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
from compiler.integer_operators import INTEGER_OPERATORS
from sim.network import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Slice,
    Table,
)
from tests.support.exact_models import assert_exact
from tests.support.qdq_graph import QdqGraph

Triple = tuple[str, str, str]


class IntegerGraph(QdqGraph):
    """A model whose activations are bytes; ``q`` is the last of them with its parameters."""

    q: Triple

    def start(self, scale: float = 0.5, zero_point: int = 128) -> "IntegerGraph":
        parameters = self.parameters("x", scale, zero_point)
        self.raw("QuantizeLinear", ("x", *parameters), "x_q", "quantise")
        self.q = ("x_q", *parameters)
        return self

    def parameters(self, name: str, scale: Any, zero_point: Any) -> tuple[str, str]:
        zero_points = np.broadcast_to(zero_point, np.shape(scale))
        return (
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", zero_points, np.uint8),
        )

    def triple(self, name: str, values: Any, scale: Any) -> Triple:
        """int8 weights."""
        return (
            self.constant(name, values, np.int8),
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", np.zeros(np.shape(scale)), np.int8),
        )

    def step(
        self,
        operator: str,
        *inputs: str,
        scale: float = 1.0,
        zero_point: int = 100,
        result_first: bool = False,
        **attributes: Any,
    ) -> "IntegerGraph":
        """Append an integer operator of ``inputs`` whose output has these parameters."""
        name = f"{operator.lower()}{len(self.nodes)}"
        parameters = self.parameters(name, scale, zero_point)
        order = (*parameters, *inputs) if result_first else (*inputs, *parameters)
        domain = INTEGER_OPERATORS[operator].domain
        if operator == "QLinearConv" and len(inputs) == 7:
            order = (*inputs[:6], *parameters, inputs[6])
        self.raw(operator, order, f"{name}_out", name, domain=domain, **attributes)
        self.q = (f"{name}_out", *parameters)
        return self

    def move(self, operator: str, *inputs: str, **attributes: Any) -> "IntegerGraph":
        """Append an operator that moves bytes."""
        name = f"{operator.lower()}{len(self.nodes)}"
        self.raw(operator, (self.q[0], *inputs), f"{name}_out", name, **attributes)
        self.q = (f"{name}_out", *self.q[1:])
        return self

    def finish(self) -> "IntegerGraph":
        self.tensor = self.raw("DequantizeLinear", self.q, "y", "dequantise")
        return self


def kinds(graph: IntegerGraph, folder: Path) -> list[type[Layer]]:
    layers = assert_exact(graph.finish(), folder).network.layers
    return [type(layer) for layer in layers]


def conv(graph: IntegerGraph, *, bias: bool = True, **attributes: Any) -> IntegerGraph:
    weights = graph.triple("w", np.arange(-54, 54).reshape(4, 3, 3, 3), [0.25, 0.5, 1.0, 0.125])
    more = [graph.constant("b", [100, -100, 7, 0], np.int32)] if bias else []
    return graph.step("QLinearConv", *graph.q, *weights, *more, scale=64.0, **attributes)


@pytest.mark.parametrize("bias", [False, True])
def test_convolution(bias: bool, tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start(), bias=bias, pads=[1, 0, 1, 1], strides=[1, 2])
    assert kinds(graph, tmp_path) == [Conv]


def test_bias_is_kept_exactly(tmp_path: Path) -> None:
    (layer,) = read_network(conv(IntegerGraph().start()).finish().save(tmp_path)).network.layers
    assert isinstance(layer, Conv)
    assert layer.bias.tolist() == [100, -100, 7, 0]
    assert layer.name.startswith("qlinearconv")


@pytest.mark.parametrize("scale", [0.5, [0.5, 0.25, 1.0]])
def test_matrix_product(scale: Any, tmp_path: Path) -> None:
    graph = IntegerGraph(shape=(1, 6)).start()
    weights = graph.triple("w", np.arange(-9, 9).reshape(6, 3), scale)
    assert kinds(graph.step("QLinearMatMul", *graph.q, *weights, scale=8.0), tmp_path) == [Conv]


@pytest.mark.parametrize("transposed", [0, 1])
def test_fully_connected(transposed: int, tmp_path: Path) -> None:
    graph = IntegerGraph(shape=(1, 6)).start()
    values = np.arange(-9, 9).reshape((3, 6) if transposed else (6, 3))
    weights = graph.triple("w", values, [0.5, 0.25, 1.0])
    bias = graph.constant("b", [5, -5, 50], np.int32)
    graph.step("QGemm", *graph.q, *weights, bias, scale=8.0, transB=transposed)
    assert kinds(graph, tmp_path) == [Conv]


@pytest.mark.parametrize(("operator", "kind"), [("QLinearAdd", Add), ("QLinearMul", Multiply)])
def test_sums_and_products(operator: str, kind: type[Layer], tmp_path: Path) -> None:
    graph = IntegerGraph().start()
    first = graph.q
    second = graph.step("QLinearLeakyRelu", *first, alpha=0.5, scale=0.25).q
    graph.step(operator, *first, *second, scale=8.0)
    assert kinds(graph, tmp_path) == [Table, kind]


def test_concatenation(tmp_path: Path) -> None:
    graph = IntegerGraph().start()
    first = graph.q
    second = graph.step("QLinearLeakyRelu", *first, alpha=0.5, scale=0.5, zero_point=128).q
    graph.step(
        "QLinearConcat", *first, *second, scale=0.5, zero_point=128, result_first=True, axis=1
    )
    assert kinds(graph, tmp_path) == [Table, Concat]


def test_poolings(tmp_path: Path) -> None:
    graph = IntegerGraph(shape=(1, 3, 6, 10)).start()
    graph.step("QLinearAveragePool", *graph.q, scale=0.25, kernel_shape=[2, 2], strides=[2, 2],
               pads=[1, 1, 1, 1])  # fmt: skip
    graph.move("MaxPool", kernel_shape=[1, 3], strides=[4, 3])
    graph.step("QLinearGlobalAveragePool", *graph.q, scale=0.125, channels_last=0)
    assert kinds(graph, tmp_path) == [AveragePool, MaxPool, AveragePool]


@pytest.mark.parametrize("operator", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_functions(operator: str, tmp_path: Path) -> None:
    graph = IntegerGraph().start(0.0625)
    assert kinds(graph.step(operator, *graph.q, scale=2.0**-8, zero_point=0), tmp_path) == [Table]


def test_bytes_may_move_between(tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start())
    graph.move("Transpose", perm=[0, 1, 3, 2]).move("Transpose", perm=[0, 1, 3, 2])
    graph.move("Flatten").move("Reshape", graph.constant("s", [1, 4, 4, 3], np.int64))
    graph.move("MaxPool", kernel_shape=[2, 2])
    numbers = {"starts": [1], "ends": [4], "axes": [1]}
    graph.move("Slice", *(graph.constant(k, v, np.int64) for k, v in numbers.items()))
    assert kinds(graph, tmp_path) == [Conv, MaxPool, Slice]


def test_bytes_side_by_side(tmp_path: Path) -> None:
    """Concat without scales of its own: its inputs must have the same."""
    graph = IntegerGraph().start()
    first = graph.q
    graph.step("QLinearLeakyRelu", *first, alpha=0.5, scale=0.5, zero_point=128)
    graph.move("Concat", first[0], axis=1)
    assert kinds(graph, tmp_path) == [Table, Concat]
    graph = IntegerGraph().start()
    first = graph.q
    graph.step("QLinearLeakyRelu", *first, alpha=0.5, scale=0.25, zero_point=128)
    graph.move("Concat", first[0], axis=1)
    with pytest.raises(ModelError, match=r"activations must come from a QuantizeLinear, got "):
        read_network(graph.finish().save(tmp_path))


def test_quantizers_of_onnx_runtimes_own_domain(tmp_path: Path) -> None:
    graph = IntegerGraph().start()
    graph.nodes[0].domain = "com.microsoft"
    graph.step("QLinearLeakyRelu", *graph.q).finish()
    graph.nodes[-1].domain = "com.microsoft"
    assert_exact(graph, tmp_path)


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def test_missing_parameters(tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start()).finish()
    del graph.nodes[1].input[6:]
    assert refusal(graph, tmp_path) == (
        "node 'qlinearconv1' (QLinearConv): every operand and the output must have a scale and a "
        "zero point, got 6 inputs; quantise the model again"
    )


def test_channels_last(tmp_path: Path) -> None:
    graph = IntegerGraph().start()
    graph.step("QLinearGlobalAveragePool", *graph.q, channels_last=1)
    assert refusal(graph.finish(), tmp_path) == (
        "node 'qlinearglobalaveragepool1' (QLinearGlobalAveragePool): the attribute channels_last "
        "must be 0, got 1; save the model without ONNX Runtime's layout optimisations"
    )


def test_scales_computed_at_run_time(tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start()).finish()
    graph.nodes[1].input[1] = "x"
    assert refusal(graph, tmp_path) == (
        "node 'qlinearconv1' (QLinearConv): scales must be float32 initialisers, got 'x'; "
        "quantise statically, with quantize_static"
    )


def test_activations_of_several_scales(tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start()).finish()
    graph.nodes[1].input[1] = "w_scale"
    assert refusal(graph, tmp_path) == (
        "node 'qlinearconv1' (QLinearConv): activations must have one scale and one zero point, "
        "got 4 scales; quantise them per tensor"
    )


def test_integer_operators_of_the_wrong_domain(tmp_path: Path) -> None:
    graph = conv(IntegerGraph().start()).finish()
    graph.nodes[1].domain = "com.microsoft"
    assert refusal(graph, tmp_path).startswith(
        "node 'qlinearconv1' (QLinearConv): operators must come from the domain ai.onnx, got "
        "'com.microsoft'; "
    )


def test_names_that_are_taken(tmp_path: Path) -> None:
    """New tensors get names that the model does not have."""
    graph = IntegerGraph().start()
    graph.step("QLinearLeakyRelu", *graph.q, alpha=0.5)
    graph.nodes[0].output[0] = "x_q"
    graph.raw("Identity", ("x",), "x_q_real_", "taken")
    graph.nodes.insert(0, graph.nodes.pop())
    assert kinds(graph, tmp_path) == [Table]


def test_scales_without_a_product(tmp_path: Path) -> None:
    """Infinity times 0: refused by the rule on scales, without a warning of NumPy."""
    graph = IntegerGraph().start(scale=float("inf"))
    weights = graph.triple("w", np.ones((4, 3, 3, 3)), [0.0] * 4)
    bias = graph.constant("b", [1, 2, 3, 4], np.int32)
    graph.step("QLinearConv", *graph.q, *weights, bias).finish()
    assert refusal(graph, tmp_path).endswith(
        "every scale must be positive and finite, got inf; quantise again with more calibration "
        "data"
    )
