"""Before the first step, for models that are only looked at: untrusted, float or quantised."""

from pathlib import Path

import onnx

from compiler.float_model import check_nodes, check_total, normalised
from compiler.input_shape import InputShape
from compiler.integer_operators import expand_integer_operators
from compiler.onnx_file import MAX_FLOAT_FILE_BYTES, check_model, read_onnx
from compiler.shape_arithmetic import compute_shapes
from compiler.shapes import fix_input, infer_shapes
from compiler.support import is_quantised


def read_any(path: Path, shape: InputShape | None = None) -> onnx.ModelProto:
    """The model in an ONNX file, for one image, with the shape of every tensor.

    Integer operators are expanded to the QDQ form; operators need not be supported otherwise.
    Raises ``ModelError`` and ``InputError`` as ``read_float`` does, but for quantised models.
    """
    model = read_onnx(path, MAX_FLOAT_FILE_BYTES)
    if is_quantised(model):
        model = expand_integer_operators(model)
    check_nodes(model)
    model = fix_input(normalised(model), shape)
    check_model(model)
    model = infer_shapes(compute_shapes(model))
    check_total(model)
    return model
