"""The passes that make a network faster without changing a byte, in the order in which they run."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from arch.errors import InputError
from compiler.fuse import fuse_joins, fuse_pools, fuse_tables
from compiler.plan import Plan
from compiler.residence import keep_on_chip


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass: its name, what it saves, and what it does."""

    name: str
    reason: str
    run: Callable[[Plan], Plan]


PASSES = (
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


def run_passes(plan: Plan, without: Collection[str] = ()) -> Plan:
    """``plan`` after all passes but those named in ``without``.

    Raises ``InputError`` for a name that no pass has.
    """
    names = [each.name for each in PASSES]
    for name in without:
        if name not in names:
            raise InputError(f"a pass to leave out must be one of {', '.join(names)}, got {name!r}")
    for each in PASSES:
        if each.name not in without:
            plan = each.run(plan)
    return plan
