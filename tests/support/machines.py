"""Configurations and simulated machines that tests share."""

from functools import lru_cache

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from hw.verilog import to_verilog
from sim.rtl.machine import RtlMachine

UNEVEN = AcceleratorConfig(
    name="uneven",
    rows=6,
    cols=12,
    activation_buffer_bytes=8192,
    activation_banks=8,
    weight_buffer_bytes=4096,
    accumulator_buffer_bytes=4096,
    parameter_buffer_bytes=512,
    requantiser_lanes=3,
    depthwise_kernel=3,
    bus_bits=32,
    burst_beats=8,
    outstanding_bursts=4,
    command_queue_depth=2,
    memory_latency=7,
    memory_bytes_per_cycle=2,
)
"""Nothing here is a power of two that need not be, and the memory is slower than the bus."""

UNEVEN16 = AcceleratorConfig.from_mapping(
    UNEVEN.model_dump(exclude={"accumulator_bits"}) | {"name": "uneven16", "activation_bits": 16}
)
"""The same with activations of 16 bits and weights of 8."""

CONFIGS = {config.name: config for config in (*PRESETS.values(), UNEVEN, UNEVEN16)}

MEMORY_BYTES = 1 << 23


@lru_cache(maxsize=1)
def rtl_machine(name: str) -> RtlMachine:
    """The machine ``name`` in RTL simulation, built once and kept while tests use no other."""
    return RtlMachine(verilog_of(name), CONFIGS[name], memory_bytes=MEMORY_BYTES)


@lru_cache(maxsize=4)
def verilog_of(name: str) -> str:
    """The Verilog of configuration ``name``."""
    return to_verilog(CONFIGS[name])
