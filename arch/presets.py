"""Named machines."""

from pathlib import Path

from arch.config import AcceleratorConfig
from arch.errors import ConfigError

_KIB = 1024

PRESETS: dict[str, AcceleratorConfig] = {
    config.name: config
    for config in (
        # Small enough for formal proofs and fast tests; every buffer is tight.
        AcceleratorConfig(
            name="tiny",
            rows=4,
            cols=4,
            activation_buffer_bytes=4 * _KIB,
            weight_buffer_bytes=2 * _KIB,
            accumulator_buffer_bytes=1 * _KIB,
            parameter_buffer_bytes=256,
            requantiser_lanes=1,
            bus_bits=32,
            burst_beats=16,
            outstanding_bursts=4,
            command_queue_depth=4,
            memory_latency=20,
            memory_bytes_per_cycle=4,
        ),
        # Fits a mid-range FPGA.
        AcceleratorConfig(
            name="small",
            rows=8,
            cols=8,
            activation_buffer_bytes=32 * _KIB,
            weight_buffer_bytes=16 * _KIB,
            accumulator_buffer_bytes=16 * _KIB,
            parameter_buffer_bytes=1 * _KIB,
            requantiser_lanes=2,
            bus_bits=64,
            memory_latency=50,
            memory_bytes_per_cycle=8,
        ),
        # The same array with Eyeriss's word, and as many elements in each buffer.
        AcceleratorConfig(
            name="small16",
            rows=8,
            cols=8,
            activation_bits=16,
            weight_bits=16,
            activation_buffer_bytes=64 * _KIB,
            weight_buffer_bytes=32 * _KIB,
            accumulator_buffer_bytes=32 * _KIB,
            parameter_buffer_bytes=2 * _KIB,
            requantiser_lanes=2,
            bus_bits=64,
            memory_latency=50,
            memory_bytes_per_cycle=8,
        ),
        # The largest square array of an ECP5-85F, whose 156 multipliers leave one lane beside it.
        AcceleratorConfig(
            name="ecp5_85f",
            rows=12,
            cols=12,
            activation_buffer_bytes=128 * _KIB,
            weight_buffer_bytes=64 * _KIB,
            accumulator_buffer_bytes=64 * _KIB,
            parameter_buffer_bytes=2 * _KIB,
            requantiser_lanes=1,
            bus_bits=64,
            memory_latency=50,
            memory_bytes_per_cycle=8,
        ),
        # The size at which Gemmini was published: 256 KiB of operands, 64 KiB of accumulators.
        AcceleratorConfig(
            name="gemmini16",
            rows=16,
            cols=16,
            activation_buffer_bytes=128 * _KIB,
            activation_banks=8,
            weight_buffer_bytes=128 * _KIB,
            accumulator_buffer_bytes=64 * _KIB,
            parameter_buffer_bytes=4 * _KIB,
            requantiser_lanes=8,
            depthwise_kernel=3,
            bus_bits=128,
            outstanding_bursts=64,
            memory_latency=100,
            memory_bytes_per_cycle=16,
        ),
    )
}


def load_config(name_or_path: str) -> AcceleratorConfig:
    """A preset by its name, else a TOML file by its path; raises ``ConfigError``."""
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise ConfigError(
            f"a configuration must be a preset ({', '.join(PRESETS)}) or a .toml file, "
            f"got {name_or_path!r}"
        )
    return AcceleratorConfig.from_file(path)
