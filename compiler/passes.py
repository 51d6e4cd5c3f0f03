"""The passes that make a network faster without changing a byte, in the order in which they run."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from arch.config import AcceleratorConfig
from arch.errors import InputError
from compiler.fuse import fuse_depthwise, fuse_joins, fuse_pools, fuse_tables
from compiler.join_functions import join_functions
from compiler.pack_rows import pack_rows
from compiler.plan import Plan
from compiler.residence import keep_on_chip
from compiler.skip import skip_pixels
from compiler.views import copy_views
from sim.network import Network


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass: its name, what it saves, and what it does."""

    name: str
    reason: str
    run: Callable[[Plan], Plan]


def share_maps(plan: Plan) -> Plan:
    """Parts of a concatenation, and slices, lie in the map that they are a part of."""
    return Plan.of(plan.given, plan.given, plan.config, owns_input=plan.owns_input)


PASSES = (
    Pass(
        name="share-maps",
        reason="concatenations and slices are views of one map, not copies",
        run=share_maps,
    ),
    Pass(
        name="join-functions",
        reason="layers that are a function of one byte, such as x * sigmoid(x), are one table",
        run=join_functions,
    ),
    Pass(
        name="skip-pixels",
        reason="a 1x1 convolution with a stride loads no pixel that it does not look at",
        run=skip_pixels,
    ),
    Pass(
        name="pack-rows",
        reason="a first layer's few channels fill the array: the host packs its kernel rows",
        run=pack_rows,
    ),
    Pass(
        name="fuse-depthwise",
        reason="the post-processor computes depthwise convolutions beside the 1x1 ones behind them",
        run=fuse_depthwise,
    ),
    Pass(
        name="fuse-pool",
        reason="a convolution's maximum pooling works on sums: its map is never written",
        run=fuse_pools,
    ),
    Pass(
        name="fuse-add",
        reason="a sum or product takes its operand from the accumulators, not from memory",
        run=fuse_joins,
    ),
    Pass(
        name="fuse-table",
        reason="an activation is looked up on the way out",
        run=fuse_tables,
    ),
    Pass(
        name="keep-on-chip",
        reason="a map that fits stays in the activation buffer until it has been read",
        run=keep_on_chip,
    ),
)


def run_passes(
    network: Network,
    config: AcceleratorConfig,
    without: Collection[str],
    *,
    owns_input: bool = True,
) -> Plan:
    """The plan of ``network`` after all passes but those named in ``without``.

    ``owns_input``: its input has no place in memory yet. Raises ``InputError`` for a name that no
    pass has.
    """
    check_names(without)
    plan = Plan.of(network, copy_views(network), config, owns_input=owns_input)
    for each in PASSES:
        if each.name not in without:
            plan = each.run(plan)
    return plan


def check_names(without: Collection[str]) -> None:
    """Raises ``InputError`` for a name that no pass has."""
    names = [each.name for each in PASSES]
    for name in without:
        if name not in names:
            raise InputError(f"a pass to leave out must be one of {', '.join(names)}, got {name!r}")
