"""Integer formats."""

import itertools

import pytest

from arch.errors import ConfigError
from arch.formats import INT8, INT32, UINT8, IntegerFormat, smallest_format


def test_ranges_of_the_named_formats() -> None:
    assert INT8.limits == (-128, 127)
    assert UINT8.limits == (0, 255)
    assert INT32.limits == (-2147483648, 2147483647)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(1, 9))
def test_a_format_holds_two_to_its_bits_values(bits: int, signed: bool) -> None:
    form = IntegerFormat(bits=bits, signed=signed)
    assert form.maximum - form.minimum + 1 == 2**bits
    assert form.contains(form.minimum)
    assert form.contains(form.maximum)
    assert not form.contains(form.minimum - 1)
    assert not form.contains(form.maximum + 1)
    assert form.clamp(form.maximum + 5) == form.maximum
    assert form.clamp(form.minimum - 5) == form.minimum
    assert form.clamp(form.maximum) == form.maximum


def test_the_smallest_format_holds_the_range_and_one_bit_less_does_not() -> None:
    for low, high in itertools.combinations_with_replacement(range(-20, 21), 2):
        form = smallest_format(low, high)
        assert form.signed == (low < 0)
        assert form.contains(low)
        assert form.contains(high)
        if form.bits > 1:
            narrower = IntegerFormat(bits=form.bits - 1, signed=form.signed)
            assert not (narrower.contains(low) and narrower.contains(high))


def test_errors_name_the_rule_and_the_value() -> None:
    with pytest.raises(ConfigError, match=r"^an integer format needs at least 1 bit, got 0$"):
        IntegerFormat(bits=0, signed=False)
    with pytest.raises(ConfigError, match=r"^a range must not be empty, got 3 to 2$"):
        smallest_format(3, 2)
