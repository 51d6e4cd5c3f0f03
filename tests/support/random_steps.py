"""Random commands for all engines, in random order, as no compiler would write them.

Each says what it reads and writes, so that waits can be worked out; the rules that a program must
keep beyond that are kept here:

- executes that follow one another share all of their accumulator entries in order, or none;
- a post command does not write what it reads;
- a post command continues the window of the one before only in its mode, and in no more channels;
- transfers do not run over the end of a buffer, and biases and multipliers lie where they belong.
"""

import random
from collections.abc import Sequence

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    ROW_LOOPS,
    Engine,
    LoadTarget,
    PostMode,
    PostSource,
)
from arch.config import TABLES, AcceleratorConfig
from arch.post_timing import post_constant_words
from compiler.waits import Region, Step
from tests.support.hand_made import HandMade, MemoryPlan, column_words, step

_GROUP = 8
"""Accumulator entries that executes share or do not share."""


class RandomSteps:
    """Draws steps for ``config``.

    Args:
        config: the machine.
        seed: the same steps for the same seed.
        grain: places in the activation and weight buffer, and outputs in memory, begin at multiples
            of this.
    """

    def __init__(self, config: AcceleratorConfig, seed: int, *, grain: int = 1) -> None:
        self._config = config
        self._plan = MemoryPlan(config=config)
        self._random = random.Random(seed)
        # Bytes of an element: all places, pitches and offsets are multiples of it.
        self._unit = config.activation_bytes
        self._grain = max(grain, self._unit)
        self._shift = self._random.randrange(_GROUP)
        # Mode and channels of the post command before.
        self._pooled = PostMode.MAX, 0

    def draw(self, weights: Sequence[float] = (4, 2, 2, 2)) -> Step:
        """A step for an engine drawn with ``weights``."""
        engine = self._random.choices(list(Engine), weights)[0]
        return {
            Engine.LOAD: self.load,
            Engine.EXECUTE: self.execute,
            Engine.POST: self.post,
            Engine.STORE: self.store,
        }[engine]()

    def load(self) -> Step:
        """A load of a few bytes of initial data, or of what stores have written."""
        target = self._random.choice(list(LoadTarget))
        if target is LoadTarget.PARAMETER:
            return self._load_parameters()
        if target is LoadTarget.TABLE:
            return self._load_tables()
        size = {
            LoadTarget.ACTIVATION: self._config.activation_buffer_bytes,
            LoadTarget.WEIGHT: self._config.weight_buffer_bytes,
        }[target]
        shape, extent = self._rows()
        address = self._place(size - extent)
        source, first = [], self._random.randrange(0, self._plan.parameters - extent, self._unit)
        if self._random.random() < 0.1:
            first = self._output_place(extent)
            source = [Region("memory", first, first + extent)]
        return step(
            Engine.LOAD,
            source,
            [Region(target.name.lower(), address, address + extent)],
            target=target,
            dram_address=first,
            dram_pitch=shape["buffer_pitch"],
            buffer_address=address,
            **shape,
        )

    def store(self) -> Step:
        """A store of a few bytes."""
        shape, extent = self._rows()
        address = self._place(self._config.activation_buffer_bytes - extent)
        first = self._output_place(extent)
        return step(
            Engine.STORE,
            [Region("activation", address, address + extent)],
            [Region("memory", first, first + extent)],
            dram_address=first,
            dram_pitch=shape["buffer_pitch"],
            buffer_address=address,
            **shape,
        )

    def execute(self) -> Step:
        """Up to eight tiles over up to eight vectors, some of them padding."""
        config, pick = self._config, self._random.randint
        counts = {name: pick(1, 2) for name in EXECUTE_LOOPS}
        counts["ox"] = pick(1, _GROUP // counts["oy"])
        tiles = counts["ky"] * counts["kx"] * counts["kc"]
        walk, low, high = self._walk(counts, reach=config.rows)
        address = self._place(config.activation_buffer_bytes - high + low) - low
        weights_stop = tiles * config.weight_tile_bytes
        weights = self._place(config.weight_buffer_bytes - weights_stop)
        half = config.accumulator_half_entries
        first = half * pick(0, 1)
        group = self._random.randrange(half // _GROUP) * _GROUP
        return step(
            Engine.EXECUTE,
            [
                Region("activation", address + low, address + high),
                Region("weight", weights, weights + weights_stop),
            ],
            [Region("accumulator", first, first + half)],
            address=address,
            padding=pick(0, (1 << config.activation_bits) - 1),
            unsigned=pick(0, 1),
            weight_address=weights,
            accumulator_address=first + (group + self._shift) % half,
            accumulate=pick(0, 1),
            **walk,
        )

    def post(self) -> Step:
        """A few outputs, from either source, with windows of up to four positions."""
        config, pick = self._config, self._random.randint
        source = self._random.choice(list(PostSource))
        counts = {name: pick(1, 2) for name in POST_LOOPS}
        reads, fields = self._post_source(source, counts)
        mode, channels, continues = self._window(pick(1, config.cols), source)
        rows, columns = pick(-40, 40) * self._unit, pick(-40, 40) * self._unit
        corners = [
            (counts["py"] - 1) * y * rows + (counts["px"] - 1) * x * columns
            for y in (0, 1)
            for x in (0, 1)
        ]
        low, high = min(corners), max(corners) + channels * self._unit
        # Outputs in the upper half, activations from the lower.
        half = config.activation_buffer_bytes // 2
        out = half + self._place(half - high + low) - low
        # As many rows of weights as there are, so that none is left from a run before.
        kernel_rows = config.tap_rows if mode is PostMode.PRODUCTS else 0
        block = post_constant_words(config, operand=False, kernel_rows=kernel_rows)
        last = config.parameter_words - block
        parameters = self._random.randrange(0, last + 1, column_words(config))
        codes = 1 << config.activation_bits
        ends = sorted((pick(-codes // 2, codes - 1), pick(-codes // 2, codes - 1)))
        table = pick(0, TABLES)
        return step(
            Engine.POST,
            [
                *reads,
                Region("parameter", parameters, parameters + block),
                Region("table", 0, TABLES * config.table_bytes if table else 0),
            ],
            [Region("activation", out + low, out + high)],
            source=source,
            mode=mode,
            kernel_rows=max(kernel_rows - 1, 0),
            continues=continues,
            parameter_address=parameters,
            channels=channels - 1,
            zero_point=pick(-codes // 2, codes - 1),
            low=ends[0],
            high=ends[1],
            out_address=out,
            out_py=rows % (1 << 20),
            out_px=columns % (1 << 20),
            table=table,
            **fields,
        )

    def _window(self, channels: int, source: PostSource) -> tuple[PostMode, int, bool]:
        """Mode, channels, and whether the window of the command before goes on."""
        modes = [PostMode.MAX, PostMode.SUM]
        if self._config.depthwise_kernel and source is PostSource.ACTIVATION:
            modes.append(PostMode.PRODUCTS)
        mode = self._random.choice(modes)
        may_go_on = self._pooled[0] in modes and channels <= self._pooled[1]
        continues = may_go_on and self._random.random() < 0.5
        self._pooled = self._pooled[0] if continues else mode, channels
        return *self._pooled, continues

    def _post_source(
        self, source: PostSource, counts: dict[str, int]
    ) -> tuple[list[Region], dict[str, int]]:
        config = self._config
        walk, low, high = self._walk(counts, reach=config.cols)
        if source is PostSource.ACTIVATION:
            address = self._place(config.activation_buffer_bytes // 2 - high + low) - low
            region = Region("activation", address + low, address + high)
            return [region], {**walk, "address": address, "unsigned": self._random.randint(0, 1)}
        # The address wraps around the end of the accumulators.
        address = self._random.randrange(config.accumulator_entries)
        return [Region("accumulator", 0, config.accumulator_entries)], {**walk, "address": address}

    def _load_parameters(self) -> Step:
        """Whole columns, to a place of columns."""
        size = self._config.parameter_buffer_bytes
        unit = column_words(self._config) * self._config.bus_bytes
        length = unit * self._random.randint(1, 3)
        first = self._random.randrange(0, size - length + 1, unit)
        address = self._random.randrange(0, size - length + 1, unit)
        word = self._config.bus_bytes
        return step(
            Engine.LOAD,
            [],
            [Region("parameter", address // word, (address + length) // word)],
            target=LoadTarget.PARAMETER,
            dram_address=self._plan.parameters + first,
            row_bytes=length,
            buffer_address=address,
        )

    def _load_tables(self) -> Step:
        """Some entries of the tables."""
        size, unit = TABLES * self._config.table_bytes, self._config.bus_bytes
        length = unit * self._random.randint(1, 4)
        address = self._random.randrange(0, size - length + 1, unit)
        return step(
            Engine.LOAD,
            [],
            [Region("table", address, address + length)],
            target=LoadTarget.TABLE,
            dram_address=self._plan.weights + address,
            row_bytes=length,
            buffer_address=address,
        )

    def _walk(self, counts: dict[str, int], *, reach: int) -> tuple[dict[str, int], int, int]:
        """Fields of an address generator; first and last byte reached, relative to its origin."""
        unit = self._unit
        fields = {
            "y": self._random.randint(-2, 2),
            "x": self._random.randint(-2 * reach, reach) * unit,
            "height": self._random.randint(1, 6),
            "width": self._random.randint(1, 6 * reach) * unit,
        }
        # Positions outside the row are not read.
        low, high = 0, fields["width"] + reach * unit
        for name, count in counts.items():
            fields[f"{name}_count"] = count - 1
            if name not in ROW_LOOPS:
                fields[f"{name}_dx"] = self._random.randint(-reach, 2 * reach) * unit
                continue
            da = self._random.randint(-30, 30) * unit
            fields |= {f"{name}_dy": self._random.randint(-1, 2), f"{name}_da": da}
            low += min(0, da * (count - 1))
            high += max(0, da * (count - 1))
        return fields, low, high

    def _rows(self) -> tuple[dict[str, int], int]:
        """The shape of a transfer, and its extent in bytes, from the first to the last."""
        row_bytes, rows = self._random.randint(1, 24), self._random.choice((1, 1, 2, 3))
        pitch = (row_bytes + self._random.randrange(12)) * self._unit
        row_bytes *= self._unit
        shape = {"row_bytes": row_bytes, "rows": rows - 1, "buffer_pitch": pitch}
        return shape, (rows - 1) * pitch + row_bytes

    def _output_place(self, extent: int) -> int:
        return self._plan.outputs + self._place(self._config.activation_buffer_bytes - extent)

    def _place(self, limit: int) -> int:
        """A place from 0 up to ``limit``."""
        return self._random.randrange(0, limit + 1, self._grain)


def random_program(config: AcceleratorConfig, seed: int, length: int) -> HandMade:
    """So many commands in random order."""
    draws = RandomSteps(config, seed)
    return HandMade(config=config, steps=[draws.draw() for _ in range(length)], seed=seed)
