"""The pool unit: combines the positions of a window, all columns side by side."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Pool(wiring.Component):
    """Maximum or sum over a window, per column, modulo 2^``bits``.

    Takes a position a cycle. Positions of a window need not be adjacent: without ``counts`` and
    ``first``, nothing changes as long as ``summing`` is held. Two register stages: ``pooled`` holds
    a position two cycles after ``values`` did.

    Members:
        summing: sum, not maximum; held while positions are in flight, and as long as a window goes
            on.
        values: the position, signed.
        counts: the position is combined; else it counts as -2^(``bits`` - 1) (maximum) or 0 (sum).
        first: the position begins a window.
        pooled: the window so far, signed.
    """

    def __init__(self, *, columns: int, bits: int = 32) -> None:
        self._bits = bits
        self._columns = data.ArrayLayout(signed(bits), columns)
        super().__init__(
            {
                "summing": In(1),
                "values": In(self._columns),
                "counts": In(1),
                "first": In(1),
                "pooled": Out(self._columns),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        identity = Mux(self.summing, 0, -(1 << self._bits - 1))
        operands, first = Signal(self._columns), Signal()
        m.d.sync += first.eq(self.first)
        for value, operand, pooled in zip(self.values, operands, self.pooled, strict=True):
            # Stage 1: left-out positions become the identity.
            m.d.sync += operand.eq(Mux(self.counts, value, identity))
            # Stage 2: combined with the window so far.
            combined = Mux(self.summing, pooled + operand, Mux(pooled > operand, pooled, operand))
            m.d.sync += pooled.eq(Mux(first, operand, combined))
        return m
