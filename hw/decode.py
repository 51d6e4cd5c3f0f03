"""Checks commands and hands each to its engine's queue."""

from collections.abc import Iterable, Iterator

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import (
    COMMAND_BITS,
    COUNTS,
    EXECUTE_LOOPS,
    FORMATS,
    OPCODE_BITS,
    POST_LOOPS,
    WAITS,
    CommandFormat,
    Engine,
    LoadTarget,
    PostMode,
    PostOperand,
    PostSource,
    walk_fields,
)
from arch.config import TABLES, AcceleratorConfig
from hw.interfaces import command_layout, command_stream, dispatched_layout
from hw.queue import behind, engine_flags


def unused_bits(format_: CommandFormat, config: AcceleratorConfig) -> int:
    """The bits of a 512-bit command that ``config`` gives no meaning to, as a mask."""
    mask = (1 << COMMAND_BITS) - 1
    for field in format_.fields:
        # All bits of a signed field have one: they continue its sign.
        used = (1 << (field.bits if field.signed else field.used_bits(config))) - 1
        mask &= ~(used << format_.offsets[field.name])
    return mask


class CommandDecoder(wiring.Component):
    """Checks one command, then dispatches it to the queue that its opcode names.

    A command that is offered from cycle o on is checked in o. It is taken, and pushed into its
    queue, in the first cycle from o + 1 on in which that queue has room; the next command is
    checked in the cycle after. So a command takes two cycles, and a full queue holds up all that
    follow. In cycles with ``abort`` nothing is dispatched.

    A command is illegal, and is never taken, if

    - its opcode is not an engine's;
    - a bit is set that has no meaning in this configuration, or is no copy of the sign of a field
      that is wider than this configuration uses;
    - an address, pitch, offset or width in activations or weights, or a row of them, is not a
      multiple of their bytes;
    - a wait asks for more than has been dispatched to that engine before:
      (dispatched - wait) mod 2^16 >= 2^15;
    - LOAD, STORE: row_bytes is 0;
    - LOAD: the target is the parameter buffer or the tables, and one of dram_address, row_bytes
      and buffer_address (with more than one row, dram_pitch and buffer_pitch too) is not a multiple
      of the bus's bytes per beat;
    - POST: channels (that is, channels - 1) is ``cols`` or more; operand, table or mode is 3; the
      mode is products and the source the accumulators.

    Members:
        commands: commands as 512-bit words.
        load, execute, post, store: commands for the engines' queues.
        dispatched: how many commands have been dispatched to each engine.
        abort: dispatch nothing.
        dispatch: the engine to which a command is dispatched in this cycle.
        illegal: an illegal command is at hand; 1 from cycle o + 1 on, until a reset.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "commands": In(stream.Signature(COMMAND_BITS)),
                **{engine.name.lower(): Out(command_stream(engine)) for engine in Engine},
                "dispatched": In(dispatched_layout),
                "abort": In(1),
                "dispatch": Out(engine_flags),
                "illegal": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        word = self.commands.payload
        opcode = word[:OPCODE_BITS]

        # Check: whether it is a legal command of each engine, registered.
        legal = Signal(engine_flags)
        checked = Signal()
        m.d.sync += checked.eq(self.commands.valid & ~self.commands.ready)

        # Dispatch: the word is still at hand.
        m.d.comb += self.illegal.eq(checked & ~legal.as_value().any())
        for engine in Engine:
            name = engine.name.lower()
            queue = getattr(self, name)
            m.d.sync += legal[name].eq((opcode == engine) & ~Cat(self._faults(engine)).any())
            m.d.comb += [
                queue.payload.eq(word),
                queue.valid.eq(checked & legal[name] & ~self.abort),
                self.dispatch[name].eq(queue.valid & queue.ready),
            ]
        m.d.comb += self.commands.ready.eq(self.dispatch.as_value().any())
        return m

    def _faults(self, engine: Engine) -> Iterator[Value]:
        """A bit for each rule that the word breaks as a command of ``engine``."""
        layout = command_layout(engine)
        command = data.View(layout, self.commands.payload[: layout.size])
        yield (self.commands.payload & unused_bits(FORMATS[engine], self.config)).any()
        for field in FORMATS[engine].fields:
            used = field.used_bits(self.config)
            if field.signed and used < field.bits:
                above = command[field.name][used - 1 :]
                yield above.any() & ~above.all()
        yield from self._broken_elements(engine, command)
        for wait in WAITS[engine]:
            counted = COUNTS[wait.removeprefix("wait_")]
            yield behind(self.dispatched[counted.name.lower()], command[wait])
        if engine in (Engine.LOAD, Engine.STORE):
            yield command.row_bytes == 0
        if engine is Engine.LOAD:
            whole_words = (LoadTarget.PARAMETER, LoadTarget.TABLE)
            unit = self.config.bus_bytes
            yield command.target.matches(*whole_words) & _misaligned(command, unit)
        if engine is Engine.POST:
            yield command.channels >= self.config.cols
            yield command.operand > max(PostOperand)
            yield command.table > TABLES
            products = command.mode == PostMode.PRODUCTS
            yield command.mode > max(PostMode)
            yield products & (command.source != PostSource.ACTIVATION)

    def _broken_elements(self, engine: Engine, command: data.View) -> Iterator[Value]:
        """A bit for each rule on whole elements that ``command`` breaks."""
        unit, weight = self.config.activation_bytes, self.config.weight_bytes
        if engine is Engine.EXECUTE and weight > 1:
            yield (command.weight_address & weight - 1).any()
        if engine is Engine.LOAD and weight > 1:
            yield (command.target == LoadTarget.WEIGHT) & _misaligned(command, weight)
        if unit == 1:
            return
        if engine is Engine.LOAD:
            yield (command.target == LoadTarget.ACTIVATION) & _misaligned(command, unit)
        if engine is Engine.STORE:
            yield _misaligned(command, unit)
        if engine is Engine.EXECUTE:
            yield _broken(command, walk_fields(EXECUTE_LOOPS), unit)
        if engine is Engine.POST:
            walk = _broken(command, walk_fields(POST_LOOPS), unit)
            yield (command.source == PostSource.ACTIVATION) & walk
            yield _broken(command, ("out_address", "out_py", "out_px"), unit)
            yield _broken(command, ("operand_address", "operand_py", "operand_px"), unit)


def _misaligned(command: data.View, unit: int) -> Value:
    """Whether a row of a transfer begins or ends within ``unit`` bytes, at either end."""
    first = command.dram_address | command.row_bytes | command.buffer_address
    pitch = command.dram_pitch | command.buffer_pitch
    return (first & unit - 1).any() | ((command.rows != 0) & (pitch & unit - 1).any())


def _broken(command: data.View, names: Iterable[str], unit: int) -> Value:
    """Whether one of the fields is no multiple of ``unit``."""
    places = (unit - 1).bit_length()
    return Cat(command[name][:places] for name in names).any()
