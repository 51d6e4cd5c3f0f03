"""Small models of every form that is read, for the fuzzing of the reader to begin with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnxruntime.quantization import QuantFormat

from tests.support.branching_models import BLOCKS, HEADS, INTEGER_BLOCKS, INTEGER_HEADS, Block
from tests.support.qdq_models import FloatNet, quantised

SEED = 11


def write_seeds(folder: Path) -> list[Path]:
    """Quantised models in QDQ form and of integer operators, and float ones: a block each."""
    return sorted([*_written(folder, integer=False), *_written(folder, integer=True)])


def _written(folder: Path, *, integer: bool) -> Iterator[Path]:
    blocks, heads = (INTEGER_BLOCKS, INTEGER_HEADS) if integer else (BLOCKS, HEADS)
    format_ = QuantFormat.QOperator if integer else QuantFormat.QDQ
    for index, block in enumerate(blocks):
        rng = np.random.default_rng(SEED + index)
        net = _net(rng, block, heads[index % len(heads)])
        name = f"{'integer' if integer else 'qdq'}_{index}_{block.__name__}"
        images = rng.normal(size=(2, *net.input_shape[1:])).astype(np.float32)
        yield quantised(net.model(batch="N"), images, folder / f"{name}.onnx", quant_format=format_)
        (folder / f"{name}.folded.onnx").unlink()
        if not integer:
            yield folder / f"{name}.float.onnx"
        else:
            (folder / f"{name}.float.onnx").unlink()


def _net(rng: np.random.Generator, block: Block, head: Block) -> FloatNet:
    net = FloatNet(rng, (1, 2, 6, 6))
    net.conv(4, (3, 3), pads=[1, 1, 1, 1]).add("Relu")
    block(net, rng)
    head(net, rng)
    return net
