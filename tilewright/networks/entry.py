"""What the registry says of a network: where it comes from, and what is printed about it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import Tensor

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


class Family(StrEnum):
    """How a network's layers are connected."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    DENSE = "dense"
    RESIDUAL = "residual"
    SEARCHED = "searched"
    PRODUCT = "product"
    OTHER = "other"


class Quantity(StrEnum):
    """A count that is printed somewhere; the value is its name in ``Totals``."""

    CONV_WEIGHTS = "conv_weights"
    CONV_MACS = "conv_macs"
    FC_WEIGHTS = "fc_weights"
    FC_MACS = "fc_macs"
    WEIGHTS = "weights"
    MACS = "macs"
    PARAMETERS = "parameters"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A printed count, such as ``15.3 G``, and why the shapes give another, where they do."""

    quantity: Quantity
    printed: str
    source: str
    why: str = ""

    def agrees(self, computed: int) -> bool:
        """Whether ``computed`` lies within half a unit of the last printed digit."""
        digits, _, unit = self.printed.partition(" ")
        number = Decimal(digits.replace(",", ""))
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int):
            raise ValueError(f"a printed figure must be a number, got {self.printed}")
        last = Decimal(1).scaleb(exponent) * _UNITS[unit]
        return abs(computed - number * _UNITS[unit]) <= last / 2


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A built-in network.

    ``define`` describes it on a builder whose input is of size ``input``, or of another size:
    down to ``smallest`` (height, width). ``note`` says what is special about the description.
    """

    name: str
    family: Family
    input: FeatureMap
    smallest: tuple[int, int]
    source: str
    define: Callable[[Builder], Tensor]
    figures: tuple[Figure, ...] = ()
    note: str = ""


def image(size: int, channels: int = 3) -> FeatureMap:
    """A square input."""
    return FeatureMap(height=size, width=size, channels=channels)
