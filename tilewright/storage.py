"""How many bytes move through each storage: accesses times the width of the port."""

from collections.abc import Mapping

from arch.config import AcceleratorConfig


def storage_bytes(counts: Mapping[str, int], config: AcceleratorConfig) -> dict[str, int]:
    """Bytes read and written by storage, from the machine's counters; a missing one is 0.

    An access moves its port's whole width, whatever part of it is of use.
    """
    return {
        storage: sum(width * counts.get(name, 0) for name, width in widths.items())
        for storage, widths in _port_bytes(config).items()
    }


def _port_bytes(config: AcceleratorConfig) -> dict[str, dict[str, int]]:
    """By storage and by counter, the bytes of one access."""
    bus, element = config.bus_bytes, config.activation_bits // 8
    lanes = config.requantiser_lanes * element
    accumulators = config.cols * config.accumulator_bits // 8
    return {
        "memory": {"memory_read_beats": bus, "memory_write_beats": bus},
        "activation": {
            "activation_read_execute": config.rows * element,
            "activation_read_post": config.cols * element,
            "activation_read_operand": lanes,
            "activation_read_store": bus,
            "activation_write_load": bus,
            "activation_write_post": lanes,
        },
        "weight": {"weight_read": config.cols * config.weight_bits // 8, "weight_write": bus},
        "accumulator": {
            "accumulator_read": accumulators,
            "accumulator_write": accumulators,
            "accumulator_drain": accumulators,
        },
        "parameter": {"parameter_read": bus, "parameter_write": bus},
        "table": {"table_read": lanes, "table_write": bus},
    }
