"""Rules on layers. Each function's docstring is the user's error message and a line of the docs.

A rule returns None where it holds, else the offending value. Its docstring reads "what must hold;
what to do instead."
"""

from math import prod

import numpy as np

from compiler.graph import Graph, Node
from compiler.names import printable
from compiler.quantisation import is_constant, real_constant
from compiler.windows import sliding_window, spatial_size


def reads_a_map(graph: Graph, node: Node) -> str | None:
    """The input must be one map [1, C, H, W] or line [1, C, L]; reshape 3-D data to 2-D maps."""
    shape = graph.shape(node.input(0))
    return None if len(shape) in (3, 4) and shape[0] == 1 else str(list(shape))


def has_channels(graph: Graph, node: Node) -> str | None:
    """The input must be one map [1, C, ...]; normalise its second axis."""
    shape = graph.shape(node.input(0))
    return None if len(shape) >= 2 and shape[0] == 1 else str(list(shape))


def pads_one_way(_graph: Graph, node: Node) -> str | None:
    """Either auto_pad or pads may be given; keep one of them."""
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad == "NOTSET" or not any(node.integers("pads", ())):
        return None
    return f"auto_pad {printable(auto_pad)} and pads {list(node.integers('pads', ()))}"


def rounds_given_pads(_graph: Graph, node: Node) -> str | None:
    """The attribute ceil_mode may be 1 only with auto_pad NOTSET; give explicit pads."""
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad == "NOTSET" or not node.integer("ceil_mode", 0):
        return None
    return f"ceil_mode 1 and auto_pad {printable(auto_pad)}"


def gives_no_indices(_graph: Graph, node: Node) -> str | None:
    """Only the first output may be used; remove what reads the others."""
    extra = [name for name in node.outputs[1:] if name]
    return f"{1 + len(extra)} outputs" if extra else None


def has_room_for_its_window(graph: Graph, node: Node) -> str | None:
    """The window must not be larger than the padded input; use larger images or smaller kernels."""
    window, size = sliding_window(graph, node).window, spatial_size(graph, node)
    padded = [size[axis] + window.padding[axis] + window.padding[2 + axis] for axis in (0, 1)]
    if window.extent[0] <= padded[0] and window.extent[1] <= padded[1]:
        return None
    return f"{list(window.extent)} pixels in {padded}"


