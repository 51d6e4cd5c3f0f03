"""Random post commands, and what the post-processor must do with them: bytes and cycles."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import floor
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.commands import (
    POST,
    POST_LOOPS,
    ROW_LOOPS,
    Engine,
    PostMode,
    PostOperand,
    PostSource,
)
from arch.config import TABLES, AcceleratorConfig
from arch.post_timing import (
    drain_to_done,
    post_constant_words,
    post_cycles,
    post_first_operand,
    post_first_position,
    post_first_write,
    post_interval,
)
from tests.support.elements import whole_elements

Command = dict[str, int]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Memories:
    """What the engine reads."""

    activations: Bytes
    accumulators: NDArray[np.int64]
    """[entries, cols]."""
    parameters: Bytes
    tables: Bytes
    """[tables, bytes of a table]."""


@dataclass
class Log:
    """What the engine did: the cycle of each event, then its details."""

    taken: list[int] = field(default_factory=list)
    parameters: list[tuple[int, int]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    drains: list[tuple[int, int]] = field(default_factory=list)
    activations: list[tuple[int, int, int]] = field(default_factory=list)
    operands: list[tuple[int, int, int]] = field(default_factory=list)
    writes: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Address of the first byte written, and the bytes."""
    table_reads: list[int] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)


def little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def random_memories(config: AcceleratorConfig, rng: np.random.Generator) -> Memories:
    """Multipliers bring most sums and activations into an output's range."""
    most = 1 << config.accumulator_bits - 1
    accumulators = rng.integers(-most, most, (config.accumulator_entries, config.cols))
    accumulators >>= rng.integers(0, config.accumulator_bits - 4, accumulators.shape)
    parameters = np.zeros(config.parameter_buffer_bytes, np.uint8)
    size = slot_words(config) * config.bus_bytes
    for slot in range(0, len(parameters) - size + 1, size):
        start = slot + config.parameter_block_words * config.bus_bytes
        block = parameters[slot : slot + config.cols * config.parameter_column_bytes]
        columns: Any = block.view(column_type(config))
        columns["bias"] = rng.integers(-2000, 2000, config.cols)
        columns["multiplier"] = np.exp2(rng.uniform(-14, 1, config.cols))
        if config.depthwise_kernel:
            parameters[start : slot + size] = rng.integers(0, 256, slot + size - start)
        constants = operand_constants(config, rng)
        parameters[start : start + len(constants)] = np.frombuffer(constants, np.uint8)
    return Memories(
        activations=rng.integers(0, 256, config.activation_buffer_bytes, np.uint8),
        accumulators=accumulators,
        parameters=parameters,
        tables=rng.integers(0, 256, (TABLES, config.table_bytes), np.uint8),
    )


def column_type(config: AcceleratorConfig) -> np.dtype[np.void]:
    """A column's parameters."""
    return np.dtype([("bias", f"<i{config.bias_bytes}"), ("multiplier", "<f4")])


