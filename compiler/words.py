"""Whether a network's words are those of the machine."""

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from sim.network import Conv, Network, TensorSpec


def check_words(network: Network, config: AcceleratorConfig) -> None:
    """Raise ``CompileError`` if an activation has not the machine's width, or if weights are wider
    than the machine's. Narrower weights are exact on a machine with wider ones."""
    for layer in network.layers:
        for spec in (*layer.inputs, layer.output):
            _check_activation(spec, config)
        if isinstance(layer, Conv):
            bits = 8 * layer.weights.dtype.itemsize
            if bits > config.weight_bits:
                raise CompileError(
                    f"{layer.name}: weights must fit the machine's {config.weight_bits} bits, got "
                    f"{bits}: use a configuration with weight_bits = {bits}"
                )


def _check_activation(spec: TensorSpec, config: AcceleratorConfig) -> None:
    if spec.bits != config.activation_bits:
        raise CompileError(
            f"the model has {spec.bits}-bit activations (tensor {spec.name}), config {config.name} "
            f"has {config.activation_bits}: use a configuration with activation_bits = {spec.bits}"
        )