def has_no_empty_window(graph: Graph, node: Node) -> str | None:
    """Every window must hold at least one pixel that is no padding; reduce the pads."""
    window, size = sliding_window(graph, node).window, spatial_size(graph, node)
    for axis, outputs in enumerate(window.output_size(*size)):
        starts = np.arange(outputs) * window.stride[axis] - window.padding[axis]
        above = np.maximum(-(starts // window.dilation[axis]), 0)  # taps before the map's first
        first = starts + above * window.dilation[axis]
        if not np.all((above < window.kernel[axis]) & (first < size[axis])):
            return f"pads {list(window.padding)} for kernel {list(window.kernel)}"
    return None


def averages_the_map(graph: Graph, node: Node) -> str | None:
    """All axes but the batch and one other must be reduced; use AveragePool or Conv instead."""
    axes = reduced_axes(graph, node)
    if axes is None:
        return "axes computed at run time, or none"
    kept = [axis for axis in range(len(graph.shape(node.input(0)))) if axis not in axes]
    has_batch = graph.shape(node.input(0))[0] == 1 and kept[:1] == [0]
    return None if has_batch and len(kept) == 2 else f"axes {axes}"


def is_not_transposed(_graph: Graph, node: Node) -> str | None:
    """The attribute transA must be 0; export the fully connected layer as input x weights."""
    value = node.integer("transA", 0)
    return None if value == 0 else str(value)


def is_not_scaled(_graph: Graph, node: Node) -> str | None:
    """The attributes alpha and beta must be 1; multiply them into the weights and the bias."""
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    return None if alpha == beta == 1.0 else f"alpha {alpha:g}, beta {beta:g}"


def normalises_a_map(graph: Graph, node: Node) -> str | None:
    """The input must be one map [1, C, H, W]; reshape it to one before."""
    shape = graph.shape(node.input(0))
    return None if len(shape) == 4 and shape[0] == 1 else str(list(shape))


def has_a_centre(_graph: Graph, node: Node) -> str | None:
    """The attribute size must be odd, 1 to 1023; train with such a one."""
    size = node.integer("size", 0)
    return None if size % 2 and 1 <= size <= 1023 else str(size)


def has_positive_factors(_graph: Graph, node: Node) -> str | None:
    """The attributes alpha, beta and bias must be positive and finite; train with such ones."""
    factors = [
        node.number("alpha", 1e-4),
        node.number("beta", 0.75),
        node.number("bias", 1.0),
    ]
    if all(np.isfinite(each) and each > 0 for each in factors):
        return None
    return "alpha {:g}, beta {:g}, bias {:g}".format(*factors)


def fits_the_host(graph: Graph, node: Node) -> str | None:
    """What the host computes may have at most 2^23 elements; use smaller images."""
    elements = prod(graph.shape(node.input(0)))
    return None if elements <= 1 << 23 else str(elements)


def has_finite_constants(graph: Graph, node: Node) -> str | None:
    """Constants must be finite numbers; train again."""
    for name in node.inputs:
        values = real_constant(graph, name)
        if values is not None and not np.isfinite(values).all():
            return f"'{name}'"
    return None


def has_one_constant(graph: Graph, node: Node) -> str | None:
    """One input must be constant; for a - b of activations use a Neg of b and an Add."""
    constants = [name for name in node.inputs if is_constant(graph, name)]
    return None if len(constants) == 1 else f"{len(constants)} constants"


def joins_activations(graph: Graph, node: Node) -> str | None:
    """No input may be constant; make the constant part of the layers before and after."""
    constants = [name for name in node.inputs if is_constant(graph, name)]
    return f"'{constants[0]}'" if constants else None


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


def has_one_slope(graph: Graph, node: Node) -> str | None:
    """The slope of a PRelu must be one finite constant; train with one slope for all channels."""
    slope = real_constant(graph, node.input(1))
    if slope is None:
        return "a slope computed at run time"
    if slope.size != 1 or not np.isfinite(slope).all():
        return f"{slope.size} slopes" if slope.size != 1 else "a slope that is not finite"
    return None


def has_constant_ranges(graph: Graph, node: Node) -> str | None:
    """Starts, ends, axes and steps of a Slice must be constants; make them initialisers."""
    variable = [name for name in node.inputs[1:] if name and name not in graph.constants]
    return f"'{variable[0]}'" if variable else None


def has_constant_sizes(graph: Graph, node: Node) -> str | None:
    """The sizes of a Split must be constants; make them initialisers."""
    name = node.input(1)
    return f"'{name}'" if name and name not in graph.constants else None


def takes_steps_of_one(graph: Graph, node: Node) -> str | None:
    """The steps of a Slice must be 1; use a Conv or MaxPool with a stride instead."""
    steps = graph.constants[node.input(4)] if node.input(4) else np.ones(1)
    wrong = steps.reshape(-1)[steps.reshape(-1) != 1]
    return str(wrong[0]) if wrong.size else None


def permutes_all_axes(graph: Graph, node: Node) -> str | None:
    """The attribute perm must name every axis once; export the model again."""
    rank = len(graph.shape(node.input(0)))
    perm = node.integers("perm", tuple(range(rank)))
    return None if sorted(perm) == list(range(rank)) else str(list(perm))


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


def reduced_axes(graph: Graph, node: Node) -> list[int] | None:
    """The axes of a ReduceMean, counted from the front; None if they are not constant."""
    axes: tuple[int, ...] = node.integers("axes", ())
    if node.input(1):
        if node.input(1) not in graph.constants:
            return None
        axes = tuple(int(axis) for axis in graph.constants[node.input(1)].reshape(-1))
    rank = len(graph.shape(node.input(0)))
    return sorted({axis % rank for axis in axes}) or None
