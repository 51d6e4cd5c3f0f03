"""Random float networks whose branches meet again: residuals, gates, concatenations, shuffles."""

from collections.abc import Callable

import numpy as np

from tests.support.qdq_models import FloatNet

Block = Callable[[FloatNet, np.random.Generator], None]


def random_branching_net(
    rng: np.random.Generator, blocks: int = 3, *, integer: bool = False
) -> FloatNet:
    """A stem, some blocks of every kind, and a classifier's head.

    With ``integer``, only of operators that ONNX Runtime has in integer form.
    """
    kinds, heads = (INTEGER_BLOCKS, INTEGER_HEADS) if integer else (BLOCKS, HEADS)
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(6, 11)), int(rng.integers(6, 11)))
    net = FloatNet(rng, shape)
    net.conv(int(rng.choice([4, 8, 12])), (3, 3), pads=[1, 1, 1, 1]).add("Relu")
    for _ in range(blocks):
        kinds[int(rng.integers(len(kinds)))](net, rng)
    heads[int(rng.integers(len(heads)))](net, rng)
    return net


def residual(net: FloatNet, rng: np.random.Generator) -> None:
    """x + convolutions of x, perhaps a ReLU behind."""
    shortcut, channels = net.tensor, net.shape[1]
    net.conv(channels, (3, 3), pads=[1, 1, 1, 1]).add("Relu")
    net.conv(channels, (1, 1)).add("Add", shortcut)
    if rng.random() < 0.7:
        net.add("Relu")


