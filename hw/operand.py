"""The operand unit: combines requantised values with a second operand, in exact integers."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.post_timing import OPERAND_LATENCY
from hw.delay import delayed


def constants_layout(value_bits: int) -> data.StructLayout:
    """An operand's constants as they lie in the parameter buffer, for values of 9 or 17 bits."""
    number_bits = 16 if value_bits == 9 else 32
    numbers: dict[str, ShapeLike] = {}
    for name in ("operand_zero_point", "zero_point", "low", "high"):
        numbers |= {name: signed(value_bits), f"_{name}_sign": number_bits - value_bits}
    return data.StructLayout(
        {
            "multiplier": 24,
            "shift": 6,
            "_shift_unused": 2,
            "operand_multiplier": 24,
            "_operand_multiplier_unused": 8,
            **numbers,
        }
    )


def passing(value_bits: int) -> data.Const:
    """Constants with which the unit, not multiplying by the operand, gives out the value itself."""
    limit = 1 << value_bits - 1
    values = {"multiplier": 1, "low": -limit, "high": limit - 1}
    return constants_layout(value_bits).const(values)


_MULTIPLIER_BITS = 24
_HALF_BITS = 12
_FRACTION_BITS = 2


class OperandUnit(wiring.Component):
    """clamp(rne(t * 2^-shift) + zero_point, low, high), one element a cycle.

    With b = operand - operand_zero_point, t = value * multiplier + b * operand_multiplier, or, with
    ``multiply``, t = value * b * multiplier. Exact; ``rne`` rounds half to even. Holds for every
    ``value``, operand and multiplier, every ``shift`` (6 bits), and zero points and limits of
    ``value_bits``, ``low`` at most ``high``.

    Latency: 11 register stages (``LATENCY``), a new element each cycle, no back-pressure.

    Args:
        value_bits: signed width of values: one more than an operand's.

    Members:
        value: signed.
        operand: element of the second operand, in the same cycle.
        operand_unsigned: 1: ``operand`` is unsigned, 0: signed; held while elements are in flight.
        multiply: see above; held likewise.
        constants: held likewise.
        result: the output, signed, ``LATENCY`` cycles after its value.
    """

    LATENCY = OPERAND_LATENCY

    def __init__(self, *, value_bits: int = 9) -> None:
        self._bits = value_bits
        super().__init__(
            {
                "value": In(signed(value_bits)),
                "operand": In(value_bits - 1),
                "operand_unsigned": In(1),
                "multiply": In(1),
                "constants": In(constants_layout(value_bits)),
                "result": Out(signed(value_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        total = self._combine(m)
        whole = _shifted(m, total, self.constants.shift, self._bits)
        # Stage 10: zero point.
        offset = Signal(signed(self._bits + 2), reset_less=True)
        m.d.sync += offset.eq(whole + self.constants.zero_point)
        # Stage 11: clamp.
        low, high = self.constants.low, self.constants.high
        m.d.sync += self.result.eq(Mux(offset > high, high, Mux(offset < low, low, offset)))
        return m

    def _combine(self, m: Module) -> Value:
        """Stages 1 to 5: t."""
        constants = self.constants
        # Stage 1: the operand as a factor of the value, or as an addend.
        bits = self._bits
        sign = self.operand[-1] & ~self.operand_unsigned
        less = Cat(self.operand, sign).as_signed() - constants.operand_zero_point
        value = Signal(signed(bits), reset_less=True)
        factor, addend = (
            Signal(signed(bits + 1), reset_less=True),
            Signal(signed(bits + 1), reset_less=True),
        )
        m.d.sync += [
            value.eq(self.value),
            factor.eq(Mux(self.multiply, less, 1)),
            addend.eq(Mux(self.multiply, 0, less)),
        ]
        # Stage 2: for 8-bit operands at most 256 * 510 < 2^17 in magnitude, for 16-bit ones < 2^33.
        scaled = Signal(signed(2 * bits), reset_less=True)
        m.d.sync += scaled.eq(value * factor)
        # Stages 3 and 4: products with the multipliers.
        left = _multiplied(m, scaled, constants.multiplier, "left")
        right = _multiplied(
            m, delayed(m, addend, stages=1, reset_less=True), constants.operand_multiplier, "right"
        )
        # Stage 5: less than 2^41 or 2^57 in magnitude, as an addend comes with a value alone.
        total = Signal(signed(2 * bits + _MULTIPLIER_BITS), reset_less=True)
        m.d.sync += total.eq(left + right)
        return total


def _multiplied(m: Module, value: Signal, multiplier: Value, name: str) -> Value:
    """Two stages: ``value`` times a multiplier of 24 bits, in products that for 8-bit operands fit
    one multiplier of any FPGA."""
    bits = len(value) + _HALF_BITS
    low, high = (
        Signal(signed(bits), name=f"{name}_low", reset_less=True),
        Signal(signed(bits), name=f"{name}_high", reset_less=True),
    )
    m.d.sync += [
        low.eq(value * multiplier[:_HALF_BITS]),
        high.eq(value * multiplier[_HALF_BITS:]),
    ]
    product = Signal(signed(bits + _HALF_BITS), name=f"{name}_product", reset_less=True)
    m.d.sync += product.eq(low + (high << _HALF_BITS))
    return product


def _shifted(m: Module, total: Value, shift: Value, bits: int) -> Value:
    """Stages 6 to 9: ``total`` / 2^``shift`` rounded to an integer, right within ``bits`` + 1
    signed bits, and beyond their limits for what is beyond."""
    sign = total[-1]
    value: Value = Cat(Const(0, _FRACTION_BITS), total)
    over: Value = Const(0)
    # Stages 6 to 8: by multiples of 16, of 4, of 1. The lowest bit collects what falls out; at the
    # top only as many bits are kept as later shifts may bring down.
    for place in (4, 2, 0):
        kept = bits + _FRACTION_BITS + (1 << place) - 1
        windows, beyond = [], []
        for amount in range(4):
            far = amount << place
            extended = Cat(value, sign.replicate(kept + far))
            windows.append(Cat(extended[: far + 1].any(), extended[far + 1 : far + kept]))
            rest = value[far + kept :]
            # No value of no bits: Verilog has none.
            beyond.append((rest ^ sign.replicate(len(rest))).any() if len(rest) else Const(0))
        selected, kept_value = (
            shift[place : place + 2],
            Signal(kept, name=f"shifted{place}", reset_less=True),
        )
        was_over, kept_sign = (
            Signal(name=f"over{place}", reset_less=True),
            Signal(name=f"sign{place}", reset_less=True),
        )
        m.d.sync += [
            kept_value.eq(Array(windows)[selected]),
            was_over.eq(over | Array(beyond)[selected]),
            kept_sign.eq(sign),
        ]
        value, over, sign = kept_value, was_over, kept_sign
    # Stage 9: half to even; saturated.
    floor = Cat(value[_FRACTION_BITS:], sign).as_signed()
    round_up = value[1] & (value[0] | value[2])
    whole = Signal(signed(bits + 2), reset_less=True)
    limit = Cat((~sign).replicate(bits), sign).as_signed()
    m.d.sync += whole.eq(Mux(over, limit, floor + round_up))
    return whole
