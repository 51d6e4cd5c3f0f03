"""What each command does to the machine's storage, bit by bit, on NumPy arrays.

Commands are executed one after another in program order: their waits guarantee that the engines,
running side by side, leave the same bytes.
"""

import numpy as np
from numpy.typing import NDArray

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    Command,
    Engine,
    LoadTarget,
    PostMode,
    PostOperand,
    PostSource,
)
from arch.config import OPERAND_BLOCK_BYTES, TABLE_BYTES, TABLES, AcceleratorConfig
from sim.command.affine import positions
from sim.golden.elementwise import rounded_shift
from sim.golden.requantise import rounded_product

_FLIP = 0x80
"""Turns the bits of a uint8 q into those of the int8 q - 128."""


class Storage:
    """The machine's buffers, and the memory they are filled from."""

    def __init__(self, config: AcceleratorConfig, memory: NDArray[np.uint8]) -> None:
        self.config = config
        self.memory = memory
        self.activation = np.zeros(config.activation_buffer_bytes, np.uint8)
        self.weight = np.zeros(config.weight_buffer_bytes, np.uint8)
        self.parameter = np.zeros(config.parameter_buffer_bytes, np.uint8)
        self.table = np.zeros(TABLES * TABLE_BYTES, np.uint8)
        self.accumulator = np.zeros((config.accumulator_entries, config.cols), np.int32)
        self.pooled = np.zeros(config.cols, np.int32)
        """What the last output of the last post command was made of."""

    def apply(self, command: Command) -> None:
        """Execute one command."""
        if command.engine is Engine.LOAD:
            self._load(command)
        elif command.engine is Engine.EXECUTE:
            self._execute(command)
        elif command.engine is Engine.POST:
            self._post(command)
        else:
            self._store(command)

    def _load(self, command: Command) -> None:
        target = {
            LoadTarget.ACTIVATION: self.activation,
            LoadTarget.WEIGHT: self.weight,
            LoadTarget.PARAMETER: self.parameter,
            LoadTarget.TABLE: self.table,
        }[LoadTarget(command["target"])]
        dram, buffer = _transfer(command, target.size)
        target[buffer] = self.memory[dram]

    def _store(self, command: Command) -> None:
        dram, buffer = _transfer(command, self.activation.size)
        self.memory[dram] = self.activation[buffer]

    def _execute(self, command: Command) -> None:
        config = self.config
        at = positions(command, EXECUTE_LOOPS)
        lanes = np.arange(config.rows)
        x = at.x[..., None] + lanes
        inside = (x >= 0) & (x < command["width"])
        inside &= ((at.y >= 0) & (at.y < command["height"]))[..., None]
        data = self.activation[(at.address[..., None] + lanes) % self.activation.size]
        data = np.where(inside, data, np.uint8(command["padding"]))
        if command["unsigned"]:
            data = data ^ np.uint8(_FLIP)
        # [tiles, pixels, rows] x [tiles, rows, cols], exact in float64: every product is below
        # 2^15, and a compiled program's sums below 2^31.
        tiles = data.shape[0] * data.shape[1] * data.shape[2]
        vectors = data.view(np.int8).reshape(tiles, -1, config.rows).astype(np.float64)
        start = command["weight_address"]
        weights = self.weight[
            (start + np.arange(tiles * config.weight_tile_bytes)) % self.weight.size
        ]
        matrices = weights.view(np.int8).reshape(tiles, config.rows, config.cols)
        psums = np.matmul(vectors, matrices.astype(np.float64)).sum(axis=0).astype(np.int64)
        half = config.accumulator_half_entries
        first = command["accumulator_address"]
        entries = first // half * half + (first % half + np.arange(psums.shape[0])) % half
        if command["accumulate"]:
            psums += self.accumulator[entries]
        self.accumulator[entries] = psums.astype(np.int32)

    def _post(self, command: Command) -> None:
        channels = command["channels"] + 1
        pooled = self._pool(command, channels)
        first = command["parameter_address"] * self.config.bus_bytes
        pairs = self.parameter[(first + np.arange(channels * 8)) % self.parameter.size]
        parameters = pairs.view(np.int32).reshape(channels, 2)
        values = pooled + parameters[:, 0]
        multiplier = np.ascontiguousarray(parameters[:, 1]).view(np.float32)
        rounded = rounded_product(values.astype(np.int32), multiplier).astype(np.int64)
        result = np.clip(rounded + command["zero_point"], command["low"], command["high"])
        if command["operand"] != PostOperand.NONE:
            result = self._combine(command, result)
        data = (result & 0xFF).astype(np.uint8)
        if command["table"]:
            data = self.table[(command["table"] - 1) * TABLE_BYTES + data.astype(np.int64)]
        out = self._outputs(command, "out", result.shape)
        self.activation[out] = data

    def _outputs(self, command: Command, name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Byte addresses [py, px, channels] from ``name``_address on."""
        rows, columns, channels = shape
        address = command[f"{name}_address"] + (
            np.arange(rows)[:, None, None] * command[f"{name}_py"]
            + np.arange(columns)[None, :, None] * command[f"{name}_px"]
            + np.arange(channels)
        )
        return np.asarray(address % self.activation.size)

    def _combine(self, command: Command, a: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values ``a`` with the second operand: exact integers, rounded once."""
        first = command["parameter_address"] + self.config.parameter_block_words
        start = first * self.config.bus_bytes
        block = self.parameter[(start + np.arange(OPERAND_BLOCK_BYTES)) % self.parameter.size]
        scale, other_multiplier = block[:8].view(np.uint32).astype(np.int64)
        other_zero, zero, low, high = block[8:].view(np.int16).astype(np.int64)
        multiplier, shift = scale & 0xFFFFFF, scale >> 24
        raw = self.activation[self._outputs(command, "operand", a.shape)]
        b = raw.astype(np.int64) if command["operand_unsigned"] else raw.view(np.int8).astype(int)
        b = b - other_zero
        if command["operand"] == PostOperand.ADD:
            total = a * multiplier + b * other_multiplier
        else:
            total = a * b * multiplier
        clipped = np.clip(rounded_shift(total, int(shift)) + zero, low, high)
        return np.asarray(clipped, np.int64)

    def _pool(self, command: Command, channels: int) -> NDArray[np.int64]:
        """[py, px, channels]: the windows' maxima or sums, padding left out.

        Channels beyond those of a command are held in the machine too, but no legal command goes on
        from them.
        """
        at = positions(command, POST_LOOPS)
        inside = (at.y >= 0) & (at.y < command["height"])
        inside &= (at.x >= 0) & (at.x < command["width"])
        if command["source"] == PostSource.ACCUMULATOR:
            source = self.accumulator[at.address % len(self.accumulator), :channels]
        else:
            raw = self.activation[
                (at.address[..., None] + np.arange(channels)) % self.activation.size
            ]
            source = (raw ^ np.uint8(_FLIP) if command["unsigned"] else raw).view(np.int8)
        summing = command["mode"] == PostMode.SUM
        combine, identity = (np.add, 0) if summing else (np.maximum, np.iinfo(np.int32).min)
        values = np.where(inside[..., None], source.astype(np.int64), identity)
        pooled = combine.reduce(values, axis=(2, 3))
        if command["continues"]:
            pooled[0, 0] = combine(pooled[0, 0], self.pooled[:channels])
        self.pooled[:channels] = pooled[-1, -1].astype(np.int32)
        return np.asarray(pooled)


def _transfer(command: Command, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte addresses in memory and buffer, row by row."""
    row = np.arange(command["rows"] + 1)[:, None]
    byte = np.arange(command["row_bytes"])
    dram = command["dram_address"] + row * command["dram_pitch"] + byte
    buffer = command["buffer_address"] + row * command["buffer_pitch"] + byte
    return dram % (1 << 32), buffer % size
