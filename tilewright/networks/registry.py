"""All built-in networks, by name."""

from dataclasses import replace

from arch.errors import ModelError, ShapeError
from tilewright.networks import (
    dense,
    inception,
    nasnet,
    others,
    parallel,
    products,
    residual,
    residual_light,
    residual_mixed,
    searched,
    serial,
)
from tilewright.networks.builder import Builder
from tilewright.networks.entry import Family, NetworkEntry
from tilewright.networks.nodes import NetworkGraph
from tilewright.networks.totals import Totals, count

_MODULES = (
    serial,
    parallel,
    inception,
    dense,
    residual,
    residual_light,
    residual_mixed,
    searched,
    nasnet,
    products,
    others,
)
_ENTRIES = [entry for module in _MODULES for entry in module.ENTRIES]

NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry for family in Family for entry in _ENTRIES if entry.family is family
}


def build(name: str, *, size: tuple[int, int] | None = None) -> NetworkGraph:
    """The built-in network ``name``: shapes alone, no weights, a few milliseconds.

    ``size`` (height, width) takes the place of the published input size. Raises ``ModelError``
    for an unknown name, ``ShapeError`` for a size that the network's layers use up.
    """
    if name not in NETWORKS:
        raise ModelError(
            f"a built-in network must be one of {', '.join(NETWORKS)}, got '{name}'; "
            "tilewright networks lists them"
        )
    entry = NETWORKS[name]
    height, width = size or (entry.input.height, entry.input.width)
    if height < entry.smallest[0] or width < entry.smallest[1]:
        raise ShapeError(
            f"the input of {name} must be at least {entry.smallest[0]}x{entry.smallest[1]}, "
            f"got {height}x{width}; give a larger size"
        )
    net = Builder(name, replace(entry.input, height=height, width=width))
    return net.graph(entry.define(net))


def totals(entry: NetworkEntry) -> Totals:
    """Weights and MACs of ``entry`` at its published input size."""
    return count(build(entry.name))
