"""Rules on layers. Each function's docstring is the user's error message and a line of the docs.

A rule returns None where it holds, else the offending value. Its docstring reads "what must hold;
what to do instead."
"""

import numpy as np

from compiler.graph import Graph, Node
from compiler.quantisation import real_constant
from compiler.windows import window_of

_LINEAR = {"Conv", "Gemm", "MatMul"}


def reads_a_map(graph: Graph, node: Node) -> str | None:
    """The input must be a map [1, C, H, W]; reshape 1-D and 3-D data to 2-D maps."""
    shape = graph.shape(node.input(0))
    return None if len(shape) == 4 else str(list(shape))


def reads_a_vector(graph: Graph, node: Node) -> str | None:
    """The input must be a vector [1, F]; put a Flatten before it."""
    shape = graph.shape(node.input(0))
    return None if len(shape) == 2 else str(list(shape))


def has_one_group(_graph: Graph, node: Node) -> str | None:
    """The attribute group must be 1; replace a grouped or depthwise Conv by ordinary ones."""
    group = node.integer("group", 1)
    return None if group == 1 else str(group)


def pads_one_way(_graph: Graph, node: Node) -> str | None:
    """Either auto_pad or pads may be given; keep one of them."""
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad == "NOTSET" or not any(node.integers("pads", ())):
        return None
    return f"auto_pad {auto_pad} and pads {list(node.integers('pads', ()))}"


def rounds_sizes_down(_graph: Graph, node: Node) -> str | None:
    """The attribute ceil_mode must be 0; export with ceil_mode=False, or give explicit pads."""
    mode = node.integer("ceil_mode", 0)
    return None if mode == 0 else str(mode)


def gives_no_indices(_graph: Graph, node: Node) -> str | None:
    """Only the first output may be used; remove what reads the others."""
    extra = [name for name in node.outputs[1:] if name]
    return f"{1 + len(extra)} outputs" if extra else None


def has_no_empty_window(graph: Graph, node: Node) -> str | None:
    """Every window must hold at least one pixel that is no padding; reduce the pads."""
    window = window_of(graph, node)
    pads, kernel = window.padding, window.kernel
    for axis, size in enumerate(graph.shape(node.input(0))[2:]):
        before, step = pads[axis], window.dilation[axis]
        taps = np.arange(kernel[axis]) * step
        starts = np.arange(graph.shape(node.output)[2 + axis]) * window.stride[axis] - before
        at = starts[:, None] + taps
        if not np.all(np.any((at >= 0) & (at < size), axis=1)):
            return f"pads {list(pads)} for kernel {list(kernel)}"
    return None


def is_not_transposed(_graph: Graph, node: Node) -> str | None:
    """The attribute transA must be 0; export the fully connected layer as input x weights."""
    value = node.integer("transA", 0)
    return None if value == 0 else str(value)


def is_not_scaled(_graph: Graph, node: Node) -> str | None:
    """The attributes alpha and beta must be 1; multiply them into the weights and the bias."""
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    return None if alpha == beta == 1.0 else f"alpha {alpha:g}, beta {beta:g}"


def does_not_add_activations(graph: Graph, node: Node) -> str | None:
    """One input must be constant: adding two activations (a residual connection) is not supported \
    yet; use a network without residual connections."""
    constants = [name for name in node.inputs if real_constant(graph, name) is not None]
    return None if len(constants) == 1 else f"{len(constants)} constants"


def adds_a_bias(graph: Graph, node: Node) -> str | None:
    """An Add of a constant must follow a Conv, Gemm or MatMul, with no QuantizeLinear between; \
    run onnxruntime.quantization.preprocess before quantising, which fuses them."""
    return _follows_linear(graph, node)


def adds_per_channel(graph: Graph, node: Node) -> str | None:
    """The added constant must have one value, or one for each channel; train with such a bias."""
    shape = graph.shape(node.output)
    constant = next(name for name in node.inputs if real_constant(graph, name) is not None)
    added = graph.shape(constant)
    padded = (1,) * (len(shape) - len(added)) + added
    fits = set(padded[:1] + padded[2:]) <= {1} and padded[1] in (1, shape[1])
    return None if fits else str(list(added))


def normalises_a_layer(graph: Graph, node: Node) -> str | None:
    """A BatchNormalization must follow a Conv, Gemm or MatMul, with no QuantizeLinear between; \
    run onnxruntime.quantization.preprocess before quantising, which folds it."""
    return _follows_linear(graph, node)


def has_constant_statistics(graph: Graph, node: Node) -> str | None:
    """Scale, bias, mean and variance must be finite constants; export the model for inference."""
    for name in node.inputs[1:]:
        values = real_constant(graph, name)
        if values is None or not np.isfinite(values).all():
            return f"'{name}'"
    return None


def is_in_inference_mode(_graph: Graph, node: Node) -> str | None:
    """The operator must be in inference mode; export the model with training off."""
    if node.operator == "Dropout":
        return "Dropout in training mode, or its mask in use"
    mode = node.integer("training_mode", 0)
    return None if mode == 0 else f"training_mode {mode}"


def has_constant_bounds(graph: Graph, node: Node) -> str | None:
    """The bounds of a Clip must be constant, in order and not NaN; make them initialisers."""
    bounds = clip_bounds(graph, node)
    if bounds is None:
        return "bounds computed at run time"
    low, high = bounds
    return None if low <= high else f"{low:g} to {high:g}"


def keeps_order(graph: Graph, node: Node) -> str | None:
    """A reshape must make a vector [1, F] or [1, F, 1, 1], or change nothing; remove the others."""
    before, after = graph.shape(node.input(0)), graph.shape(node.output)
    if after == before or len(after) == 2 or (len(after) == 4 and after[2:] == (1, 1)):
        return None if after[0] == 1 else f"{list(before)} to {list(after)}"
    return f"{list(before)} to {list(after)}"


def clip_bounds(graph: Graph, node: Node) -> tuple[float, float] | None:
    """Lowest and highest output of a Clip; None if they are not constant."""
    bounds = []
    for index, default in ((1, -np.inf), (2, np.inf)):
        name = node.input(index)
        values = real_constant(graph, name) if name else np.array(default)
        if values is None or values.size != 1:
            return None
        bounds.append(float(values.reshape(-1)[0]))
    return bounds[0], bounds[1]


def _follows_linear(graph: Graph, node: Node) -> str | None:
    """None if the node continues a linear layer, else what it follows."""
    activation = next((name for name in node.inputs if real_constant(graph, name) is None), "")
    before = graph.producer(activation)
    if before is None:
        return "the model's input or a constant"
    continues = before.operator in (_LINEAR | {"Add", "BatchNormalization"})
    return None if continues else before.operator
