"""The resource model against what Yosys made: the committed counts, of which 12 or more are of
machines that it was not fitted to."""

import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from sim.resources import Sample, block_rams, estimate_resources, multipliers, read_samples
from tilewright.synthesis.page import TOLERANCE, errors_of
from tilewright.synthesis.samples import sample

SAMPLES = read_samples()
HELD_OUT = [each for each in SAMPLES if each.held_out]
SMALLEST = sorted(HELD_OUT, key=lambda each: each.config.rows * each.config.cols)[:2]


def names(samples: list[Sample]) -> list[str]:
    return [each.config.name for each in samples]


@pytest.mark.parametrize("each", HELD_OUT, ids=names(HELD_OUT))
def test_machines_that_it_was_not_fitted_to(each: Sample) -> None:
    assert max(map(abs, errors_of(each))) <= TOLERANCE


@pytest.mark.parametrize("each", SAMPLES, ids=names(SAMPLES))
def test_multipliers_and_block_rams_are_exact(each: Sample) -> None:
    assert multipliers(each.config) == each.counts.multipliers
    assert block_rams(each.config) == each.counts.block_rams


def test_enough_machines_of_many_sizes_are_held_out() -> None:
    configs = [each.config for each in HELD_OUT]
    assert len({(c.rows, c.cols) for c in configs}) >= 12
    assert {c.activation_bits for c in configs} == {8, 16}
    assert min(c.rows for c in configs) == min(c.cols for c in configs) == 2
    assert max(c.rows for c in configs) >= 12
    assert max(c.cols for c in configs) >= 12
    fitted = [each.config for each in SAMPLES if not each.held_out]
    assert not {c.fingerprint for c in configs} & {c.fingerprint for c in fitted}


@pytest.mark.parametrize("field", ["rows", "cols", "activation_banks", "requantiser_lanes"])
def test_more_of_anything_takes_more(field: str) -> None:
    small = PRESETS["small"]
    more = AcceleratorConfig(**small.model_dump() | {field: 2 * getattr(small, field)})
    before, after = estimate_resources(small), estimate_resources(more)
    assert after.luts > before.luts
    assert after.flip_flops > before.flip_flops


@pytest.mark.soak
@pytest.mark.parametrize("each", SMALLEST, ids=names(SMALLEST))
def test_the_model_meets_the_rtl_of_today(each: Sample) -> None:
    """Else it has grown or shrunk since it was measured: `make synth`."""
    assert max(map(abs, errors_of(sample(each.config, held_out=True)))) <= TOLERANCE
