"""The operand unit: combines requantised values with a second operand, in exact integers."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.post_timing import OPERAND_LATENCY
from hw.delay import delayed

constants_layout = data.StructLayout(
    {
        "multiplier": 24,
        "shift": 6,
        "_shift_unused": 2,
        "operand_multiplier": 24,
        "_operand_multiplier_unused": 8,
        "operand_zero_point": signed(9),
        "_operand_zero_point_sign": 7,
        "zero_point": signed(9),
        "_zero_point_sign": 7,
        "low": signed(9),
        "_low_sign": 7,
        "high": signed(9),
        "_high_sign": 7,
    }
)
"""The 16 bytes of an operand's constants in the parameter buffer."""

PASSING = constants_layout.const({"multiplier": 1, "low": -256, "high": 255})
"""Constants with which the unit, not multiplying by the operand, gives out the value itself."""

_HALF_BITS = 12
_INTEGER_BITS = 9
_FRACTION_BITS = 2


class OperandUnit(wiring.Component):
    """clamp(rne(t * 2^-shift) + zero_point, low, high), one element a cycle.

    With b = operand - operand_zero_point, t = value * multiplier + b * operand_multiplier, or, with
    ``multiply``, t = value * b * multiplier. Exact; ``rne`` rounds half to even. Holds for every
    ``value``, operand byte and multiplier, every ``shift`` (6 bits), and zero points and limits in
    -256 ... 255, ``low`` at most ``high``.

    Latency: 11 register stages (``LATENCY``), a new element each cycle, no back-pressure.

    Members:
        value: signed, -256 ... 255.
        operand: byte of the second operand, in the same cycle.
        operand_unsigned: 1: ``operand`` is uint8, 0: int8; held while elements are in flight.
        multiply: see above; held likewise.
        constants: held likewise.
        result: the output, signed, ``LATENCY`` cycles after its value.
    """

    LATENCY = OPERAND_LATENCY

    def __init__(self) -> None:
        super().__init__(
            {
                "value": In(signed(9)),
                "operand": In(8),
                "operand_unsigned": In(1),
                "multiply": In(1),
                "constants": In(constants_layout),
                "result": Out(signed(9)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        total = self._combine(m)
        whole = _shifted(m, total, self.constants.shift)
        # Stage 10: zero point.
        offset = Signal(signed(11))
        m.d.sync += offset.eq(whole + self.constants.zero_point)
        # Stage 11: clamp.
        low, high = self.constants.low, self.constants.high
        m.d.sync += self.result.eq(Mux(offset > high, high, Mux(offset < low, low, offset)))
        return m

    def _combine(self, m: Module) -> Value:
        """Stages 1 to 5: t."""
        constants = self.constants
        # Stage 1: the operand as a factor of the value, or as an addend. At most 510 in magnitude.
        sign = self.operand[7] & ~self.operand_unsigned
        less = Cat(self.operand, sign).as_signed() - constants.operand_zero_point
        value, factor, addend = Signal(signed(9)), Signal(signed(10)), Signal(signed(10))
        m.d.sync += [
            value.eq(self.value),
            factor.eq(Mux(self.multiply, less, 1)),
            addend.eq(Mux(self.multiply, 0, less)),
        ]
        # Stage 2: at most 256 * 510 < 2^17 in magnitude.
        scaled = Signal(signed(18))
        m.d.sync += scaled.eq(value * factor)
        # Stages 3 and 4: products with the multipliers.
        left = _multiplied(m, scaled, constants.multiplier, "left")
        right = _multiplied(m, delayed(m, addend, stages=1), constants.operand_multiplier, "right")
        # Stage 5: less than 2^41 in magnitude, as an addend comes with a value alone.
        total = Signal(signed(42))
        m.d.sync += total.eq(left + right)
        return total


def _multiplied(m: Module, value: Signal, multiplier: Value, name: str) -> Value:
    """Two stages: ``value`` times a multiplier of 24 bits, in products that fit one multiplier of
    any FPGA."""
    bits = len(value) + _HALF_BITS
    low, high = Signal(signed(bits), name=f"{name}_low"), Signal(signed(bits), name=f"{name}_high")
    m.d.sync += [
        low.eq(value * multiplier[:_HALF_BITS]),
        high.eq(value * multiplier[_HALF_BITS:]),
    ]
    product = Signal(signed(bits + _HALF_BITS), name=f"{name}_product")
    m.d.sync += product.eq(low + (high << _HALF_BITS))
    return product


def _shifted(m: Module, total: Value, shift: Value) -> Value:
    """Stages 6 to 9: ``total`` / 2^``shift`` rounded to an integer, right within -512 ... 511 and
    beyond these limits for what is beyond."""
    sign = total[-1]
    value: Value = Cat(Const(0, _FRACTION_BITS), total)
    over: Value = Const(0)
    # Stages 6 to 8: by multiples of 16, of 4, of 1. The lowest bit collects what falls out; at the
    # top only as many bits are kept as later shifts may bring down.
    for place in (4, 2, 0):
        kept = _INTEGER_BITS + _FRACTION_BITS + (1 << place) - 1
        windows, beyond = [], []
        for amount in range(4):
            far = amount << place
            extended = Cat(value, sign.replicate(kept + far))
            windows.append(Cat(extended[: far + 1].any(), extended[far + 1 : far + kept]))
            rest = value[far + kept :]
            # No value of no bits: Verilog has none.
            beyond.append((rest ^ sign.replicate(len(rest))).any() if len(rest) else Const(0))
        selected, kept_value = shift[place : place + 2], Signal(kept, name=f"shifted{place}")
        was_over, kept_sign = Signal(name=f"over{place}"), Signal(name=f"sign{place}")
        m.d.sync += [
            kept_value.eq(Array(windows)[selected]),
            was_over.eq(over | Array(beyond)[selected]),
            kept_sign.eq(sign),
        ]
        value, over, sign = kept_value, was_over, kept_sign
    # Stage 9: half to even; saturated.
    floor = Cat(value[_FRACTION_BITS:], sign).as_signed()
    round_up = value[1] & (value[0] | value[2])
    whole = Signal(signed(_INTEGER_BITS + 2))
    limit = Cat((~sign).replicate(_INTEGER_BITS), sign).as_signed()
    m.d.sync += whole.eq(Mux(over, limit, floor + round_up))
    return whole
