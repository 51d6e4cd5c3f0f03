"""What kinds of operators there are, once they work on real numbers between 8-bit tensors."""

LINEAR = {"Conv", "Gemm", "MatMul"}
JOINS = {"Add", "Concat", "Mul"}
"""May read two or more activations."""
ARITHMETIC = {"Add", "Div", "Mul", "Sub"}
"""With a constant, they continue a linear operator, or are a function of one number."""
LAYOUT = {"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Give the same elements another shape."""
CUTS = {"Slice", "Split"}
"""Take a part of the elements."""
MOVES = LAYOUT | CUTS
CLAMPS = {"Clip", "Relu"}
FUNCTIONS = {
    "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Mish", "Neg", "PRelu", "Reciprocal", "Round", "Selu", "Sigmoid", "Sign",
    "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
}  # fmt: skip
"""Functions of one number: they become tables."""
HOST_MAPS = {"LRN", "LogSoftmax", "Softmax"}
"""Run on the host, and give a map of the same shape."""
HOST = HOST_MAPS | {"ArgMax"}
"""Run on the host; others than those above only at the end."""
