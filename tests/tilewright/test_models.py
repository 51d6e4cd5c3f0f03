"""Model files of the command line; what is refused of files stands in tests/e2e."""

import pytest

from arch.errors import InputError
from compiler.shapes import InputShape
from tilewright.models import parse_shape


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x=1,3,224,224", InputShape(name="x", sizes=(1, 3, 224, 224))),
        ("input:0=1, 8", InputShape(name="input:0", sizes=(1, 8))),
        ("a=b=7", InputShape(name="a=b", sizes=(7,))),
    ],
)
def test_a_shape(text: str, shape: InputShape) -> None:
    assert parse_shape(text) == shape


def test_no_shape() -> None:
    assert parse_shape(None) is None


@pytest.mark.parametrize("text", ["", "x", "x=", "=1,2", "x=1,,2", "x=1x2", "x=-1", "x=²", "x=1e3"])
def test_no_shape_at_all(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_shape(text)
    assert str(error.value) == (
        f"--shape must be NAME=1,3,224,224, got '{text or '.'}'; "
        "give the input's name and a number for each dimension"
    )


def test_a_number_beyond_every_cap() -> None:
    with pytest.raises(InputError):
        parse_shape(f"x={'9' * 5000}")
