"""What each command does to the machine's storage, bit by bit, on NumPy arrays.

Commands are executed one after another in program order: their waits guarantee that the engines,
running side by side, leave the same bytes.
"""

from typing import Any

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
from arch.config import TABLES, AcceleratorConfig
from arch.post_timing import post_constant_words
from sim.command.affine import positions
from sim.golden.elementwise import rounded_shift, table_outputs
from sim.golden.requantise import rounded_product
from sim.network import element_type


class Storage:
    """The machine's buffers, and the memory they are filled from."""

    def __init__(self, config: AcceleratorConfig, memory: NDArray[np.uint8]) -> None:
        self.config = config
        self.memory = memory
        self.activation = np.zeros(config.activation_buffer_bytes, np.uint8)
        self.weight = np.zeros(config.weight_buffer_bytes, np.uint8)
        self.parameter = np.zeros(config.parameter_buffer_bytes, np.uint8)
        self.table = np.zeros(TABLES * config.table_bytes, np.uint8)
        self.accumulator = np.zeros((config.accumulator_entries, config.cols), np.int64)
        self.pooled = np.zeros((max(config.depthwise_kernel, 1), config.cols), np.int64)
        """What the last window of the last post command left: sums that are complete, then those
        that the next windows complete."""
        self.taps = np.zeros((config.tap_rows, *self.pooled.shape), np.int64)
        """The weights of the last post command with products, [kernel row, window, column]."""
        self._unsigned = element_type(config.activation_bits, False)
        self._signed = element_type(config.activation_bits, True)

    def apply(self, command: Command) -> None:
        """Execute one command."""
        fields = command.values
        if command.engine is Engine.LOAD:
            self._load(fields)
        elif command.engine is Engine.EXECUTE:
            self._execute(fields)
        elif command.engine is Engine.POST:
            self._post(fields)
        else:
            self._store(fields)

    def _load(self, fields: dict[str, int]) -> None:
        target = {
            LoadTarget.ACTIVATION: self.activation,
            LoadTarget.WEIGHT: self.weight,
            LoadTarget.PARAMETER: self.parameter,
            LoadTarget.TABLE: self.table,
        }[LoadTarget(fields["target"])]
        dram, buffer = _transfer(fields, target.size)
        target[buffer] = self.memory[dram]

    def _store(self, fields: dict[str, int]) -> None:
        dram, buffer = _transfer(fields, self.activation.size)
        self.memory[dram] = self.activation[buffer]

    def _execute(self, fields: dict[str, int]) -> None:
        config = self.config
        at = positions(fields, EXECUTE_LOOPS)
        lanes = np.arange(config.rows) * config.activation_bytes
        x = at.x[..., None] + lanes
        inside = (x >= 0) & (x < fields["width"])
        inside &= ((at.y >= 0) & (at.y < fields["height"]))[..., None]
        data = self._elements(at.address[..., None] + lanes)
        data = np.where(inside, data, self._unsigned.type(fields["padding"]))
        # [tiles, pixels, rows] x [tiles, rows, cols], exact in float64: a compiled program's sums
        # are below 2^47.
        tiles = data.shape[0] * data.shape[1] * data.shape[2]
        vectors = self._centred(data, fields).reshape(tiles, -1, config.rows).astype(np.float64)
        start = fields["weight_address"]
        weights = self.weight[
            (start + np.arange(tiles * config.weight_tile_bytes)) % self.weight.size
        ]
        matrices = weights.view(element_type(config.weight_bits, True)).reshape(
            tiles, config.rows, config.cols
        )
        psums = np.matmul(vectors, matrices.astype(np.float64)).sum(axis=0).astype(np.int64)
        half = config.accumulator_half_entries
        first = fields["accumulator_address"]
        entries = first // half * half + (first % half + np.arange(psums.shape[0])) % half
        if fields["accumulate"]:
            psums += self.accumulator[entries]
        self.accumulator[entries] = _wrapped(psums, config.accumulator_bits)

    def _elements(self, addresses: NDArray[np.int64]) -> NDArray[Any]:
        """The activations at these byte addresses, as unsigned bits."""
        elements = self.activation.view(self._unsigned)
        return elements[addresses % self.activation.size // self.config.activation_bytes]

    def _centred(self, elements: NDArray[Any], fields: dict[str, int]) -> NDArray[Any]:
        """Bits as signed numbers: an unsigned q as q - 2^(bits - 1)."""
        flip = fields["unsigned"] << self.config.activation_bits - 1
        return np.asarray(elements ^ self._unsigned.type(flip)).view(self._signed)

    def _post(self, fields: dict[str, int]) -> None:
        config, channels = self.config, fields["channels"] + 1
        pooled = self._pool(fields, channels)
        first = fields["parameter_address"] * config.bus_bytes
        size = channels * config.parameter_column_bytes
        block = self.parameter[(first + np.arange(size)) % self.parameter.size]
        parameters = block.view([("bias", f"<i{config.bias_bytes}"), ("multiplier", "<f4")])
        values = _wrapped(pooled + parameters["bias"], config.accumulator_bits)
        rounded = rounded_product(values, parameters["multiplier"]).astype(np.int64)
        result = np.clip(rounded + fields["zero_point"], fields["low"], fields["high"])
        if fields["operand"] != PostOperand.NONE:
            result = self._combine(fields, result)
        data = (result & (1 << config.activation_bits) - 1).astype(self._unsigned)
        if fields["table"]:
            start = (fields["table"] - 1) * config.table_bytes
            table = self.table[start : start + config.table_bytes]
            wide = config.activation_bits > 8
            data = table_outputs(table.view(np.uint16).reshape(-1, 2) if wide else table, data)
        out = self._outputs(fields, "out", result.shape)
        self.activation.view(self._unsigned)[out // config.activation_bytes] = data

    def _outputs(
        self, fields: dict[str, int], name: str, shape: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Byte addresses [py, px, channels] from ``name``_address on."""
        rows, columns, channels = shape
        address = fields[f"{name}_address"] + (
            np.arange(rows)[:, None, None] * fields[f"{name}_py"]
            + np.arange(columns)[None, :, None] * fields[f"{name}_px"]
            + np.arange(channels) * self.config.activation_bytes
        )
        return np.asarray(address % self.activation.size)

    def _combine(self, fields: dict[str, int], a: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values ``a`` with the second operand: exact integers, rounded once."""
        first = fields["parameter_address"] + self.config.parameter_block_words
        start, size = first * self.config.bus_bytes, self.config.operand_block_bytes
        block = self.parameter[(start + np.arange(size)) % self.parameter.size]
        scale, other_multiplier = block[:8].view(np.uint32).astype(np.int64)
        numbers = block[8:].view(f"<i{self.config.operand_number_bytes}").astype(np.int64)
        other_zero, zero, low, high = numbers
        multiplier, shift = scale & 0xFFFFFF, scale >> 24
        raw = self._elements(self._outputs(fields, "operand", a.shape))
        read = raw if fields["operand_unsigned"] else raw.view(self._signed)
        b = read.astype(np.int64) - other_zero
        if fields["operand"] == PostOperand.ADD:
            total = a * multiplier + b * other_multiplier
        else:
            total = a * b * multiplier
        clipped = np.clip(rounded_shift(total, int(shift)) + zero, low, high)
        return np.asarray(clipped, np.int64)

    def _pool(self, fields: dict[str, int], channels: int) -> NDArray[np.int64]:
        """[py, outputs of a row, channels]: the windows' maxima or sums, padding left out, or sums
        of products.

        In the machine, channels beyond those of a command hold anything: no command may go on from
        them.
        """
        at = positions(fields, POST_LOOPS)
        inside = (at.y >= 0) & (at.y < fields["height"])
        inside &= (at.x >= 0) & (at.x < fields["width"])
        if fields["source"] == PostSource.ACCUMULATOR:
            source = self.accumulator[at.address % len(self.accumulator), :channels]
        else:
            lanes = np.arange(channels) * self.config.activation_bytes
            source = self._centred(self._elements(at.address[..., None] + lanes), fields)
        if fields["mode"] == PostMode.PRODUCTS:
            pooled = self._products(fields, source, inside)
        else:
            pooled = self._combine_windows(fields, source, inside)
        return pooled[:, fields["lead"] :: fields["skip"] + 1]

    def _combine_windows(
        self, fields: dict[str, int], source: NDArray[Any], inside: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """[py, px, channels]: each window of ``source`` by itself."""
        least = -(1 << self.config.accumulator_bits - 1)
        combine, identity = (np.maximum, least) if fields["mode"] == PostMode.MAX else (np.add, 0)
        values = np.where(inside[..., None], source.astype(np.int64), identity)
        pooled = np.asarray(combine.reduce(values, axis=(2, 3)))
        held = self.pooled[0, : pooled.shape[-1]]
        if fields["continues"]:
            pooled[0, 0] = combine(pooled[0, 0], held)
        held[:] = _wrapped(pooled[-1, -1], self.config.accumulator_bits)
        return pooled

    def _products(
        self, fields: dict[str, int], source: NDArray[Any], inside: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """[py, px, channels]: the windows' products, padding included, and those of the windows
        before them in their row."""
        padding = self._take_constants(fields)
        rows, columns, *window, channels = source.shape
        taken = np.where(inside[..., None], source, padding).astype(np.int64)
        turns = np.arange(window[0] * window[1]) % self.config.tap_rows
        # [windows before, py, px, channels]
        sums = np.einsum(
            "yxwc,wnc->nyxc",
            taken.reshape(rows, columns, -1, channels),
            self.taps[turns][..., :channels],
        )
        reach = len(sums)
        # Sums under way at the end of a row go on for as many windows.
        total = np.zeros((rows, columns + reach, channels), np.int64)
        for before, each in enumerate(sums):
            total[:, before : before + columns] += each
        held = self.pooled[:, :channels]
        if fields["continues"]:
            total[0, :reach] += held
        held[:] = _wrapped(total[-1, columns - 1 : -1], self.config.accumulator_bits)
        return total[:, :columns]

    def _take_constants(self, fields: dict[str, int]) -> NDArray[Any]:
        """Takes the weights of a command with these ``fields``; gives what padding reads as."""
        config, rows = self.config, fields["kernel_rows"] + 1
        operand = fields["operand"] != PostOperand.NONE
        words = post_constant_words(config, operand=operand, kernel_rows=0)
        start = (fields["parameter_address"] + words) * config.bus_bytes
        size = config.product_words(rows) * config.bus_bytes
        block = self.parameter[(start + np.arange(size)) % self.parameter.size]
        weights = block[config.bus_bytes :].view(element_type(config.weight_bits, True))
        own = weights.reshape(rows, -1)[:, : config.depthwise_kernel * config.cols]
        self.taps[:rows] = own.reshape(rows, -1, config.cols)
        return self._centred(block.view(self._unsigned)[:1], fields)


def _wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """``values`` modulo 2^``bits``, signed."""
    half = 1 << bits - 1
    return (values + half & (1 << bits) - 1) - half


def _transfer(fields: dict[str, int], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte addresses in memory and buffer, row by row."""
    row = np.arange(fields["rows"] + 1)[:, None]
    byte = np.arange(fields["row_bytes"])
    dram = fields["dram_address"] + row * fields["dram_pitch"] + byte
    buffer = fields["buffer_address"] + row * fields["buffer_pitch"] + byte
    return dram % (1 << 32), buffer % size
