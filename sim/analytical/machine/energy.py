"""Words and energy of a layer on a generated machine, from the machine's counters alone.

An access moves its port's whole width, and costs in proportion to it. Outputs count as psums,
second operands as ifmaps; biases, multipliers, tables and the program count as weights. PEs and
multipliers that a layer leaves idle are paid for: the array streams through all of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from arch.architecture import DataType
from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.energy import EnergyTable

IFMAP, WEIGHT, PSUM = DataType.IFMAP, DataType.WEIGHT, DataType.PSUM


@dataclass(frozen=True, kw_only=True)
class Flow:
    """``times`` accesses of ``words`` words of ``bits`` bits each."""

    level: str
    data: DataType
    storage: int
    """Bytes of the storage; of external memory 0."""
    times: int
    words: int
    bits: int
    writes: bool = False

    def energy(self, table: EnergyTable) -> float:
        """In the table's unit."""
        moved = self.words * self.bits
        if self.level == "memory":
            return self.times * table.scaled(table.memory, moved)
        return self.times * table.access(self.storage, moved)[self.writes]


def flows(counters: Mapping[str, int], config: AcceleratorConfig) -> Iterator[Flow]:
    """All accesses of a run with these ``counters``."""
    yield from _memory(counters, config)
    yield from _activations(counters, config)
    bus, psums = config.bus_bits, (config.cols, config.accumulator_bits)
    weights, accumulators = config.weight_buffer_bytes, config.accumulator_buffer_bytes
    parameters, tables = config.parameter_buffer_bytes, config.table_bytes
    bits = config.weight_bits
    rows: tuple[tuple[str, DataType, int, int, int, bool], ...] = (
        ("weight_read", WEIGHT, weights, config.cols, bits, False),
        ("weight_write", WEIGHT, weights, bus // bits, bits, True),
        ("accumulator_read", PSUM, accumulators, *psums, False),
        ("accumulator_drain", PSUM, accumulators, *psums, False),
        ("accumulator_write", PSUM, accumulators, *psums, True),
        ("parameter_read", WEIGHT, parameters, bus // bits, bits, False),
        ("parameter_write", WEIGHT, parameters, bus // bits, bits, True),
        ("table_read", WEIGHT, tables, config.requantiser_lanes, config.activation_bits, False),
        ("table_write", WEIGHT, tables, bus // bits, bits, True),
    )
    for name, data, storage, words, width, writes in rows:
        yield _buffer(data, storage, counters[name], words, width, writes)
    pes, register = config.rows * config.cols, config.weight_bytes
    for times, words, writes in (
        (counters["array_busy"], pes, False),
        (counters["weight_read"], config.cols, True),
    ):
        yield Flow(
            level="spad",
            data=WEIGHT,
            storage=register,
            times=times,
            words=words,
            bits=bits,
            writes=writes,
        )


def _memory(counters: Mapping[str, int], config: AcceleratorConfig) -> Iterator[Flow]:
    """What passes between memory and chip; every beat that is read is written to a buffer."""
    constants = ("weight_write", "parameter_write", "table_write")
    program = counters["commands"] * (COMMAND_BYTES // config.bus_bytes)
    for data, beats, bits, writes in (
        (WEIGHT, sum(counters[name] for name in constants) + program, config.weight_bits, False),
        (IFMAP, counters["activation_write_load"], config.activation_bits, False),
        (PSUM, counters["memory_write_beats"], config.activation_bits, True),
    ):
        yield Flow(
            level="memory",
            data=data,
            storage=0,
            times=beats,
            words=config.bus_bits // bits,
            bits=bits,
            writes=writes,
        )


def _activations(counters: Mapping[str, int], config: AcceleratorConfig) -> Iterator[Flow]:
    bits, lanes = config.activation_bits, config.requantiser_lanes
    beat = config.bus_bits // bits
    for name, data, words, writes in (
        ("activation_read_execute", IFMAP, config.rows, False),
        ("activation_read_post", IFMAP, config.cols, False),
        ("activation_read_operand", IFMAP, lanes, False),
        ("activation_read_store", PSUM, beat, False),
        ("activation_write_load", IFMAP, beat, True),
        ("activation_write_post", PSUM, lanes, True),
    ):
        storage = config.activation_buffer_bytes
        yield _buffer(data, storage, counters[name], words, bits, writes)


def _buffer(data: DataType, storage: int, times: int, words: int, bits: int, writes: bool) -> Flow:
    return Flow(
        level="buffer",
        data=data,
        storage=storage,
        times=times,
        words=words,
        bits=bits,
        writes=writes,
    )


def words_moved(
    counters: Mapping[str, int], config: AcceleratorConfig
) -> dict[tuple[str, str], tuple[int, int]]:
    """Words (read, written) by (level, data type)."""
    read, written = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for flow in flows(counters, config):
        side = written if flow.writes else read
        side[flow.level, flow.data.value] += flow.times * flow.words
    return {place: (read[place], written[place]) for place in read | written}


def energy_parts(
    counters: Mapping[str, int], config: AcceleratorConfig, table: EnergyTable, *, products: bool
) -> dict[tuple[str, str], float]:
    """Energy by (level, data type); multiply-accumulates under ("mac", "").

    ``products``: the post-processor multiplies, not the array.
    """
    macs = counters["array_busy"] * config.rows * config.cols
    if products:
        macs += counters["post_busy"] * config.depthwise_kernel * config.cols
    energy = macs * table.multiply(config.activation_bits, config.weight_bits)
    found: dict[tuple[str, str], float] = {("mac", ""): energy}
    for flow in flows(counters, config):
        place = flow.level, flow.data.value
        found[place] = found.get(place, 0.0) + flow.energy(table)
    return found
