"""Integer number formats: the range of a width and a sign."""

from dataclasses import dataclass

from arch.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class IntegerFormat:
    """An integer of ``bits`` bits, two's complement where ``signed``.

    Raises ``ConfigError`` if ``bits`` is below 1.
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ConfigError(f"an integer format needs at least 1 bit, got {self.bits}")

    @property
    def minimum(self) -> int:
        """Smallest representable value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest representable value."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def limits(self) -> tuple[int, int]:
        """(minimum, maximum)."""
        return self.minimum, self.maximum

    def contains(self, value: int) -> bool:
        """Whether ``value`` is representable."""
        return self.minimum <= value <= self.maximum

    def clamp(self, value: int) -> int:
        """The representable value nearest to ``value``."""
        return min(max(value, self.minimum), self.maximum)


INT8 = IntegerFormat(bits=8, signed=True)
UINT8 = IntegerFormat(bits=8, signed=False)
INT32 = IntegerFormat(bits=32, signed=True)


def accumulator_format(activation_bits: int) -> IntegerFormat:
    """The format of biases and sums that goes with activations of 8 or 16 bits.

    32 bits hold 2^17 products of 8 bits, 48 bits as many of 16.
    """
    return INT32 if activation_bits == 8 else IntegerFormat(bits=48, signed=True)


def smallest_format(minimum: int, maximum: int) -> IntegerFormat:
    """The narrowest format that holds every integer from ``minimum`` to ``maximum``.

    Unsigned unless ``minimum`` is negative. Raises ``ConfigError`` on an empty range.
    """
    if minimum > maximum:
        raise ConfigError(f"a range must not be empty, got {minimum} to {maximum}")
    if minimum >= 0:
        return IntegerFormat(bits=max(maximum.bit_length(), 1), signed=False)
    # ~minimum = -minimum - 1: the magnitude bits a negative number needs beside its sign.
    magnitude = max(~minimum, maximum).bit_length()
    return IntegerFormat(bits=magnitude + 1, signed=True)
