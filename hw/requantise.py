"""The requantiser: from an int32 accumulator to a 9-bit value in exact float32 arithmetic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.post_timing import REQUANTISE_LATENCY
from hw.delay import delayed

_FRACTION_BITS = 23
_HALF_BITS = 12
# Value integer of at least this magnitude ends at ``low`` or ``high``, whatever the zero point.
_SATURATED = 512
# From a product's exponent field and leading zeros to the distance of its value below 2^9:
# 8 - (31 - zeros + exponent - 127).
_SHIFT_BIAS = 104


class Requantiser(wiring.Component):
    """clamp(rne(float32(value) * multiplier) + zero_point, low, high), one element a cycle.

    As IEEE 754 binary32: the value rounds to float32, the product rounds to float32, and that
    rounds to an integer, each time half to even. Holds for every int32 ``value`` and every finite,
    non-negative ``multiplier``, subnormal ones included: a value of at least 1 times a normal
    multiplier is normal, anything smaller rounds to 0, and a product beyond float32 saturates as
    an infinity would. The multiplier's sign bit is ignored; infinities and NaNs have no meaning.

    Latency: 13 register stages (``LATENCY``), a new element each cycle, no back-pressure.

    Members:
        value: signed 32-bit accumulator, bias included.
        multiplier: bits of a float32.
        zero_point: signed, -256 ... 255, held while elements are in flight.
        low: smallest result, signed, at most ``high``; held likewise.
        high: largest result, signed; held likewise.
        result: signed, ``LATENCY`` cycles after its value.
    """

    LATENCY = REQUANTISE_LATENCY

    def __init__(self) -> None:
        super().__init__(
            {
                "value": In(signed(32)),
                "multiplier": In(32),
                "zero_point": In(signed(9)),
                "low": In(signed(9)),
                "high": In(signed(9)),
                "result": Out(signed(9)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        mantissa, shift, negative = self._to_float(m)
        fraction = delayed(m, self.multiplier[:_FRACTION_BITS], stages=4)
        product = _multiply(m, mantissa, Cat(fraction, Const(1, 1)))
        rounded, shift = _round_product(m, product, delayed(m, shift, stages=2))
        magnitude = _to_integer(m, rounded, shift)
        self._finish(m, magnitude, delayed(m, negative, stages=7))
        return m

    def _to_float(self, m: Module) -> tuple[Value, Value, Value]:
        """Stages 1 to 4: the value as 24-bit mantissa (0 for 0), shift, and sign."""
        # Stage 1: magnitude; the multiplier's share of the shift.
        magnitude = Signal(32)
        base = Signal(signed(9))
        m.d.sync += [
            magnitude.eq(Mux(self.value < 0, -self.value, self.value)),
            base.eq(_SHIFT_BIAS - self.multiplier[_FRACTION_BITS:31]),
        ]
        # Stages 2 and 3: no leading zeros, and how many there were.
        coarse, coarse_zeros = _normalised(m, magnitude, steps=(16, 8))
        fine, fine_zeros = _normalised(m, coarse, steps=(4, 2, 1))
        zeros = Cat(fine_zeros, delayed(m, coarse_zeros, stages=1))
        # Stage 4: 24 bits, half to even.
        mantissa, carry = _rounded(m, fine[8:], guard=fine[7], sticky=fine[:7].any())
        shift = Signal(signed(9))
        m.d.sync += shift.eq(delayed(m, base, stages=2) + zeros)
        return mantissa, shift - carry, delayed(m, self.value < 0, stages=4)

    def _finish(self, m: Module, magnitude: Value, negative: Value) -> None:
        """Stages 12 and 13: from magnitude and sign to the result."""
        # Stage 12: sign and zero point.
        offset = Signal(signed(11))
        m.d.sync += offset.eq(self.zero_point + Mux(negative, -magnitude, magnitude))
        # Stage 13: clamp.
        clamped = Mux(offset > self.high, self.high, Mux(offset < self.low, self.low, offset))
        m.d.sync += self.result.eq(clamped)


def _normalised(m: Module, value: Value, *, steps: tuple[int, ...]) -> tuple[Value, Value]:
    """One stage: ``value`` shifted left by each of ``steps`` whose bits at the top are all zero,
    and which were (the last step is bit 0)."""
    taken: list[Value] = []
    for step in steps:
        skip = ~value[-step:].any()
        value = Mux(skip, value << step, value)[:32]
        taken.insert(0, skip)
    register, zeros = Signal(32, name="normalised"), Signal(len(steps), name="zeros")
    m.d.sync += [register.eq(value), zeros.eq(Cat(taken))]
    return register, zeros


def _rounded(m: Module, mantissa: Value, *, guard: Value, sticky: Value) -> tuple[Value, Value]:
    """One stage: 24 bits rounded half to even by the bits below, and the carry out of them.

    The top bit is 1 unless the value is 0; so it is after a carry, when all others are 0.
    """
    rounded, carry = Signal(24, name="rounded"), Signal(name="carry")
    total = mantissa + (guard & (sticky | mantissa[0]))
    m.d.sync += [rounded.eq(Cat(total[:23], mantissa[23])), carry.eq(total[24])]
    return rounded, carry


def _multiply(m: Module, a: Value, b: Value) -> Value:
    """Stages 5 and 6: the 48-bit product of two 24-bit mantissas.

    In products of halves, each of which fits one multiplier of any FPGA.
    """
    # Stage 5: products of halves.
    a_low, a_high = a[:_HALF_BITS], a[_HALF_BITS:]
    b_low, b_high = b[:_HALF_BITS], b[_HALF_BITS:]
    partials = [Signal(2 * _HALF_BITS, name=f"partial{index}") for index in range(4)]
    factors = ((a_low, b_low), (a_low, b_high), (a_high, b_low), (a_high, b_high))
    for partial, (left, right) in zip(partials, factors, strict=True):
        m.d.sync += partial.eq(left * right)
    # Stage 6: their sum; the outer two do not overlap.
    product = Signal(4 * _HALF_BITS)
    middle = partials[1] + partials[2]
    m.d.sync += product.eq(Cat(partials[0], partials[3]) + (middle << _HALF_BITS))
    return product


def _round_product(m: Module, product: Value, shift: Value) -> tuple[Value, Value]:
    """Stages 7 and 8: a product of two mantissas rounded to one mantissa, and its shift."""
    # Stage 7: its leading 24 bits, from bit 47 or 46 on, and the bits below.
    top = product[47]
    mantissa, guard, sticky = Signal(24), Signal(), Signal()
    selected = Signal.like(shift)
    m.d.sync += [
        mantissa.eq(Mux(top, product[24:], product[23:47])),
        guard.eq(Mux(top, product[23], product[22])),
        sticky.eq(product[:22].any() | (top & product[22])),
        selected.eq(shift - top),
    ]
    # Stage 8: half to even.
    rounded, carry = _rounded(m, mantissa, guard=guard, sticky=sticky)
    return rounded, delayed(m, selected, stages=1) - carry


def _to_integer(m: Module, mantissa: Value, shift: Value) -> Value:
    """Stages 9 to 11: ``mantissa`` / 2^(15 + shift) rounded to an integer, at most 512."""
    # Stage 9: integer part (9 bits), guard and sticky at shift 0; the shift within 0 ... 15.
    over = Signal()
    aligned, amount = Signal(11), Signal(4)
    m.d.sync += [
        over.eq((shift < 0) & mantissa[23]),
        aligned.eq(Cat(mantissa[:14].any(), mantissa[14:])),
        amount.eq(Mux(shift[4:].any(), 15, shift[:4])),
    ]
    # Stage 10: shifted right, the lowest bit collecting what falls out.
    value = aligned
    for step, enable in zip((1, 2, 4, 8), amount, strict=True):
        jammed = Cat(value[: step + 1].any(), value[step + 1 :])
        value = Mux(enable, jammed, value)
    shifted = Signal(11)
    m.d.sync += shifted.eq(value)
    # Stage 11: half to even; saturated.
    whole, round_up = shifted[2:], shifted[1] & (shifted[0] | shifted[2])
    magnitude = Signal(10)
    m.d.sync += magnitude.eq(Mux(delayed(m, over, stages=1), _SATURATED, whole + round_up))
    return magnitude
