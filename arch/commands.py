"""The command set: field tables from which the RTL decodes, the compiler packs, the simulator
unpacks, and the command reference is written.

A program is an array of 64-byte commands, little-endian. A command goes to one engine, and every
engine runs its own commands in order. Between engines, order is kept by counting: each engine
counts the commands it has completed, and a command starts once the counts of the other engines have
reached its ``wait_*`` fields. Counts are 16 bits wide and compared modulo 2^16: a count has been
reached if (count - wait) mod 2^16 < 2^15. A wait may only name commands that precede it in the
program, so no program can deadlock; the decoder refuses one that does not keep to this.

Execute commands have one more wait, on the post commands that have read the last of what they read:
the accumulators are free to be filled again long before the results are written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from arch.config import AcceleratorConfig
from arch.errors import CompileError

COMMAND_BYTES = 64
COMMAND_BITS = COMMAND_BYTES * 8
OPCODE_BITS = 3
COUNT_BITS = 16
_LOOP_BITS = 12

LOOP_LIMIT = 1 << _LOOP_BITS
"""Most iterations of a loop of an execute or post command."""


SKIP_LIMIT = 8
"""Most windows from one output of a row to the next."""


class Engine(IntEnum):
    """The four engines; the value is the opcode of the engine's command. 0 is illegal."""

    LOAD = 1
    EXECUTE = 2
    POST = 3
    STORE = 4


COUNTS: dict[str, Engine] = {
    **{engine.name.lower(): engine for engine in Engine},
    "drain": Engine.POST,
}
"""What is counted, and of which engine's commands: those completed, by the engine's name; and the
post commands that read nothing more of their source."""


class LoadTarget(IntEnum):
    """The buffer that a load fills."""

    ACTIVATION = 0
    WEIGHT = 1
    PARAMETER = 2
    TABLE = 3


class PostSource(IntEnum):
    """Where the post-processor reads."""

    ACCUMULATOR = 0
    ACTIVATION = 1


class PostOperand(IntEnum):
    """What the post-processor does with a second operand from the activation buffer."""

    NONE = 0
    ADD = 1
    MULTIPLY = 2


class PostMode(IntEnum):
    """How the post-processor combines the positions of a window."""

    MAX = 0
    SUM = 1
    PRODUCTS = 2
    """Sums of products with weights, over several windows; only with ``depthwise_kernel``."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a command.

    ``used`` gives, for a configuration, the bits that have a meaning: the decoder refuses a
    command with any other bit set, or, in a signed field, any that is no copy of the sign.
    """

    name: str
    bits: int
    doc: str
    signed: bool = False
    used: Callable[[AcceleratorConfig], int] | None = None

    def used_bits(self, config: AcceleratorConfig) -> int:
        """Low bits of the field that ``config`` gives a meaning to."""
        return self.bits if self.used is None else min(self.bits, self.used(config))


@dataclass(frozen=True, kw_only=True)
class CommandFormat:
    """One kind of command: its engine and its fields, from bit 0 upwards without gaps."""

    engine: Engine
    doc: str
    fields: tuple[Field, ...]

    @property
    def offsets(self) -> dict[str, int]:
        """First bit of each field."""
        offsets, position = {}, 0
        for field in self.fields:
            offsets[field.name] = position
            position += field.bits
        return offsets

    @property
    def bits(self) -> int:
        """Bits used by all fields."""
        return sum(field.bits for field in self.fields)


def _header() -> tuple[Field, ...]:
    waits = (
        Field(
            name=f"wait_{engine.name.lower()}",
            bits=COUNT_BITS,
            doc=f"starts once the {engine.name.lower()} engine has completed this many commands",
        )
        for engine in Engine
    )
    return (Field(name="opcode", bits=OPCODE_BITS, doc="the engine"), *waits)


def _activation(config: AcceleratorConfig) -> int:
    return config.activation_address_bits


def _value(config: AcceleratorConfig) -> int:
    return config.value_bits


def _accumulator(config: AcceleratorConfig) -> int:
    return config.accumulator_address_bits


def _row_loop(name: str, doc: str) -> tuple[Field, ...]:
    """A counted loop that moves from row to row."""
    return (
        Field(name=f"{name}_count", bits=_LOOP_BITS, doc=f"{doc}: iterations - 1"),
        Field(name=f"{name}_dy", bits=8, signed=True, doc=f"{doc}: step of y"),
        Field(name=f"{name}_da", bits=20, signed=True, doc=f"{doc}: step of the address"),
    )


