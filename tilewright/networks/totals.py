"""Weights and multiply-accumulates of a network, counted from its shapes."""

from dataclasses import dataclass

from tilewright.networks.nodes import NetworkGraph, Role, Weighted


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Counts for one image; MACs count taps on padding too, biases are in ``parameters`` alone.

    ``scale`` is batch-norms that stand alone: part of ``parameters``, and of no other sum, since
    the literature leaves them out.
    """

    conv_weights: int
    conv_macs: int
    fc_weights: int
    fc_macs: int
    scale_weights: int
    scale_macs: int
    parameters: int

    @property
    def weights(self) -> int:
        """Weights of convolutions and fully connected layers."""
        return self.conv_weights + self.fc_weights

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and fully connected layers."""
        return self.conv_macs + self.fc_macs


def count(graph: NetworkGraph) -> Totals:
    """The totals of ``graph``.

    ``parameters`` are what training would set: weights, biases, gain and offset of batch-norms.
    """
    nodes = [node for node in graph.nodes if isinstance(node, Weighted)]
    weights = dict.fromkeys(Role, 0)
    macs = dict.fromkeys(Role, 0)
    for node in nodes:
        weights[node.role] += node.shape.weights
        macs[node.role] += node.shape.macs
    offsets = sum(node.offsets.value * node.shape.out_channels for node in nodes)
    return Totals(
        conv_weights=weights[Role.CONVOLUTION],
        conv_macs=macs[Role.CONVOLUTION],
        fc_weights=weights[Role.FULLY_CONNECTED],
        fc_macs=macs[Role.FULLY_CONNECTED],
        scale_weights=weights[Role.SCALE],
        scale_macs=macs[Role.SCALE],
        parameters=sum(weights.values()) + offsets,
    )