def squeeze_excite(net: FloatNet, rng: np.random.Generator) -> None:
    """Channels gated by what their means say."""
    x, shape = net.tensor, net.shape
    if rng.random() < 0.5:
        net.add("GlobalAveragePool").infer()
    else:
        net.add("ReduceMean", axes=[2, 3], keepdims=1).infer()
    net.conv(max(1, shape[1] // 4), (1, 1)).add("Relu").conv(shape[1], (1, 1))
    net.add(str(rng.choice(["Sigmoid", "HardSigmoid"])))
    net.add("Mul", x)
    net.shape = shape


def depthwise_separable(net: FloatNet, rng: np.random.Generator) -> None:
    channels, each = net.shape[1], int(rng.integers(1, 3))
    net.grouped_conv(channels * each, (3, 3), channels, pads=[1, 1, 1, 1])
    net.add("Clip", net.number(0), net.number(6))
    net.conv(int(rng.choice([4, 8, 12])), (1, 1))


def inception(net: FloatNet, rng: np.random.Generator) -> None:
    """Branches of several kernels and a pooling, side by side."""
    x, shape = net.tensor, net.shape
    branches = []
    for kernel, pads in (((1, 1), [0, 0, 0, 0]), ((1, 5), [0, 2, 0, 2]), ((3, 1), [1, 0, 1, 0])):
        net.tensor, net.shape = x, shape
        net.conv(int(rng.integers(2, 6)), kernel, pads=pads)
        if rng.random() < 0.7:
            net.add("Relu")
        branches.append(net.tensor)
    net.tensor, net.shape = x, shape
    pool = str(rng.choice(["MaxPool", "AveragePool"]))
    net.add(pool, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    net.add("Concat", *branches, axis=1).infer()


def shuffle(net: FloatNet, rng: np.random.Generator) -> None:
    """A grouped 1x1 convolution, channels dealt among groups, a depthwise convolution."""
    groups = 2 if rng.random() < 0.5 else 4
    _, channels, height, width = net.shape
    if channels % groups:
        net.conv(8, (1, 1))
        channels = 8
    net.grouped_conv(channels, (1, 1), groups)
    apart = np.array([1, groups, channels // groups, height, width])
    net.add("Reshape", net.constant(apart)).add("Transpose", perm=[0, 2, 1, 3, 4])
    net.add("Reshape", net.constant(np.array([1, channels, height, width]))).infer()
    net.grouped_conv(channels, (3, 3), channels, pads=[1, 1, 1, 1])


def split_halves(net: FloatNet, rng: np.random.Generator) -> None:
    """Half of the channels goes through a convolution, by Split or by two Slices."""
    channels = net.shape[1]
    first = int(rng.integers(1, channels)) if channels > 1 else 0
    if not first:
        return
    x, shape = net.tensor, net.shape
    if rng.random() < 0.5:
        sizes = net.constant(np.array([first, channels - first]))
        left, right = net.split(sizes, 2)
    else:
        left = net.slice(x, 1, 0, first)
        right = net.slice(x, 1, first, channels)
    net.tensor, net.shape = right, (1, channels - first, *shape[2:])
    net.conv(channels - first, (1, 1)).add("Relu").add("Concat", left, axis=1).infer()


def activation(net: FloatNet, rng: np.random.Generator) -> None:
    """A function of one number after a convolution; SiLU as a product."""
    net.conv(net.shape[1], (1, 1))
    kind = int(rng.integers(7))
    x = net.tensor
    if kind == 0:
        net.add("Sigmoid").add("Mul", x)
    elif kind == 1:
        net.add("HardSwish")
    elif kind == 2:
        net.add("PRelu", net.constant(np.array([0.2], np.float32)))
    elif kind == 3:
        net.add("LeakyRelu", alpha=0.1)
    elif kind == 4:  # HardSwish, as older exporters write it
        net.add("Add", net.number(3))
        net.add("Clip", net.number(0), net.number(6))
        net.add("Mul", x).add("Div", net.number(6))
    else:
        net.add(str(rng.choice(["Tanh", "Elu", "Selu", "Softplus", "Erf", "Abs", "Neg", "Exp"])))


def integer_activation(net: FloatNet, rng: np.random.Generator) -> None:
    net.conv(net.shape[1], (1, 1))
    if rng.random() < 0.5:
        net.add("LeakyRelu", alpha=0.2)
    else:
        x = net.tensor
        net.add("Sigmoid").add("Mul", x)


def pool(net: FloatNet, rng: np.random.Generator) -> None:
    """A pooling with padding, rounded either way."""
    if min(net.shape[2:]) < 5:
        return
    options: dict[str, object] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    options["ceil_mode"] = int(rng.integers(2))
    if rng.random() < 0.5:
        net.add("AveragePool", **options, count_include_pad=int(rng.integers(2))).infer()
    else:
        net.add("MaxPool", **options).infer()


def normalise_first(net: FloatNet, rng: np.random.Generator) -> None:
    """Batch-norm, ReLU, convolution, and the input beside it: a dense layer."""
    x = net.tensor
    if rng.random() < 0.5:
        net.batch_norm()
    else:
        channels = net.shape[1]
        net.add("Mul", net.random(channels, 1, 1)).add("Add", net.random(1, channels, 1, 1))
    net.add("Relu").conv(4, (3, 3), pads=[1, 1, 1, 1]).add("Concat", x, axis=1).infer()


def _flat_head(net: FloatNet, _: np.random.Generator) -> None:
    net.add("Flatten").infer().gemm(5)


def _mean_head(net: FloatNet, _: np.random.Generator) -> None:
    net.add("ReduceMean", axes=[2, 3], keepdims=0).infer().gemm(7)


def _token_head(net: FloatNet, rng: np.random.Generator) -> None:
    """Pixels as rows of channels, as after a patch embedding."""
    _, channels, height, width = net.shape
    net.add("Reshape", net.constant(np.array([1, channels, height * width])))
    net.add("Transpose", perm=[0, 2, 1])
    x = net.tensor
    net.add("MatMul", net.random(channels, channels, scale=0.3)).add("Add", net.random(channels))
    net.add("Add", x)
    if rng.random() < 0.5:
        net.add("MatMul", net.random(channels, 3, scale=0.3))
    net.add("ReduceMean", axes=[1], keepdims=0).infer()


def _map_head(_: FloatNet, __: np.random.Generator) -> None:
    """The map itself."""


BLOCKS: tuple[Block, ...] = (
    residual,
    squeeze_excite,
    depthwise_separable,
    inception,
    shuffle,
    split_halves,
    activation,
    pool,
    normalise_first,
)
HEADS: tuple[Block, ...] = (_flat_head, _mean_head, _token_head, _map_head)
INTEGER_BLOCKS = (*BLOCKS[:6], integer_activation, pool)
INTEGER_HEADS = (_flat_head, _mean_head, _map_head)
