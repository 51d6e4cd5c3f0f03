"""The pool unit: combines the positions of a window, all columns side by side."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Pool(wiring.Component):
    """Maximum or sum over a window, per column, modulo 2^``bits``.

    Takes a position a cycle. Positions of a window need not be adjacent: without ``counts`` and
    ``first``, nothing changes as long as ``summing`` is held. Two register stages: ``pooled`` holds
    a position two cycles after ``values`` did.

    With ``depth`` above 1 there are further sums: the n-th is of the n-th values, and a window that
    is ``chained`` begins the n-th sum with the (n + 1)-th of the window before. So ``pooled`` sums
    the first values of its window, the second ones of the window before, and so on: a convolution
    along the windows, in transposed form.

    Members:
        summing: sum, not maximum; held while positions are in flight, and as long as a window goes
            on.
        values: the position, signed, [which sum][column]; a maximum is of the first ones.
        counts: the position is combined; else it counts as -2^(``bits`` - 1) (maximum) or 0 (sum).
        first: the position begins a window.
        chained: it goes on with the sums of the window before; only with ``first`` and ``summing``.
        pooled: the window so far, signed.
    """

    def __init__(self, *, columns: int, bits: int = 32, depth: int = 1) -> None:
        self._bits = bits
        self._columns = data.ArrayLayout(signed(bits), columns)
        self._sums = data.ArrayLayout(self._columns, depth)
        super().__init__(
            {
                "summing": In(1),
                "values": In(self._sums),
                "counts": In(1),
                "first": In(1),
                "chained": In(1),
                "pooled": Out(self._columns),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        operands = Signal(self._sums, reset_less=True)
        sums = Signal(self._sums, reset_less=True)
        first, chained = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [first.eq(self.first), chained.eq(self.chained)]
        m.d.comb += self.pooled.eq(sums[0])
        identity = Mux(self.summing, 0, -(1 << self._bits - 1))
        for number in range(self._sums.length):
            for column in range(self._columns.length):
                value, operand = self.values[number][column], operands[number][column]
                # Stage 1: left-out positions become the identity.
                m.d.sync += operand.eq(Mux(self.counts, value, identity if number == 0 else 0))
                # Stage 2: combined with the window so far, or with the windows before.
                last = number == self._sums.length - 1
                following = Const(0) if last else sums[number + 1][column]
                so_far = sums[number][column]
                total = Mux(first, Mux(chained, following, 0), so_far) + operand
                if number == 0:
                    larger = Mux(first | (operand > so_far), operand, so_far)
                    total = Mux(self.summing, total, larger)
                m.d.sync += sums[number][column].eq(total)
        return m