def _offset_loop(name: str, doc: str) -> tuple[Field, ...]:
    """A counted loop that moves within a row."""
    return (
        Field(name=f"{name}_count", bits=_LOOP_BITS, doc=f"{doc}: iterations - 1"),
        Field(name=f"{name}_dx", bits=20, signed=True, doc=f"{doc}: step of x"),
    )


def _loop(name: str, doc: str) -> tuple[Field, ...]:
    return _row_loop(name, doc) if name in ROW_LOOPS else _offset_loop(name, doc)


def _origin() -> tuple[Field, ...]:
    """Where an address generator starts, and the bounds outside of which it is padding."""
    return (
        Field(
            name="address", bits=20, doc="address of offset 0 in the first row, modulo the buffer"
        ),
        Field(name="y", bits=16, signed=True, doc="row of the first position"),
        Field(name="x", bits=20, signed=True, doc="offset in the row of the first position"),
        Field(name="height", bits=16, doc="rows 0 ... height - 1 are data, others padding"),
        Field(name="width", bits=20, doc="offsets 0 ... width - 1 are data, others padding"),
    )


ROW_LOOPS = ("ky", "oy", "py", "wy")
"""The loops that move y and the row's address; the others move x, and the address with it."""

EXECUTE_LOOPS = ("ky", "kx", "kc", "oy", "ox")
"""The execute engine's loops, outermost first. Each (ky, kx, kc) takes one tile of weights."""

POST_LOOPS = ("py", "px", "wy", "wx")
"""The post-processor's loops, outermost first. Each (py, px) gives one output position."""


