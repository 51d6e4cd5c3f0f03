"""The requantiser: from an accumulator to an output value in exact float32 arithmetic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.post_timing import REQUANTISE_LATENCY
from hw.delay import delayed

_FRACTION_BITS = 23
_MANTISSA_BITS = 24
_HALF_BITS = 12
_EXPONENT_BIAS = 127


class Requantiser(wiring.Component):
    """clamp(rne(float32(value) * multiplier) + zero_point, low, high), one element a cycle.

    As IEEE 754 binary32: the value rounds to float32, the product rounds to float32, and that
    rounds to an integer, each time half to even. Holds for every ``value`` and every finite,
    non-negative ``multiplier``, subnormal ones included: a value of at least 1 times a normal
    multiplier is normal, anything smaller rounds to 0, and a product beyond float32 saturates as
    an infinity would. The multiplier's sign bit is ignored; infinities and NaNs have no meaning.

    Latency: 13 register stages (``LATENCY``), a new element each cycle, no back-pressure.

    Args:
        bits: width of ``value``: 32, or 48.
        result_bits: width of ``result``, its limits and the zero point, at most 20.

    Members:
        value: signed accumulator, bias included.
        multiplier: bits of a float32.
        zero_point: signed, held while elements are in flight.
        low: smallest result, signed, at most ``high``; held likewise.
        high: largest result, signed; held likewise.
        result: signed, ``LATENCY`` cycles after its value.
    """

    LATENCY = REQUANTISE_LATENCY

    def __init__(self, *, bits: int = 32, result_bits: int = 9) -> None:
        self._bits, self._result_bits = bits, result_bits
        result = signed(result_bits)
        super().__init__(
            {
                "value": In(signed(bits)),
                "multiplier": In(32),
                "zero_point": In(result),
                "low": In(result),
                "high": In(result),
                "result": Out(result),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        mantissa, shift, negative = self._to_float(m)
        fraction = delayed(m, self.multiplier[:_FRACTION_BITS], stages=4, reset_less=True)
        product = _multiply(m, mantissa, Cat(fraction, Const(1, 1)))
        rounded, shift = _round_product(m, product, delayed(m, shift, stages=2, reset_less=True))
        magnitude = _to_integer(m, rounded, shift, self._result_bits)
        self._finish(m, magnitude, delayed(m, negative, stages=7, reset_less=True))
        return m

    def _to_float(self, m: Module) -> tuple[Value, Value, Value]:
        """Stages 1 to 4: the value as 24-bit mantissa (0 for 0), shift, and sign."""
        # Stage 1: magnitude; the multiplier's share of the shift, which is the distance of the
        # product's exponent below result_bits - 1.
        magnitude = Signal(self._bits, reset_less=True)
        base = Signal(signed(9), reset_less=True)
        bias = (self._result_bits - 1) - (self._bits - 1) + _EXPONENT_BIAS
        m.d.sync += [
            magnitude.eq(Mux(self.value < 0, -self.value, self.value)),
            base.eq(bias - self.multiplier[_FRACTION_BITS:31]),
        ]
        # Stages 2 and 3: no leading zeros, and how many there were.
        coarse_steps = (16, 8) if self._bits == 32 else (32, 16, 8)
        coarse, coarse_zeros = _normalised(m, magnitude, steps=coarse_steps)
        fine, fine_zeros = _normalised(m, coarse, steps=(4, 2, 1))
        zeros = Cat(fine_zeros, delayed(m, coarse_zeros, stages=1, reset_less=True))
        # Stage 4: 24 bits, half to even.
        below = self._bits - _MANTISSA_BITS
        guard, sticky = fine[below - 1], fine[: below - 1].any()
        mantissa, carry = _rounded(m, fine[below:], guard=guard, sticky=sticky)
        shift = Signal(signed(9), reset_less=True)
        m.d.sync += shift.eq(delayed(m, base, stages=2, reset_less=True) + zeros)
        return mantissa, shift - carry, delayed(m, self.value < 0, stages=4, reset_less=True)

    def _finish(self, m: Module, magnitude: Value, negative: Value) -> None:
        """Stages 12 and 13: from magnitude and sign to the result."""
        # Stage 12: sign and zero point.
        offset = Signal(signed(self._result_bits + 2), reset_less=True)
        m.d.sync += offset.eq(self.zero_point + Mux(negative, -magnitude, magnitude))
        # Stage 13: clamp.
        clamped = Mux(offset > self.high, self.high, Mux(offset < self.low, self.low, offset))
        m.d.sync += self.result.eq(clamped)


def _normalised(m: Module, value: Value, *, steps: tuple[int, ...]) -> tuple[Value, Value]:
    """One stage: ``value`` shifted left by each of ``steps`` whose bits at the top are all zero,
    and which were (the last step is bit 0)."""
    taken: list[Value] = []
    bits = len(value)
    for step in steps:
        skip = ~value[-step:].any()
        value = Mux(skip, value << step, value)[:bits]
        taken.insert(0, skip)
    register, zeros = (
        Signal(bits, name="normalised", reset_less=True),
        Signal(len(steps), name="zeros", reset_less=True),
    )
    m.d.sync += [register.eq(value), zeros.eq(Cat(taken))]
    return register, zeros


def _rounded(m: Module, mantissa: Value, *, guard: Value, sticky: Value) -> tuple[Value, Value]:
    """One stage: 24 bits rounded half to even by the bits below, and the carry out of them.

    The top bit is 1 unless the value is 0; so it is after a carry, when all others are 0.
    """
    rounded, carry = (
        Signal(24, name="rounded", reset_less=True),
        Signal(name="carry", reset_less=True),
    )
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
    partials = [
        Signal(2 * _HALF_BITS, name=f"partial{index}", reset_less=True) for index in range(4)
    ]
    factors = ((a_low, b_low), (a_low, b_high), (a_high, b_low), (a_high, b_high))
    for partial, (left, right) in zip(partials, factors, strict=True):
        m.d.sync += partial.eq(left * right)
    # Stage 6: their sum; the outer two do not overlap.
    product = Signal(4 * _HALF_BITS, reset_less=True)
    middle = partials[1] + partials[2]
    m.d.sync += product.eq(Cat(partials[0], partials[3]) + (middle << _HALF_BITS))
    return product


def _round_product(m: Module, product: Value, shift: Value) -> tuple[Value, Value]:
    """Stages 7 and 8: a product of two mantissas rounded to one mantissa, and its shift."""
    # Stage 7: its leading 24 bits, from bit 47 or 46 on, and the bits below.
    top = product[47]
    mantissa, guard, sticky = (
        Signal(24, reset_less=True),
        Signal(reset_less=True),
        Signal(reset_less=True),
    )
    selected = Signal.like(shift, reset_less=True)
    m.d.sync += [
        mantissa.eq(Mux(top, product[24:], product[23:47])),
        guard.eq(Mux(top, product[23], product[22])),
        sticky.eq(product[:22].any() | (top & product[22])),
        selected.eq(shift - top),
    ]
    # Stage 8: half to even.
    rounded, carry = _rounded(m, mantissa, guard=guard, sticky=sticky)
    return rounded, delayed(m, selected, stages=1, reset_less=True) - carry


def _to_integer(m: Module, mantissa: Value, shift: Value, bits: int) -> Value:
    """Stages 9 to 11: ``mantissa`` / 2^(24 - bits + shift) rounded to an integer, at most 2^bits.

    That ends at ``low`` or ``high``, whatever the zero point.
    """
    # Stage 9: integer part, guard and sticky at shift 0; the shift as far as it matters.
    over = Signal(reset_less=True)
    kept = bits + 2
    most = (kept - 1).bit_length()
    below = _MANTISSA_BITS - kept
    aligned, amount = Signal(kept, reset_less=True), Signal(most, reset_less=True)
    m.d.sync += [
        over.eq((shift < 0) & mantissa[23]),
        aligned.eq(Cat(mantissa[: below + 1].any(), mantissa[below + 1 :])),
        amount.eq(Mux(shift[most:].any(), (1 << most) - 1, shift[:most])),
    ]
    # Stage 10: shifted right, the lowest bit collecting what falls out.
    value = aligned
    for place, enable in enumerate(amount):
        fallen = min((1 << place) + 1, kept)
        value = Mux(enable, Cat(value[:fallen].any(), value[fallen:]), value)
    shifted = Signal(kept, reset_less=True)
    m.d.sync += shifted.eq(value)
    # Stage 11: half to even; saturated.
    whole, round_up = shifted[2:], shifted[1] & (shifted[0] | shifted[2])
    magnitude = Signal(bits + 1, reset_less=True)
    m.d.sync += magnitude.eq(
        Mux(delayed(m, over, stages=1, reset_less=True), 1 << bits, whole + round_up)
    )
    return magnitude
