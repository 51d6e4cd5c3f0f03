"""Which machines are synthesised for the resource model, and the file of what was found."""

from pathlib import Path

import pytest

from sim import resources
from sim.resources import read_samples
from tilewright.synthesis.samples import (
    CORNERS,
    FITTED,
    FITTED_PRESETS,
    HELD_OUT,
    csv_text,
    planned,
)


def test_the_data_are_of_the_planned_machines() -> None:
    """Else: `make synth`."""
    assert [(each.config, each.held_out) for each in read_samples()] == list(planned())


def test_the_plan() -> None:
    held_out = [config for config, held in planned() if held]
    assert (len(list(planned())), len(held_out)) == (
        len(FITTED_PRESETS) + FITTED + HELD_OUT + len(CORNERS),
        HELD_OUT + len(CORNERS),
    )
    assert all(2 <= side <= 16 for config in held_out for side in (config.rows, config.cols))


def test_what_is_written_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_samples()
    monkeypatch.setattr(resources, "DATA", tmp_path / "data.csv")
    resources.DATA.write_text(csv_text(samples), "utf-8")
    assert read_samples() == samples
