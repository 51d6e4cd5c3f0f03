"""What the front end refuses: every rule on layers and quantisation, with its whole message."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from arch.errors import ModelError
from compiler.frontend import read_network
from compiler.support import OPERATORS, rule_text
from tests.support.qdq_graph import QdqGraph

ONES = np.ones((4, 3, 3, 3))
SQUARE = np.ones((6, 6))


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def start() -> QdqGraph:
    return QdqGraph().qdq()


def conv_with(weights: Callable[[QdqGraph], str], *more: str) -> QdqGraph:
    graph = start()
    return graph.node("Conv", weights(graph), *more, name="conv").qdq()


def bias(values: object) -> QdqGraph:
    graph = start()
    return graph.conv(graph.constant("b", values)).qdq()


def max_pool(**attributes: object) -> QdqGraph:
    attributes.setdefault("kernel_shape", [2, 2])
    return start().node("MaxPool", name="pool", **attributes).qdq()


def gemm(weights: object = SQUARE, **attributes: object) -> QdqGraph:
    graph = QdqGraph(shape=(1, 6)).qdq()
    return graph.node("Gemm", graph.weights("w", weights), name="fc", **attributes).qdq()


def batch_norm(**attributes: object) -> QdqGraph:
    graph = start().conv()
    variance = np.full(4, np.nan) if not attributes else np.ones(4)
    parameters = [graph.constant(name, np.ones(4)) for name in ("g", "b", "m")]
    graph.node("BatchNormalization", *parameters, graph.constant("v", variance), name="bn")
    graph.nodes[-1].attribute.extend(
        helper.make_attribute(name, value) for name, value in attributes.items()
    )
    return graph.qdq()


def times(values: object, operator: str, weight: int = 1) -> QdqGraph:
    graph = start().conv(weights=weight * ONES)
    return graph.node(operator, graph.constant("c", values), name="scale").qdq()


def concat_with_constant() -> QdqGraph:
    graph = start()
    constant = graph.constant("c", np.ones((1, 1, 6, 5)))
    return graph.node("Concat", constant, name="join", axis=1).qdq()


def reduce_mean(axes: list[int] | None) -> QdqGraph:
    options = {} if axes is None else {"axes": axes}
    return start().node("ReduceMean", name="mean", **options).qdq()


def prelu(slope: object) -> QdqGraph:
    graph = start()
    return graph.node("PRelu", graph.constant("slope", slope), name="prelu").qdq()


def slice_steps(step: int) -> QdqGraph:
    graph = start()
    numbers = {"start": 0, "stop": 4, "axis": 2, "step": step}
    names = [graph.constant(name, [number], np.int64) for name, number in numbers.items()]
    return graph.node("Slice", *names, name="part").qdq()


def batch_norm_of_several() -> QdqGraph:
    graph = start().node("Reshape", "s")
    graph.constant("s", [3, 30], np.int64)
    names = [graph.constant(name, np.ones(30)) for name in "gbmv"]
    return graph.node("BatchNormalization", *names, name="bn").qdq()


def typed_quantizer() -> QdqGraph:
    graph = QdqGraph(opset=21)
    scale = graph.constant("s", 0.5)
    graph.node("QuantizeLinear", scale, name="q", output_dtype=onnx.TensorProto.INT8)
    return graph.node("DequantizeLinear", scale).node("Relu").qdq()


def add(values: object, *, conv: bool = True, shape: tuple[int, ...] = (1, 3, 6, 5)) -> QdqGraph:
    graph = QdqGraph(shape=shape).qdq()
    if conv:
        graph.conv()
    return graph.node("Add", graph.constant("b", values), name="add").qdq()


def unquantisable_weights() -> QdqGraph:
    graph = start()
    inputs = (graph.constant("w", ONES), graph.constant("s", -1.0), graph.constant("z", 0, np.int8))
    graph.raw("QuantizeLinear", inputs, "w_q", "quantise")
    graph.raw("DequantizeLinear", ("w_q", "s", "z"), "w_dq", "dequantise")
    return graph.node("Conv", "w_dq", name="conv").qdq()


def clip(*bounds: object) -> QdqGraph:
    graph = start()
    names = (graph.constant(f"bound{index}", bound) for index, bound in enumerate(bounds))
    return graph.node("Clip", *names, name="clip").qdq()


def variable_clip() -> QdqGraph:
    graph = QdqGraph(shape=(1, 1)).qdq()
    return graph.node("Clip", graph.tensor, name="clip").qdq()


def reshape(*shape: int) -> QdqGraph:
    graph = start()
    return graph.node("Reshape", graph.constant("s", shape, np.int64), name="reshape").qdq()


def training_dropout() -> QdqGraph:
    graph = start()
    return graph.node(
        "Dropout",
        graph.constant("ratio", 0.5),
        graph.constant("training", True, np.bool_),
        name="dropout",
    ).qdq()


def variable_weights() -> QdqGraph:
    graph = QdqGraph(shape=(1, 1, 3, 3)).qdq()
    return graph.node("Conv", graph.tensor, name="conv").qdq()


def blocked() -> QdqGraph:
    graph = QdqGraph(shape=(1, 6), opset=21).qdq()
    weights = graph.weights(
        "w", np.ones((6, 6)), np.ones((3, 6)), np.zeros((3, 6)), axis=0, block_size=2
    )
    return graph.node("Gemm", weights, name="fc").qdq()


def per_axis_activations() -> QdqGraph:
    return QdqGraph().qdq([0.5, 0.5, 0.25], [0, 0, 0]).conv().qdq()


def variable_scale() -> QdqGraph:
    graph = QdqGraph(shape=(1, 1)).qdq()
    zero = graph.constant("z", 0, np.int8)
    graph.node("QuantizeLinear", graph.tensor, zero, name="q")
    return graph.node("DequantizeLinear", "q0_scale", zero)


def matmul_of_a_map() -> QdqGraph:
    graph = start()
    return graph.node("MatMul", graph.weights("w", np.ones((5, 4))), name="fc").qdq()


def volume() -> QdqGraph:
    graph = start().node("Reshape", "s", name="reshape")
    graph.constant("s", [1, 3, 6, 5, 1], np.int64)
    weights = graph.weights("w", np.ones((4, 3, 1, 1, 1)))
    return graph.node("Conv", weights, name="conv3d").qdq()


def indices() -> QdqGraph:
    graph = max_pool()
    graph.nodes[2].output.append("indices")
    return graph


def normal_of_dynamic_bias() -> QdqGraph:
    graph = QdqGraph(shape=(1, 6)).qdq()
    return graph.node("Gemm", graph.weights("w", SQUARE), graph.tensor, name="fc").qdq()


RULES = [
    (
        lambda: start().conv(group=3).qdq(),
        "node 'conv' (Conv): the weights must fit the input channels, the groups and the "
        "kernel_shape, got weights [4, 3, 3, 3] for 3 channels and group 3; export the model again",
    ),
    (
        lambda: start().conv(weights=np.ones((4, 1, 3, 3)), group=3).qdq(),
        "node 'conv' (Conv): the weights must fit the input channels, the groups and the "
        "kernel_shape, got weights [4, 1, 3, 3] for 3 channels and group 3; export the model again",
    ),
    (
        lambda: start().conv(pads=[0, 1, 0, 1], auto_pad="VALID").qdq(),
        "node 'conv' (Conv): either auto_pad or pads may be given, "
        "got auto_pad VALID and pads [0, 1, 0, 1]; keep one of them",
    ),
    (
        lambda: max_pool(strides=[0, 1]),
        "the model's shapes do not fit together ([ShapeInferenceError] Inference error(s): "
        "(op_type:MaxPool, node name: pool): [ShapeInferenceError] Attribute strides must only "
        "contain positive values); export it again",
    ),
    (
        lambda: QdqGraph(shape=(1, 6)).qdq().node("GlobalAveragePool", name="gap").qdq(),
        "node 'gap' (GlobalAveragePool): the input must be one map [1, C, H, W] or line "
        "[1, C, L], got [1, 6]; reshape 3-D data to 2-D maps",
    ),
    (
        lambda: conv_with(lambda graph: graph.constant("w", ONES)),
        "node 'conv' (Conv): the weights must be an 8- or 16-bit constant behind a "
        "DequantizeLinear, got float32 weights; quantise this node too",
    ),
    (
        variable_weights,
        "node 'conv' (Conv): the weights must be an 8- or 16-bit constant behind a "
        "DequantizeLinear, got 'dq0_out', computed at run time; quantise this node too",
    ),
    (
        lambda: conv_with(lambda graph: graph.weights("w", 200 * ONES, dtype=np.uint8)),
        "node 'conv' (Conv): the weights must be of 8 or 16 bits, and less their zero point fit "
        "int8 or int16, got 200; quantise with weight_type=QuantType.QInt8 (or QInt16) and "
        "extra_options={'WeightSymmetric': True}",
    ),
    (
        lambda: conv_with(lambda graph: graph.weights("w", ONES, dtype=np.int32)),
        "node 'conv' (Conv): the weights must be of 8 or 16 bits, and less their zero point fit "
        "int8 or int16, got int32; quantise with weight_type=QuantType.QInt8 (or QInt16) and "
        "extra_options={'WeightSymmetric': True}",
    ),
    (
        lambda: conv_with(
            lambda graph: graph.weights("w", 126 * ONES, [0.5] * 4, [0, 0, -3, 0], axis=0)
        ),
        "node 'conv' (Conv): the zero point of int8 and int16 weights must be 0, got -3; quantise "
        "with extra_options={'WeightSymmetric': True}",
    ),
    (
        lambda: conv_with(lambda graph: graph.weights("w", ONES, [0.5] * 3, axis=1)),
        "node 'conv' (Conv): the weights must have one scale, or one for each output channel, "
        "got one for each element along axis 1; quantise them so",
    ),
    (
        lambda: start().conv(weights=np.ones((4, 2, 3, 3))).qdq(),
        "node 'conv' (Conv): the weights must fit the input channels, the groups and the "
        "kernel_shape, got weights [4, 2, 3, 3] for 3 channels and group 1; export the model again",
    ),
    (
        lambda: bias(np.ones((1, 2, 2))),
        "node 'conv' (Conv): the bias must be a constant of one value, or one for each output "
        "channel, got [1, 2, 2]; make it an initialiser",
    ),
    (
        lambda: gemm(np.ones((1, 6)), transA=1),
        "node 'fc' (Gemm): the attribute transA must be 0, got 1; "
        "export the fully connected layer as input x weights",
    ),
    (
        lambda: gemm(alpha=0.5, beta=2.0),
        "node 'fc' (Gemm): the attributes alpha and beta must be 1, got alpha 0.5, beta 2; "
        "multiply them into the weights and the bias",
    ),
    (
        matmul_of_a_map,
        "node 'fc' (MatMul): its input of shape [1, 3, 6, 5] must have its channels side by side "
        "in memory, got it transposed; export the model without the Transpose before it",
    ),
    (
        normal_of_dynamic_bias,
        "node 'fc' (Gemm): the bias must be a constant of one value, or one for each output "
        "channel, got 'dq0_out', computed at run time; make it an initialiser",
    ),
    (
        indices,
        "node 'pool' (MaxPool): only the first output may be used, got 2 outputs; "
        "remove what reads the others",
    ),
    (
        lambda: batch_norm(training_mode=0, epsilon=0.1, momentum=0.5).node("Relu"),
        "output 'relu7_out' must come from a DequantizeLinear, got node 'relu7' (Relu); "
        "quantise that node's output, or remove the node and compute it on the host",
    ),
    (
        variable_clip,
        "node 'clip' (Clip): the bounds of a Clip must be constant, in order and not NaN, "
        "got bounds computed at run time; make them initialisers",
    ),
    (
        lambda: max_pool(ceil_mode=1, auto_pad="SAME_UPPER"),
        "node 'pool' (MaxPool): the attribute ceil_mode may be 1 only with auto_pad NOTSET, got "
        "ceil_mode 1 and auto_pad SAME_UPPER; give explicit pads",
    ),
    (  # of 7 in 6 + 0 pixels, ONNX's inference makes an output, as -1 / 2 is 0 there
        lambda: max_pool(kernel_shape=[7, 1], strides=[2, 1]),
        "node 'pool' (MaxPool): the window must not be larger than the padded input, got [7, 1] "
        "pixels in [6, 5]; use larger images or smaller kernels",
    ),
    (
        lambda: start().conv(weights=np.ones((4, 3, 7, 1)), strides=[2, 1]).qdq(),
        "node 'conv' (Conv): the window must not be larger than the padded input, got [7, 1] "
        "pixels in [6, 5]; use larger images or smaller kernels",
    ),
    (
        lambda: max_pool(pads=[2, 0, 0, 0]),
        "node 'pool' (MaxPool): every window must hold at least one pixel that is no padding, "
        "got pads [2, 0, 0, 0] for kernel [2, 2]; reduce the pads",
    ),
    (
        batch_norm,
        "node 'bn' (BatchNormalization): scale, bias, mean and variance must be finite constants, "
        "got 'v'; export the model for inference",
    ),
    (
        volume,
        "node 'conv3d' (Conv): the input must be one map [1, C, H, W] or line [1, C, L], got "
        "[1, 3, 6, 5, 1]; reshape 3-D data to 2-D maps",
    ),
    (
        lambda: add(np.nan),
        "node 'add' (Add): constants must be finite numbers, got 'b'; train again",
    ),
    (
        lambda: start().node("Sub", "dq0_out", name="minus").qdq(),
        "node 'minus' (Sub): one input must be constant, got 0 constants; "
        "for a - b of activations use a Neg of b and an Add",
    ),
    (
        lambda: times(np.zeros(()), "Div"),
        "node 'scale' (Div): a gain must be finite, got inf; train with other constants",
    ),
    (
        lambda: times(np.full((4, 1, 1), -1.0), "Mul", weight=-128),
        "node 'scale' (Mul): a negative gain needs weights above -128, got -128; "
        "run onnxruntime.quantization.preprocess before quantising, which folds it",
    ),
    (
        concat_with_constant,
        "node 'join' (Concat): no input may be constant, got 'c'; "
        "make the constant part of the layers before and after",
    ),
    (
        lambda: reduce_mean([1]),
        "node 'mean' (ReduceMean): all axes but the batch and one other must be reduced, got "
        "axes [1]; use AveragePool or Conv instead",
    ),
    (
        lambda: reduce_mean(None),
        "node 'mean' (ReduceMean): all axes but the batch and one other must be reduced, got "
        "axes computed at run time, or none; use AveragePool or Conv instead",
    ),
    (
        lambda: prelu(np.ones((3, 1, 1))),
        "node 'prelu' (PRelu): the slope of a PRelu must be one finite constant, got 3 slopes; "
        "train with one slope for all channels",
    ),
    (
        lambda: start().node("Transpose", name="turn", perm=[0, 2, 1]).qdq(),
        "node 'turn' (Transpose): the attribute perm must name every axis once, got [0, 2, 1]; "
        "export the model again",
    ),
    (
        batch_norm_of_several,
        "node 'bn' (BatchNormalization): the input must be one map [1, C, ...], got [3, 30]; "
        "normalise its second axis",
    ),
    (
        typed_quantizer,
        "node 'q' (QuantizeLinear): the attribute output_dtype must be that of the zero point, "
        "float32 for a DequantizeLinear, got 3; leave it out",
    ),
    (
        lambda: slice_steps(2),
        "node 'part' (Slice): the steps of a Slice must be 1, got 2; "
        "use a Conv or MaxPool with a stride instead",
    ),
    (
        unquantisable_weights,
        "node 'quantise' (QuantizeLinear): every scale must be positive and finite, got -1; "
        "quantise again with more calibration data",
    ),
    (
        lambda: add(np.ones((4, 4, 1))),
        "node 'add' (Add): the constant must have one value, or one for each of the 4 channels, "
        "got shape [4, 4, 1]; train with such a constant",
    ),
    (
        lambda: add(np.ones((4, 1)), conv=False, shape=(1, 3, 1, 1)),
        "node 'add' (Add): the constant must have one value, or one for each of the 4 channels, "
        "got shape [4, 1]; train with such a constant",
    ),
    (
        lambda: clip(2.0, 1.0),
        "node 'clip' (Clip): the bounds of a Clip must be constant, in order and not NaN, "
        "got 2 to 1; make them initialisers",
    ),
    (
        lambda: clip(np.nan),
        "node 'clip' (Clip): the bounds of a Clip must be constant, in order and not NaN, "
        "got nan to inf; make them initialisers",
    ),
    (
        lambda: reshape(1, 2, 45),
        "node 'reshape' (Reshape): a reshape must merge and split whole axes, got [1, 3, 6, 5] to "
        "[1, 2, 45]; remove it",
    ),
    (
        lambda: reshape(3, 6, 5, 1).conv(weights=np.ones((4, 6, 1, 1))).qdq(),
        "node 'conv' (Conv): the input must be one map [1, C, H, W] or line [1, C, L], got "
        "[3, 6, 5, 1]; reshape 3-D data to 2-D maps",
    ),
    (
        lambda: QdqGraph(shape=(1, 3, 6)).qdq().node("LRN", name="norm", size=3).qdq(),
        "node 'norm' (LRN): the input must be one map [1, C, H, W], got [1, 3, 6]; "
        "reshape it to one before",
    ),
    (
        lambda: QdqGraph().qdq().node("LRN", name="norm", size=4).qdq(),
        "node 'norm' (LRN): the attribute size must be odd, 1 to 1023, got 4; "
        "train with such a one",
    ),
    (
        lambda: QdqGraph().qdq().node("LRN", name="norm", size=3, bias=-1.0).qdq(),
        "node 'norm' (LRN): the attributes alpha, beta and bias must be positive and finite, "
        "got alpha 0.0001, beta 0.75, bias -1; train with such ones",
    ),
    (
        lambda: QdqGraph(shape=(1, 3, 4096, 2048)).qdq().node("Softmax", name="top"),
        "node 'top' (Softmax): what the host computes may have at most 2^23 elements, "
        "got 25165824; use smaller images",
    ),
    (
        training_dropout,
        "node 'dropout' (Dropout): the operator must be in inference mode, got Dropout in training "
        "mode, or its mask in use; export the model with training off",
    ),
    (
        blocked,
        "node 'w_dq' (DequantizeLinear): the attribute block_size must be 0, got 2; "
        "quantise per tensor or per channel",
    ),
    (
        per_axis_activations,
        "node 'q0' (QuantizeLinear): activations must have one scale and one zero point, "
        "got 3 scales and 3 zero points; quantise them per tensor",
    ),
    (
        lambda: QdqGraph(opset=21).qdq(dtype=np.int16).conv().qdq(),
        "all activations must have one width, got 16 bits in tensor x and 8 in dq4_out; "
        "quantise all with one activation_type",
    ),
    (
        lambda: QdqGraph().qdq(scale=0.0).conv().qdq(),
        "node 'q0' (QuantizeLinear): every scale must be positive and finite, got 0; "
        "quantise again with more calibration data",
    ),
    (
        lambda: QdqGraph().qdq(scale=np.inf).conv().qdq(),
        "node 'q0' (QuantizeLinear): every scale must be positive and finite, got inf; "
        "quantise again with more calibration data",
    ),
    (
        lambda: conv_with(lambda graph: graph.weights("w", ONES, [0.5] * 3, axis=0)),
        "node 'w_dq' (DequantizeLinear): a constant must have one scale and zero point, or one "
        "along its axis, got 3 scales and 3 zero points for shape [4, 3, 3, 3]; quantise again",
    ),
    (
        variable_scale,
        "node 'q' (QuantizeLinear): scale and zero point must be constant, got 'dq0_out'; "
        "quantise statically, with quantize_static",
    ),
]


@pytest.mark.parametrize(("make", "message"), RULES, ids=range(len(RULES)))
def test_rules(make: Callable[[], QdqGraph], message: str, tmp_path: Path) -> None:
    received = refusal(make(), tmp_path)
    assert received == message


def test_every_rule_is_shown_to_refuse() -> None:
    rules = {rule for operator in OPERATORS.values() for rule in operator.rules}
    messages = [message for _, message in RULES]
    unseen = {
        rule.__name__
        for rule in rules
        if not any(f"): {rule_text(rule)[0]}, got " in message for message in messages)
    }
    # ONNX's types and shape inference refuse these before.
    assert unseen == {"has_whole_bytes", "has_constant_ranges", "has_constant_sizes"}
