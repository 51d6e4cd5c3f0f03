"""A layer's commands as far as timing goes: what each engine does, in which order, and after what.

Found from the tiling alone, by the machine's mapping rules:

- for each tile of pixels and range of channels, group of columns by group of columns: for each box
  of weights what is missing of it and of the inputs that it meets, and the execute command; then
  what is missing of the second operand and of the constants, and the post command; at the end of
  the range the store; nothing is loaded of maps on chip, nor stored of outputs that stay there;
- the sums of one group after the other take turns in the halves of the accumulators;
- constants for the post-processor do not wait behind second operands and inputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from arch.commands import Command, Engine, LoadTarget, Pattern
from sim.analytical.machine.inputs import Channels
from sim.analytical.machine.order import DRAIN, Conflict, Order
from sim.analytical.machine.outputs import Outputs
from sim.analytical.machine.patterns import (
    execute_pattern,
    load_pattern,
    post_pattern,
    store_pattern,
)
from sim.analytical.machine.ring import Ring, Slot
from sim.analytical.machine.steps import Step, Steps
from sim.analytical.machine.tiling import Area, Tiling
from sim.analytical.machine.transfers import Rows


class _MapLoad(NamedTuple):
    """A load of a part of a map into a slot, and the engine that reads that."""

    rows: Rows
    slot: Slot
    reader: Engine


class Stream:
    """Makes the commands of a layer step by step."""

    def __init__(self, tiling: Tiling, steps: Steps) -> None:
        self._tiling = tiling
        self._layer = tiling.layer
        self._config = tiling.config
        self._steps = steps
        self._places = steps.places
        self._order = Order()
        conv, load, post = tiling.layer.conv is not None, Engine.LOAD, Engine.POST
        self._reader = Engine.EXECUTE if conv else post
        self._source = Engine.EXECUTE if conv else load
        strip = tiling.parameter_strip
        self._weights = Ring(load, Engine.EXECUTE, steps.weights.slots, steps.weights)
        self._inputs = Ring(load, self._reader, steps.inputs.slots, steps.inputs)
        self._operands = Ring(load, post, steps.operands.slots, steps.operands)
        self._parameters = Ring(load, post, tiling.parameter_slots, steps.parameters, strip)
        slots = tiling.mapping.outputs
        # Of a map on chip, rows of tiles.
        count = len(tiling.outputs[0]) if slots is None else slots.count
        self._outputs = Outputs(count, on_chip=slots is None)
        self._halves = Ring(Engine.EXECUTE, post, 2, drained=True)
        self._table = Slot()
        self._posts: dict[tuple[int, int, int], Pattern] = {}
        self._pixels = Slot()
        self._operand: Slot | None = None

    def start(self) -> list[Command]:
        """What the layer needs once."""
        if not self._layer.table:
            return []
        return [self._load(LoadTarget.TABLE, self._steps.table, self._table, Engine.POST)]

    def step(self, step: Step) -> Iterator[Command]:
        """The commands of the next step."""
        loads: list[_MapLoad] = []
        if step.first:
            loads = self._begin(step)
        source = self._pixels
        if self._layer.conv is not None:
            source, _ = self._halves.take()
            yield from self._sum(step, source)
        parameters, missing = self._parameters.take()
        # Loads of inputs and operands are overtaken, but for those that the queues cannot hold.
        kept = max(0, len(loads) - 2 * self._config.command_queue_depth) if missing else 0
        yield from self._loads(loads[:kept])
        if missing:
            rows = self._places.strip(step.strip)
            number = self._tiling.blocks_of_strip(step.strip)
            yield self._load(LoadTarget.PARAMETER, rows, parameters, Engine.POST, number)
        yield from self._loads(loads[kept:])
        yield self._post(step, source, parameters)
        if step.last and self._layer.stores:
            yield from self._store(step)

    def skip(self, steps: Sequence[Step]) -> None:
        """Leave ``steps`` out: whole periods, after which all is as it was."""
        rings = self._weights, self._inputs, self._operands, self._parameters
        for step in steps:
            for ring, number in zip(rings, self._steps.asked(step), strict=True):
                ring.skip(number)
        self._outputs.skip_to(steps[-1].tile.outputs)

    def state(self, over: Sequence[int]) -> tuple[object, ...]:
        """All that the times of later commands depend on through waits; for ``over`` see
        ``Order.state``."""
        done = self._order.done(over)
        self._outputs.forget(done[Engine.POST][Engine.STORE], done[Engine.STORE][Engine.POST])
        rings = self._weights, self._inputs, self._operands, self._parameters, self._halves
        changing = chain.from_iterable(ring.uses() for ring in rings if not ring.fixed)
        # What the present range still uses.
        pixels = self._inputs.place(self._pixels)
        operand = 0 if self._operand is None else self._operands.place(self._operand)
        state = self._order.state(chain(changing, self._outputs.uses()), done)
        return pixels, operand, self._outputs.layout(), state

    def _begin(self, step: Step) -> list[_MapLoad]:
        """Take the slots of a range; what has to be loaded before its first post command."""
        self._outputs.begin(step.tile.outputs)
        loads: list[_MapLoad] = []
        if self._layer.conv is None:
            self._pixels, loads = self._input(step.tile.source, step.range.channels)
        if self._layer.loads_operand:
            self._operand, missing = self._operands.take()
            if missing:
                area = self._steps.operand_area(step.tile)
                rows = self._places.rows("operand", area, step.range.channels)
                loads += [_MapLoad(each, self._operand, Engine.POST) for each in rows]
        return loads

    def _input(self, area: Area, channels: Channels) -> tuple[Slot, list[_MapLoad]]:
        """The slot of a part of the input, and the loads that bring what is missing."""
        if not self._layer.loads_input:
            return self._pixels, []
        slot, missing = self._inputs.take()
        rows = self._places.rows("input", area, channels) if missing else ()
        return slot, [_MapLoad(each, slot, self._reader) for each in rows]

    def _sum(self, step: Step, sums: Slot) -> Iterator[Command]:
        """The sums of one group of columns."""
        (_, height), (_, width) = step.tile.sums
        for box in step.group.boxes:
            weights, missing = self._weights.take()
            if missing:
                yield self._load(LoadTarget.WEIGHT, box.rows, weights, Engine.EXECUTE)
            source, loads = self._input(step.tile.source, box.channels)
            yield from self._loads(loads)
            conflicts = (
                (Engine.LOAD, source.filled),
                (Engine.LOAD, weights.filled),
                (DRAIN, sums.reads[0]),
            )
            pattern = execute_pattern(box.tiles, height, width)
            command, done = self._command(pattern, (0, 0, 0), conflicts)
            source.reads[0] = weights.reads[0] = sums.filled = done
            yield command

    def _post(self, step: Step, source: Slot, parameters: Slot) -> Command:
        """The outputs of one group of columns."""
        (_, height), (_, width) = step.outputs
        operand = self._operand
        conflicts: list[Conflict] = [
            (self._source, source.filled),
            (Engine.LOAD, parameters.filled),
        ]
        if self._layer.table:
            conflicts.append((Engine.LOAD, self._table.filled))
        if operand is not None:
            conflicts.append((Engine.LOAD, operand.filled))
        written = self._steps.outputs.written(step.tile.outputs, step.outputs, step.range.channels)
        if self._layer.stores:
            conflicts.append(self._outputs.before_writing(written))
        size = height, width, step.group.channels
        pattern = self._posts.get(size)
        if pattern is None:
            pattern = self._posts[size] = post_pattern(self._layer, *size)
        command, done = self._command(pattern, (0, 0, 0, 0), conflicts)
        source.reads[0] = parameters.reads[step.part] = done
        if self._layer.stores:
            self._outputs.write(written, done)
        if operand is not None:
            operand.reads[0] = done
        return command

    def _store(self, step: Step) -> Iterator[Command]:
        """A tile of outputs to memory."""
        tile, channels = step.tile.outputs, step.range.channels
        stored = self._places.rows("output", tile, channels)
        touched = self._steps.outputs.read(tile, channels, len(stored))
        for rows, read in zip(stored, touched, strict=True):
            pattern = store_pattern(rows.pitch, rows.size, rows.number)
            conflicts = (self._outputs.before_reading(read),)
            command, number = self._command(pattern, (rows.address, 0), conflicts)
            self._outputs.read(read, number)
            yield command

    def _loads(self, loads: Iterable[_MapLoad]) -> Iterator[Command]:
        for each in loads:
            yield self._load(LoadTarget.ACTIVATION, *each)

    def _load(
        self, target: LoadTarget, rows: Rows, slot: Slot, reader: Engine, parts: int = 1
    ) -> Command:
        """A load into the first ``parts`` parts of ``slot``."""
        pattern = load_pattern(target, rows.pitch, rows.size, rows.number)
        conflicts = ((reader, max(slot.reads[:parts])),)
        command, slot.filled = self._command(pattern, (rows.address, 0), conflicts)
        return command

    def _command(
        self, pattern: Pattern, addresses: tuple[int, ...], conflicts: Sequence[Conflict]
    ) -> tuple[Command, int]:
        """A command, and its number at its engine."""
        number, waits = self._order.add(pattern.engine, conflicts)
        return Command(pattern, addresses, waits), number
