"""Every field of a machine says what it means."""

from arch.config import AcceleratorConfig
from tilewright.field_docs import field_docs


def test_every_field_has_one() -> None:
    found = field_docs()
    assert list(found) == list(AcceleratorConfig.model_fields)
    assert found["rows"] == "PE rows: elements of the reduction taken per cycle."
    assert all(found.values())
