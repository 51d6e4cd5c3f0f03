from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Signal

from tests.formal.prover import Harness

REFUTED = r"DONE \(FAIL"


def counter() -> tuple[Harness, Signal]:
    """A count of free events that stops at 5."""
    h = Harness()
    event = h.free(1, "event")
    count = Signal(3)
    with h.m.If(event & (count != 5)):
        h.m.d.sync += count.eq(count + 1)
    return h, count


def test_a_true_claim_is_proven(tmp_path: Path) -> None:
    h, count = counter()
    h.m.d.comb += Assert(count <= 5)
    h.check(tmp_path, mode="prove", depth=2)


def test_a_false_claim_is_refuted(tmp_path: Path) -> None:
    h, count = counter()
    h.m.d.comb += Assert(count != 5)
    with pytest.raises(AssertionError, match=REFUTED):
        h.check(tmp_path, mode="bmc", depth=7)


def test_an_assumption_binds_the_solver(tmp_path: Path) -> None:
    h, count = counter()
    h.m.d.comb += Assume(count != 3)
    h.m.d.comb += Assert(count < 3)
    h.check(tmp_path, mode="prove", depth=2)