def slot_words(config: AcceleratorConfig) -> int:
    """Words of one command's constants; they begin at every 8th byte of the parameters."""
    alignment = max(1, 8 // config.bus_bytes)
    most = post_constant_words(config, operand=True, kernel_rows=config.tap_rows)
    return -(-most // alignment) * alignment


def constant_words(command: Command, config: AcceleratorConfig) -> int:
    """Words of constants that the command reads."""
    operand = command["operand"] != PostOperand.NONE
    rows = command["kernel_rows"] + 1 if command["mode"] == PostMode.PRODUCTS else 0
    return post_constant_words(config, operand=operand, kernel_rows=rows)


def operand_constants(config: AcceleratorConfig, rng: np.random.Generator) -> bytes:
    """Constants that bring most outputs into their range, one or the other kind of operand."""
    most = 1 << config.activation_bits
    shift = int(rng.integers(10, 33))
    factors = np.exp2(shift - rng.uniform(0, config.activation_bits + 2, 2))
    multiplier, operand_multiplier = (min(int(factor), (1 << 24) - 1) for factor in factors)
    low, high = sorted(int(limit) for limit in rng.integers(-most, most, 2))
    operand_zero_point = rng.integers(-most + 1, most)
    zero_point = rng.integers(-most // 2, most)
    words = np.array([multiplier | shift << 24, operand_multiplier], "<u4")
    numbers = np.array([operand_zero_point, zero_point, low, high])
    return words.tobytes() + numbers.astype(f"<i{config.operand_number_bytes}").tobytes()


def random_command(config: AcceleratorConfig, rng: np.random.Generator) -> Command:
    """Windows of one position, of many, and beyond the bounds."""

    def between(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    codes = 1 << config.activation_bits
    low, high = sorted((between(-codes, codes - 1), between(-codes, codes - 1)))
    # The fields that the engine does not look at, and the loops.
    values = {field.name: 0 for field in POST.fields}
    for loop, most in zip(POST_LOOPS, rng.choice([0, 2, 3], 4), strict=True):
        values |= {
            f"{loop}_count": between(0, int(most)),
            **(
                {f"{loop}_dy": between(-2, 3), f"{loop}_da": between(-(1 << 19), (1 << 19) - 1)}
                if loop in ROW_LOOPS
                else {f"{loop}_dx": between(-3, 6)}
            ),
        }
    slots = config.parameter_words // slot_words(config)
    values |= {
        "address": between(0, (1 << 20) - 1),
        "y": between(-3, 2),
        "x": between(-5, 4),
        "height": between(0, 6) if between(0, 1) else (1 << 16) - 1,
        "width": between(0, 15) if between(0, 1) else (1 << 20) - 1,
        "source": between(0, 1),
        "mode": between(0, 2 if config.depthwise_kernel else 1),
        "kernel_rows": between(0, max(config.tap_rows - 1, 0)),
        "lead": between(0, 2) if config.depthwise_kernel else 0,
        "skip": between(0, 2) if config.depthwise_kernel else 0,
        "continues": 0,
        "unsigned": between(0, 1),
        "parameter_address": slot_words(config) * between(0, slots - 1),
        "channels": between(0, config.cols - 1),
        "zero_point": between(-codes // 2, codes - 1),
        "low": low,
        "high": high,
        "out_address": between(0, config.activation_buffer_bytes - 1),
        "out_py": between(0, (1 << 20) - 1),
        "out_px": between(0, (1 << 20) - 1),
        "operand": between(0, 2),
        "operand_unsigned": between(0, 1),
        "operand_address": between(0, config.activation_buffer_bytes - 1),
        "operand_py": between(0, (1 << 20) - 1),
        "operand_px": between(0, (1 << 20) - 1),
        "table": between(0, TABLES),
    }
    if values["mode"] == PostMode.PRODUCTS:
        values["source"] = PostSource.ACTIVATION
    return whole_elements(Engine.POST, values, config)


def random_commands(
    config: AcceleratorConfig, rng: np.random.Generator, count: int
) -> list[Command]:
    """So many in a row; a third continue the window of the one before."""
    commands: list[Command] = []
    for _ in range(count):
        command = random_command(config, rng)
        if commands and rng.random() < 1 / 3:
            before = commands[-1]
            channels = min(command["channels"], before["channels"])
            command |= {"continues": 1, "mode": before["mode"], "channels": channels}
            if command["mode"] == PostMode.PRODUCTS:
                command["source"] = PostSource.ACTIVATION
                command = whole_elements(Engine.POST, command, config)
        commands.append(command)
    return commands


def window_size(command: Command) -> int:
    return (command["wy_count"] + 1) * (command["wx_count"] + 1)


def window_count(command: Command) -> int:
    return (command["py_count"] + 1) * (command["px_count"] + 1)


def positions(command: Command) -> list[tuple[int, int] | None]:
    """(address, row) of each position in order, None for padding."""
    counts = [range(command[f"{loop}_count"] + 1) for loop in POST_LOOPS]
    found: list[tuple[int, int] | None] = []
    for indices in product(*counts):
        y, x, address = (
            command[origin]
            + sum(
                i * command.get(f"{p}_{step}", 0) for i, p in zip(indices, POST_LOOPS, strict=True)
            )
            for origin, step in (("y", "dy"), ("x", "dx"), ("address", "da"))
        )
        inside = 0 <= y < command["height"] and 0 <= x < command["width"]
        found.append((address + x, y) if inside else None)
    return found


def requantised(
    values: NDArray[np.int64], columns: NDArray[np.void], command: Command
) -> NDArray[np.int64]:
    """Values of one output from its sums with their biases, as NumPy computes them in float32."""
    rounded = np.rint(values.astype(np.float32) * columns["multiplier"]).astype(np.int64)
    clamped = np.clip(rounded + command["zero_point"], command["low"], command["high"])
    return np.asarray(clamped, np.int64)


def combined(
    values: NDArray[np.int64], operands: NDArray[np.int64], constants: bytes, command: Command
) -> NDArray[np.int64]:
    """Values of one output combined with its second operand, in Python's integers."""
    first, second = unpack_from("<II", constants)
    multiplier, shift = first & 0xFF_FFFF, first >> 24
    numbers = unpack_from("<hhhh" if len(constants) == 16 else "<iiii", constants, 8)
    operand_zero_point, zero_point, low, high = numbers
    found = []
    for value, operand in zip(values.tolist(), operands.tolist(), strict=True):
        b = operand - operand_zero_point
        if command["operand"] == PostOperand.MULTIPLY:
            total = value * b * multiplier
        else:
            total = value * multiplier + b * (second & 0xFF_FFFF)
        # Half to even.
        rounded = round(Fraction(total, 1 << shift)) + zero_point
        found.append(min(max(rounded, low), high))
    return np.array(found, np.int64)


def looked_up(table: bytes, element: int) -> int:
    """What the bytes ``table`` make of an element of 8 or 16 bits."""
    if len(table) == 256:
        return table[element]
    start, change = unpack_from("<Hh", table, element // 256 * 4)
    return int(start + floor(Fraction(change * (element % 256), 256) + Fraction(1, 2))) % (1 << 16)


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the engine must do."""

    config: AcceleratorConfig
    memories: Memories
    held: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Under "pooled": what the last window was made of, [which sum, column]; under "rows": rows of
    weights, [row, which sum, column]."""

    def columns(self, command: Command) -> NDArray[np.void]:
        start = command["parameter_address"] * self.config.bus_bytes
        size = self.config.parameter_column_bytes * self.config.cols
        return self.memories.parameters[start : start + size].view(column_type(self.config))

    def elements(self, address: int, *, unsigned: bool) -> NDArray[np.int64]:
        """``cols`` elements from ``address`` on."""
        memory, unit = self.memories.activations, self.config.activation_bytes
        where = (address // unit + np.arange(self.config.cols)) % (len(memory) // unit)
        return np.asarray(memory.view(f"<{'u' if unsigned else 'i'}{unit}")[where], np.int64)

    def read(self, command: Command, address: int) -> NDArray[np.int64]:
        if command["source"] == PostSource.ACCUMULATOR:
            entry = address % self.config.accumulator_entries
            return np.asarray(self.memories.accumulators[entry], np.int64)
        read = self.elements(address, unsigned=bool(command["unsigned"]))
        return read - (1 << self.config.activation_bits - 1) * command["unsigned"]

    def pooled(
        self,
        command: Command,
        window: list[tuple[int, int] | None],
        *,
        goes_on: bool,
        chained: bool,
    ) -> NDArray[np.int64]:
        """What the window gives; ``goes_on`` from the window before, or ``chained`` to it."""
        if command["mode"] == PostMode.PRODUCTS:
            return self._products(command, window, goes_on=goes_on, chained=chained)
        summing = command["mode"] == PostMode.SUM
        least = -(1 << self.config.accumulator_bits - 1)
        sums = np.full(self.config.cols, 0 if summing else least, np.int64)
        if goes_on:
            sums = self.held["pooled"][0]
        for position in window:
            if position:
                values = self.read(command, position[0])
                sums = sums + values if summing else np.maximum(sums, values)
        self.held["pooled"] = self._wrapped(sums)[None]
        return np.asarray(self.held["pooled"][0])

    def _products(
        self,
        command: Command,
        window: list[tuple[int, int] | None],
        *,
        goes_on: bool,
        chained: bool,
    ) -> NDArray[np.int64]:
        sums = np.zeros((self.config.depthwise_kernel, self.config.cols), np.int64)
        if goes_on:
            sums = self.held["pooled"]
        elif chained:
            sums[:-1] = self.held["pooled"][1:]
        for number, position in enumerate(window):
            values = self.read(command, position[0]) if position else self.padding(command)
            sums = sums + values * self.held["rows"][number % self.config.tap_rows]
        self.held["pooled"] = self._wrapped(sums)
        return np.asarray(self.held["pooled"][0])

    def _products_block(self, command: Command) -> Bytes:
        """What padding reads as, in a word of its own, and the rows of weights."""
        config = self.config
        stop = command["parameter_address"] + constant_words(command, config)
        start = stop - config.product_words(command["kernel_rows"] + 1)
        return self.memories.parameters[start * config.bus_bytes : stop * config.bus_bytes]

    def padding(self, command: Command) -> NDArray[np.int64]:
        """What padding counts as, in every column."""
        unit = self.config.activation_bytes
        kind = "u" if command["unsigned"] else "i"
        (raw,) = self._products_block(command)[:unit].view(f"<{kind}{unit}").tolist()
        centred = raw - (1 << self.config.activation_bits - 1) * command["unsigned"]
        return np.full(self.config.cols, centred, np.int64)

    def load_rows(self, command: Command) -> None:
        """Put the weights of ``command`` in place of those before; other rows stay."""
        config = self.config
        size = config.depthwise_kernel, config.cols
        held = self.held.setdefault("rows", np.zeros((config.tap_rows, *size), np.int64))
        for row in range(command["kernel_rows"] + 1):
            block = self._products_block(command)[(1 + row * config.tap_words) * config.bus_bytes :]
            weights = block[: size[0] * size[1] * config.weight_bytes]
            held[row] = weights.view(f"<i{config.weight_bytes}").reshape(size)

    def _wrapped(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        half = 1 << self.config.accumulator_bits - 1
        return (sums + half) % (2 * half) - half

    def outputs(self, command: Command) -> list[bytes]:
        size, every = window_size(command), positions(command)
        windows = [every[start : start + size] for start in range(0, len(every), size)]
        columns = self.columns(command)
        if command["mode"] == PostMode.PRODUCTS:
            self.load_rows(command)
        found = []
        for number, window in enumerate(windows):
            column = number % (command["px_count"] + 1)
            goes_on = bool(command["continues"]) and number == 0
            pooled = self.pooled(command, window, goes_on=goes_on, chained=column > 0)
            if self.gives_output(command, number):
                values = self._wrapped(pooled + columns["bias"])
                values = requantised(values, columns, command)
                found.append(self._finish(command, number, values))
        return found

    def gives_output(self, command: Command, window: int) -> bool:
        """Whether window number ``window`` does."""
        beyond = window % (command["px_count"] + 1) - command["lead"]
        return beyond >= 0 and beyond % (command["skip"] + 1) == 0

    def _finish(self, command: Command, window: int, values: NDArray[np.int64]) -> bytes:
        """From requantised values to the bytes of the output of window ``window``."""
        config, memories = self.config, self.memories
        if command["operand"] != PostOperand.NONE:
            start = (command["parameter_address"] + config.parameter_block_words) * config.bus_bytes
            constants = memories.parameters[start : start + config.operand_block_bytes].tobytes()
            address = self.address(command, "operand", window)
            operands = self.elements(address, unsigned=bool(command["operand_unsigned"]))
            values = combined(values, operands, constants, command)
        bits = (values & (1 << config.activation_bits) - 1).tolist()[: command["channels"] + 1]
        if command["table"]:
            table = memories.tables[command["table"] - 1].tobytes()
            bits = [looked_up(table, element) for element in bits]
        return b"".join(each.to_bytes(config.activation_bytes, "little") for each in bits)

    def address(self, command: Command, prefix: str, window: int) -> int:
        """Of the first byte of the output of window ``window``, or of its second operand."""
        row, column = divmod(window, command["px_count"] + 1)
        column = (column - command["lead"]) // (command["skip"] + 1)
        steps = row * command[f"{prefix}_py"] + column * command[f"{prefix}_px"]
        return command[f"{prefix}_address"] + steps

    def log(self, command: Command, taken: int, into: Log) -> None:
        """Add what ``command``, taken in cycle ``taken``, does."""
        config, window = self.config, window_size(command)
        windows, operand = window_count(command), command["operand"] != PostOperand.NONE
        constants = constant_words(command, config)
        into.taken.append(taken)
        for index in range(constants):
            word = command["parameter_address"] + index
            into.parameters.append((taken + 1 + index, word * config.bus_bytes))
        for index, position in enumerate(positions(command)):
            output, offset = divmod(index, window)
            cycle = output * post_interval(config, window) + offset
            first = post_first_position(constants)
            self._position(command, taken + first + cycle, position, into)
        giving = [each for each in range(windows) if self.gives_output(command, each)]
        for output, data in zip(giving, self.outputs(command), strict=True):
            begin = taken + output * post_interval(config, window)
            size = config.requantiser_lanes * config.activation_bytes
            for start in range(0, len(data), size):
                cycle = begin + start // size
                group = data[start : start + size]
                place = self.address(command, "out", output) + start
                written = cycle + post_first_write(config, window, constants)
                into.writes.append((written, place % config.activation_buffer_bytes, group))
                if command["table"]:
                    into.table_reads.append(written)
                if operand:
                    place = self.address(command, "operand", output) + start
                    where = place % config.activation_buffer_bytes
                    mask = (1 << len(group) // config.activation_bytes) - 1
                    into.operands.append(
                        (cycle + post_first_operand(config, window, constants), where, mask)
                    )
        into.done.append(taken + post_cycles(config, windows, window, constants))
        into.drained.append(into.positions[-1])
        assert into.drained[-1] == into.done[-1] - drain_to_done(config)

    def _position(
        self, command: Command, cycle: int, position: tuple[int, int] | None, into: Log
    ) -> None:
        into.positions.append(cycle)
        if not position:
            return
        if command["source"] == PostSource.ACCUMULATOR:
            into.drains.append((cycle, position[0] % self.config.accumulator_entries))
        else:
            mask = (2 << command["channels"]) - 1
            where = position[0] % self.config.activation_buffer_bytes
            into.activations.append((cycle, where, mask))
