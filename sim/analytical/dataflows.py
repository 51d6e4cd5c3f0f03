"""Dataflows as constraints on mappings: what PEs share out, what one PE takes in turn.

After Chen, Emer, Sze, Eyeriss, ISCA 2016, section IV. What a PE keeps is the architecture's matter.
"""

from arch.errors import InputError
from sim.analytical.choices import FREE, Dataflow, Rule
from sim.analytical.problem import Dim

_SPREAD = Rule(pe=False)
"""Over PEs, one each."""
_IN_TURN = Rule(rows=False, cols=False, pe=False)
"""From one array tile to the next."""


def _spread(name: str, *dims: Dim) -> Dataflow:
    """``dims`` over the PEs, all others in turn."""
    return Dataflow(name=name, rules={dim: _SPREAD if dim in dims else _IN_TURN for dim in Dim})


ROW_STATIONARY = Dataflow(
    name="rs",
    rules={
        # A PE convolves a row of the kernel with a row of the ifmap; kernel rows lie in PE rows.
        Dim.S: Rule(rows=False, cols=False, whole=True),
        Dim.R: Rule(cols=False, pe=False, whole=True),
        # Ofmap rows lie in PE columns, and in further sets of PE rows.
        Dim.P: _SPREAD,
        Dim.Q: _IN_TURN,
        Dim.N: Rule(rows=False, cols=False),
        Dim.G: _IN_TURN,
    },
)
"""The paper's parameters: M and C in a PE are p and q, over the array t and r; P over the array is
e; M and N of a buffer tile are m and n."""

DATAFLOWS: dict[str, Dataflow] = {
    each.name: each
    for each in (
        FREE,
        ROW_STATIONARY,
        _spread("ws", Dim.M, Dim.C, Dim.R, Dim.S),
        # Single and multiple output channels, multiple and single output pixels.
        _spread("osa", Dim.N, Dim.P, Dim.Q),
        _spread("osb", Dim.M, Dim.N, Dim.P, Dim.Q),
        _spread("osc", Dim.M, Dim.N),
        _spread("nlr", Dim.M, Dim.C),
    )
}
"""All dataflows by name."""


def dataflow(name: str) -> Dataflow:
    """The dataflow ``name``; raises ``InputError``."""
    if name not in DATAFLOWS:
        raise InputError(f"a dataflow must be one of {', '.join(DATAFLOWS)}, got {name!r}")
    return DATAFLOWS[name]
