"""Small models of every form that is read, for the fuzzing of the reader to begin with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantFormat, QuantType

from tests.support.branching_models import (
    BLOCKS,
    HEADS,
    INTEGER_BLOCKS,
    INTEGER_HEADS,
    Block,
    activation,
    inception,
    residual,
    shuffle,
)
from tests.support.host_models import random_host_model
from tests.support.qdq_models import FloatNet, quantised

SEED = 11
HOST_MODELS = 8
ACTIVATIONS = 6


def write_seeds(folder: Path) -> list[Path]:
    """Models in QDQ form, of integer operators, with steps of the host, of 16 bits, and float."""
    return sorted(
        [
            *_of_blocks(folder),
            *_of_integer_operators(folder),
            *_of_wide_words(folder),
            *(random_host_model(SEED + index, folder).path for index in range(HOST_MODELS)),
            _exported(folder),
        ]
    )


def _of_blocks(folder: Path) -> Iterator[Path]:
    """Both the quantised models and the float ones."""
    for index, block in enumerate((*BLOCKS, *[activation] * ACTIVATIONS)):
        name = f"qdq_{index}_{block.__name__}"
        pair = {"AddQDQPairToWeight": index % 2 == 1}
        yield _quantised(folder / f"{name}.onnx", index, block, HEADS, extra_options=pair)
        yield folder / f"{name}.float.onnx"


def _of_integer_operators(folder: Path) -> Iterator[Path]:
    for index, block in enumerate(INTEGER_BLOCKS):
        path = folder / f"integer_{index}_{block.__name__}.onnx"
        yield _quantised(path, index, block, INTEGER_HEADS, quant_format=QuantFormat.QOperator)
        path.with_suffix(".float.onnx").unlink()


def _of_wide_words(folder: Path) -> Iterator[Path]:
    """16 bits as ONNX has them from opset 21 on, and as ONNX Runtime has them before."""
    for index, block in enumerate((residual, activation, shuffle, inception)):
        path = folder / f"wide_{index}_{block.__name__}.onnx"
        opset = 21 if index < 2 else 17
        kinds = {"activation_type": QuantType.QInt16, "weight_type": QuantType.QInt16}
        yield _quantised(path, index, block, HEADS[:1], opset, **kinds)
        path.with_suffix(".float.onnx").unlink()


def _quantised(
    path: Path,
    index: int,
    block: Block,
    heads: tuple[Block, ...],
    opset: int = 17,
    **options: object,
) -> Path:
    rng = np.random.default_rng(SEED + index)
    net = FloatNet(rng, (1, 2, 6, 6))
    net.conv(4, (3, 3), pads=[1, 1, 1, 1]).add("Relu")
    block(net, rng)
    heads[index % len(heads)](net, rng)
    images = rng.normal(size=(2, *net.input_shape[1:])).astype(np.float32)
    made = quantised(net.model(opset, batch="N"), images, path, **options)
    path.with_suffix(".folded.onnx").unlink()
    return made


def _exported(folder: Path) -> Path:
    """A float model that works its shapes out at run time, as PyTorch exports it."""
    net = FloatNet(np.random.default_rng(SEED), (1, 2, 6, 6))
    net.conv(4, (3, 3), pads=[1, 1, 1, 1])
    model = net.model(batch="N")
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Constant", [], ["axis"], value_ints=[0]),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Shape", [net.tensor], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", ["batch", "axis"], ["batches"]),
        helper.make_node("Concat", ["batches", "rest"], ["flat"], axis=0),
        helper.make_node("Mul", [net.tensor, "half"], ["halved"]),
        helper.make_node("Reshape", ["halved", "flat"], ["y"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    path = folder / "exported.float.onnx"
    onnx.save(model, path)
    return path
