"""A network with steps of the host is cut into parts that the machine runs in turn."""

from dataclasses import replace

from sim.network import HostStep, Layer, Network, TensorSpec


def split_parts(network: Network) -> list[Network | HostStep]:
    """The machine's parts of ``network`` and the steps of the host between them, in order.

    The outputs of a part are all maps of its own that anything else reads.
    """
    stages: list[list[Layer] | HostStep] = [[]]
    for layer in network.layers:
        if isinstance(layer, HostStep):
            stages += [layer, []]
        elif isinstance(own := stages[-1], list):
            own.append(layer)
    if len(stages) == 1:
        return [network]
    return [
        stage if isinstance(stage, HostStep) else _part(network, tuple(stage), number)
        for number, stage in enumerate(stages)
        if stage
    ]


def _part(network: Network, layers: tuple[Layer, ...], number: int) -> Network:
    part = replace(network, name=f"{network.name}.{number // 2 + 1}", layers=layers, results=())
    made = {layer.output.name: layer.output for layer in layers}
    mine = set(map(id, layers))
    wanted = [spec for layer in network.layers if id(layer) not in mine for spec in layer.inputs]
    outputs = {spec.name: spec for spec in (*network.outputs, *wanted) if spec.name in made}
    return replace(part, input=_first_source(part), outputs=tuple(outputs.values()))


def _first_source(part: Network) -> TensorSpec:
    """The network's input where the part reads it, else the first map of another part."""
    made = {layer.output.name for layer in part.layers}
    read = [spec for layer in part.layers for spec in layer.inputs if spec.name not in made]
    return next((spec for spec in read if spec.name == part.input.name), read[0])
