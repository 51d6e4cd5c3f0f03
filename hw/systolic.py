"""The weight-stationary systolic array."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from hw.pe import ProcessingElement


class WeightStationaryArray(wiring.Component):
    """``rows`` x ``cols`` PEs: psums[c] = sum over r of activations[r] * weight(r, c).

    Takes a vector of activations in every cycle and never stalls; the vector's psums come out
    array_latency(config) = rows + cols + 1 cycles later. Activations hop one PE to the right per
    cycle, psums one PE down. Rows of weights are loaded into shadow registers meanwhile, and
    ``swap`` makes them active, both as wavefronts along with the activations.

    Let row r of a tile of weights be presented in cycle T + r, for r = 0 ... rows - 1. Then a
    vector with ``swap`` in any cycle t >= T + 1, and all vectors after it, meet these weights; and
    the next tile may begin in any cycle T' >= max(T + rows, t).

    Args:
        config: gives size and widths.

    Members:
        activations: a vector, one element for each row of PEs.
        swap: from this vector on, the last loaded weights hold.
        weight_valid, weight_row, weights: a row of weights for that row of PEs.
        psums: a sum for each column.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        rows, cols = config.rows, config.cols
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(config.activation_bits), rows)),
                "swap": In(1),
                "weight_valid": In(1),
                "weight_row": In(range(rows)),
                "weights": In(data.ArrayLayout(signed(config.weight_bits), cols)),
                "psums": Out(data.ArrayLayout(signed(config.psum_bits), cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        rows, cols = self.config.rows, self.config.cols
        grid = [[ProcessingElement(config=self.config) for _ in range(cols)] for _ in range(rows)]
        # Activations wait for one cycle more than swaps and weights, so that a PE's multiplier
        # takes its active weight from a register.
        arrived = Signal.like(self.activations.as_value(), name="arrived", reset_less=True)
        m.d.sync += arrived.eq(self.activations.as_value())
        activations = _skewed(m, arrived, rows, "activations")
        weights = _skewed(m, self.weights.as_value(), cols, "weights")
        swaps = _delayed(m, self.swap, rows + cols - 1, "swap")
        valids = _delayed(m, self.weight_valid, cols, "weight_valid")
        indices = _delayed(m, self.weight_row, cols, "weight_row")
        for r, row in enumerate(grid):
            for c, pe in enumerate(row):
                m.submodules[f"pe_{r}_{c}"] = pe
                m.d.comb += [
                    pe.activation.eq(row[c - 1].activation_out if c else activations[r]),
                    pe.psum.eq(grid[r - 1][c].psum_out if r else 0),
                    pe.weight.eq(weights[c]),
                    pe.weight_valid.eq(valids[c] & (indices[c] == r)),
                    pe.swap.eq(swaps[r + c]),
                ]
        m.d.comb += self.psums.as_value().eq(_aligned(m, [pe.psum_out for pe in grid[-1]], "psums"))
        return m


def _delayed(m: Module, value: Value, count: int, name: str) -> list[Value]:
    """``value`` now, one cycle later, ..., ``count`` - 1 cycles later."""
    found = [value]
    for stage in range(1, count):
        found.append(Signal.like(value, name=f"{name}_{stage}"))
        m.d.sync += found[-1].eq(found[-2])
    return found


def _skewed(m: Module, vector: Value, count: int, name: str) -> list[Value]:
    """The elements of ``vector``, element k delayed by k cycles."""
    width = len(vector) // count
    # Element 0 on top: every stage drops its top element, and what stays need not move.
    stage: Value = Cat(vector.word_select(count - 1 - k, width) for k in range(count))
    found = [stage[-width:]]
    for k in range(1, count):
        after = Signal(len(stage) - width, name=f"{name}_skew_{k}", reset_less=True)
        m.d.sync += after.eq(stage)
        stage = after
        found.append(stage[-width:])
    return found


def _aligned(m: Module, elements: list[Value], name: str) -> Value:
    """The vector of ``elements``, element k delayed by len(elements) - 1 - k cycles."""
    stage: Value = elements[0]
    for k, element in enumerate(elements[1:], start=1):
        after = Signal(len(stage), name=f"{name}_align_{k}", reset_less=True)
        m.d.sync += after.eq(stage)
        stage = Cat(after, element)
    return stage