def walk_fields(loops: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of an address generator with ``loops`` that count bytes of the buffer."""
    steps = (f"{loop}_{'da' if loop in ROW_LOOPS else 'dx'}" for loop in loops)
    return ("address", "x", "width", *steps)


_TRANSFER = (
    Field(name="dram_address", bits=32, doc="byte address in memory of the first row"),
    Field(name="dram_pitch", bits=32, doc="bytes in memory from row to row, modulo 2^32"),
    Field(name="row_bytes", bits=20, doc="bytes in a row, at least 1"),
    Field(name="rows", bits=16, doc="rows - 1"),
    Field(name="buffer_address", bits=20, doc="byte address in the buffer of the first row"),
    Field(name="buffer_pitch", bits=20, doc="bytes in the buffer from row to row, modulo 2^20"),
)

LOAD = CommandFormat(
    engine=Engine.LOAD,
    doc="Copies rows of bytes from memory into a buffer. Loads of parameters must be aligned to "
    "the bus at both ends.",
    fields=(
        *_header(),
        Field(name="target", bits=2, doc="0 activation, 1 weight, 2 parameter buffer, 3 tables"),
        *_TRANSFER,
    ),
)

EXECUTE = CommandFormat(
    engine=Engine.EXECUTE,
    doc="Streams vectors of `rows` activations through the array, once for each tile of weights, "
    "and adds the psums into the accumulators. A vector's lane l lies at (y, x + l times the bytes "
    "of an activation); lanes outside the bounds read as `padding`. Tiles of weights follow one "
    "another in the weight buffer, each `rows` x `cols` weights, row by row.",
    fields=(
        *_header(),
        Field(
            name="wait_drain",
            bits=COUNT_BITS,
            doc="starts once this many post commands have read the last of their source",
        ),
        *_origin(),
        *(
            field
            for name, doc in zip(
                EXECUTE_LOOPS,
                ("kernel row", "kernel column", "reduction chunk", "output row", "output column"),
                strict=True,
            )
            for field in _loop(name, doc)
        ),
        Field(
            name="padding",
            bits=16,
            doc="what padding reads as",
            used=lambda config: config.activation_bits,
        ),
        Field(name="unsigned", bits=1, doc="1: activations are unsigned, taken as q - 2^(bits-1)"),
        Field(
            name="weight_address",
            bits=20,
            doc="byte address of the first tile of weights",
            used=lambda config: config.weight_address_bits,
        ),
        Field(
            name="accumulator_address",
            bits=16,
            doc="entry of the first output position; the others follow, modulo the half",
            used=_accumulator,
        ),
        Field(
            name="accumulate",
            bits=1,
            doc="0: the first tile overwrites the accumulators; 1: it adds to them",
        ),
    ),
)

POST = CommandFormat(
    engine=Engine.POST,
    doc="Combines each window of source positions (padding left out), adds the bias, requantises, "
    "clamps, combines the result with a second operand, looks it up in a table, and writes the "
    "elements of up to `cols` channels into the activation buffer. With an operand, the channels' "
    "parameters are followed by its constants: multiplier (24 bits) and shift (8 bits); the "
    "operand's multiplier (24 bits); the operand's zero point and the output's zero point; the "
    "smallest and the largest output (16 bits each, signed; 32 for 16-bit activations). Then a = "
    "the requantised and clamped value, b = the operand less its zero point, and the output is "
    "rne(t * 2^-shift) + zero point, clamped, with t = a * multiplier + b * operand multiplier "
    "(add) or a * b * multiplier (multiply). With `continues`, the first output's window begins "
    "with what the last output of the post command before was made of, so that a window may be "
    "taken in parts: each part writes an output, the last one the output of the whole window. Both "
    "commands must have the same `mode`, and this one no more `channels`; the first post command "
    "of a program continues nothing. Products are for depthwise convolutions: a window is a column "
    "of the kernel, positions of the activation buffer, and an output is made of it and of the "
    "windows before it in its row, as many as the machine has weights for, `depthwise_kernel`. The "
    "command finds behind all other parameters a word whose low bits are what padding reads as, "
    "then for each of the `kernel_rows` these weights for each column, each row in words of its "
    "own; the n-th weights are for the n-th window before the output's. A window's positions take "
    "the rows in turn; padding is multiplied as well.",
    fields=(
        *_header(),
        *_origin(),
        *(
            field
            for name, doc in zip(
                POST_LOOPS,
                ("output row", "output column", "window row", "window column"),
                strict=True,
            )
            for field in _loop(name, doc)
        ),
        Field(name="source", bits=1, doc="0 accumulators, 1 activation buffer"),
        Field(
            name="mode",
            bits=2,
            doc="0 maximum, 1 sum, 2 products",
            used=lambda config: 2 if config.depthwise_kernel else 1,
        ),
        Field(
            name="kernel_rows",
            bits=3,
            doc="products: rows of weights - 1",
            used=lambda config: max(config.tap_rows - 1, 0).bit_length(),
        ),
        Field(
            name="lead",
            bits=3,
            doc="windows at the beginning of each row that give no output",
            used=lambda config: 3 if config.depthwise_kernel else 0,
        ),
        Field(
            name="skip",
            bits=3,
            doc="windows between one output of a row and the next",
            used=lambda config: 3 if config.depthwise_kernel else 0,
        ),
        Field(name="continues", bits=1, doc="1: the first window goes on from the one before"),
        Field(name="unsigned", bits=1, doc="1: source is unsigned, taken as q - 2^(bits-1)"),
        Field(
            name="parameter_address",
            bits=12,
            doc="word of the parameter buffer where the channels' biases and multipliers begin",
            used=lambda config: config.parameter_address_bits,
        ),
        Field(name="channels", bits=6, doc="channels - 1"),
        Field(name="zero_point", bits=17, signed=True, doc="added after rounding", used=_value),
        Field(name="low", bits=17, signed=True, doc="smallest requantised value", used=_value),
        Field(name="high", bits=17, signed=True, doc="largest requantised value", used=_value),
        Field(
            name="out_address", bits=20, doc="byte address of the first output", used=_activation
        ),
        Field(name="out_py", bits=20, doc="bytes from output row to row, modulo 2^20"),
        Field(name="out_px", bits=20, doc="bytes from output column to column, modulo 2^20"),
        Field(name="operand", bits=2, doc="second operand: 0 none, 1 add, 2 multiply"),
        Field(name="operand_unsigned", bits=1, doc="1: operand is unsigned, 0: signed"),
        Field(
            name="operand_address",
            bits=20,
            doc="byte address of the first output's operand",
            used=_activation,
        ),
        Field(name="operand_py", bits=20, doc="bytes from row to row of operands, modulo 2^20"),
        Field(name="operand_px", bits=20, doc="bytes from column to column, modulo 2^20"),
        Field(name="table", bits=2, doc="0 none; 1, 2: look outputs up in table 0, 1"),
    ),
)

STORE = CommandFormat(
    engine=Engine.STORE,
    doc="Copies rows of bytes from the activation buffer to memory.",
    fields=(*_header(), *_TRANSFER),
)

FORMATS: dict[Engine, CommandFormat] = {
    format_.engine: format_ for format_ in (LOAD, EXECUTE, POST, STORE)
}

for _format in FORMATS.values():
    if _format.bits > COMMAND_BITS:
        raise AssertionError(f"{_format.engine.name} needs {_format.bits} of {COMMAND_BITS} bits")


def _fields(engine: Engine) -> tuple[str, ...]:
    return tuple(field.name for field in FORMATS[engine].fields)


WAITS: dict[Engine, tuple[str, ...]] = {
    engine: tuple(name for name in _fields(engine) if name.startswith("wait_")) for engine in Engine
}
"""Of each engine's commands, the fields by which they wait, in the order of ``COUNTS``."""


ADDRESSES: dict[Engine, tuple[str, ...]] = {
    engine: tuple(name for name in _fields(engine) if name.endswith("address")) for engine in Engine
}
"""Of each engine's commands, the fields that say where they work."""


@dataclass(frozen=True, eq=False, slots=True)
class Pattern:
    """What a command does, wherever and whenever: its fields but addresses and waits.

    The commands of a layer's tiles share few patterns. What follows from one is worked out once and
    found by its identity; patterns of equal fields need not be the same.
    """

    engine: Engine
    fields: dict[str, int]


# Not frozen, as programs have millions: freezing makes each take four times as long.
@dataclass(eq=False, slots=True)
class Command:
    """One command: its pattern, its addresses in the order of ``ADDRESSES``, and what it waits for,
    in that of ``WAITS``."""

    pattern: Pattern
    addresses: tuple[int, ...]
    waits: tuple[int, ...]

    @classmethod
    def of(cls, engine: Engine, values: Mapping[str, int]) -> "Command":
        """The command whose fields but the opcode are ``values``.

        Raises ``CompileError`` if these are not all of them, or others.
        """
        fields = dict(values)
        odd = sorted(set(fields) ^ set(FORMATS[engine].offsets) - {"opcode"})
        if odd:
            raise CompileError(f"{engine.name} command: missing or unknown fields {odd}")
        addresses = tuple(fields.pop(name) for name in ADDRESSES[engine])
        waits = tuple(fields.pop(name) for name in WAITS[engine])
        return cls(Pattern(engine, fields), addresses, waits)

    @property
    def engine(self) -> Engine:
        """Where it goes."""
        return self.pattern.engine

    @property
    def values(self) -> dict[str, int]:
        """All of its fields but the opcode."""
        addresses = zip(ADDRESSES[self.engine], self.addresses, strict=True)
        waits = zip(WAITS[self.engine], self.waits, strict=True)
        return {**dict(waits), **self.pattern.fields, **dict(addresses)}

    def __getitem__(self, field: str) -> int:
        fields = self.pattern.fields
        return fields[field] if field in fields else self.values[field]


def pack(command: Command, config: AcceleratorConfig) -> bytes:
    """The 64 bytes of ``command``. Raises ``CompileError`` for a value outside its field."""
    format_ = FORMATS[command.engine]
    word, values = 0, {"opcode": int(command.engine), **command.values}
    for field in format_.fields:
        value, bits = values[field.name], field.used_bits(config)
        low, high = (
            (-(1 << bits - 1), (1 << bits - 1) - 1) if field.signed else (0, (1 << bits) - 1)
        )
        if not low <= value <= high:
            raise CompileError(
                f"{command.engine.name} command: {field.name} must be in {low}..{high}, got {value}"
            )
        word |= (value & (1 << field.bits) - 1) << format_.offsets[field.name]
    return word.to_bytes(COMMAND_BYTES, "little")


def unpack(data: bytes) -> Command:
    """The command in 64 bytes. Raises ``CompileError`` for an unknown opcode."""
    word = int.from_bytes(data, "little")
    opcode = word & (1 << OPCODE_BITS) - 1
    if opcode not in Engine.__members__.values():
        raise CompileError(f"an opcode must be one of 1..4, got {opcode}")
    format_ = FORMATS[Engine(opcode)]
    values = {}
    for field in format_.fields[1:]:
        raw = word >> format_.offsets[field.name] & (1 << field.bits) - 1
        negative = field.signed and raw >> field.bits - 1
        values[field.name] = raw - (1 << field.bits) if negative else raw
    return Command.of(Engine(opcode), values)
