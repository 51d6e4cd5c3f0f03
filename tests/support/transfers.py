"""Transfers of rows of bytes: random ones, and byte for byte what they mean."""

import random
from dataclasses import asdict, dataclass

from arch.config import AcceleratorConfig
from arch.presets import PRESETS

PAGE = 4096
BUFFER_SPACE = 1 << 20
MEMORY_SPACE = 1 << 32


def variant(name: str, **changes: int) -> AcceleratorConfig:
    """The preset ``name`` with ``changes``."""
    values = PRESETS[name].model_dump(exclude={"accumulator_bits"})
    return AcceleratorConfig.from_mapping(values | changes)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The fields that loads and stores share; ``rows`` is the number of rows - 1."""

    dram_address: int
    dram_pitch: int
    row_bytes: int
    rows: int
    buffer_address: int
    buffer_pitch: int

    @property
    def payload(self) -> dict[str, int]:
        """The fields as the payload of a command."""
        return asdict(self)

    def moves(self) -> list[list[tuple[int, int]]]:
        """For each row, (address in memory, address in the buffer) of each byte in turn."""
        return [
            [
                (
                    (self.dram_address + row * self.dram_pitch + byte) % MEMORY_SPACE,
                    (self.buffer_address + row * self.buffer_pitch + byte) % BUFFER_SPACE,
                )
                for byte in range(self.row_bytes)
            ]
            for row in range(self.rows + 1)
        ]


@dataclass(frozen=True)
class Beat:
    """A beat: by lane, the byte's address in the buffer. Lanes that do not count are missing."""

    lanes: dict[int, int]

    @property
    def mask(self) -> int:
        """Bit i: lane i counts."""
        return sum(1 << lane for lane in self.lanes)

    def element_mask(self, unit: int) -> int:
        """Bit i: the i-th element of ``unit`` bytes counts; elements must be whole."""
        assert all(
            lane // unit * unit + byte in self.lanes for lane in self.lanes for byte in range(unit)
        )
        return sum(1 << lane // unit for lane in self.lanes if lane % unit == 0)


@dataclass(frozen=True)
class Burst:
    """A burst: the address of its first beat, its beats, and whether it ends its transfer."""

    address: int
    beats: tuple[Beat, ...]
    last: bool


def bursts_of(transfer: Transfer, config: AcceleratorConfig) -> list[Burst]:
    """The bursts of ``transfer``, found by walking over its bytes."""
    bursts: list[Burst] = []
    for row in transfer.moves():
        start, beats = -1, [Beat({})]
        for memory, buffer in row:
            lane = memory % config.bus_bytes
            if start < 0:
                start = memory - lane
            elif memory % PAGE == 0 or (lane == 0 and len(beats) == config.burst_beats):
                bursts.append(Burst(start, tuple(beats), last=False))
                start, beats = memory, [Beat({})]
            elif lane == 0:
                beats.append(Beat({}))
            beats[-1].lanes[lane] = buffer
        bursts.append(Burst(start, tuple(beats), last=False))
    bursts[-1] = Burst(bursts[-1].address, bursts[-1].beats, last=True)
    return bursts


def random_transfer(rng: random.Random, config: AcceleratorConfig, unit: int = 1) -> Transfer:
    """Rows of any elements of ``unit`` bytes: mostly short ones, some of several bursts, some about
    a page's end."""
    row_bytes = rng.choice(
        (
            rng.randint(1, 3 * config.bus_bytes),
            rng.randint(1, 3 * config.bus_bytes),
            rng.randint(1, 3 * config.bus_bytes * min(config.burst_beats, 24)),
        )
    )
    row_bytes = -(-row_bytes // unit) * unit
    drawn = Transfer(
        dram_address=rng.choice(
            (rng.getrandbits(32), (rng.getrandbits(20) * PAGE - rng.randint(0, row_bytes)))
        )
        % MEMORY_SPACE,
        dram_pitch=rng.choice((row_bytes, rng.getrandbits(32), rng.getrandbits(12))),
        row_bytes=row_bytes,
        rows=rng.choice((0, 0, rng.randint(1, 4))),
        buffer_address=rng.getrandbits(20),
        buffer_pitch=rng.choice((row_bytes, rng.getrandbits(20))),
    )
    whole = {name: value // unit * unit for name, value in drawn.payload.items()}
    return Transfer(**whole | {"rows": drawn.rows})


def long_transfer(config: AcceleratorConfig, beats: int, address: int = 0) -> Transfer:
    """One aligned row of ``beats`` beats."""
    return Transfer(
        dram_address=address,
        dram_pitch=0,
        row_bytes=beats * config.bus_bytes,
        rows=0,
        buffer_address=0,
        buffer_pitch=0,
    )


def parameter_transfer(rng: random.Random, config: AcceleratorConfig) -> Transfer:
    """A transfer all of whose fields are multiples of the bus, as loads of parameters and tables
    must be."""
    beat = config.bus_bytes
    return Transfer(
        dram_address=rng.getrandbits(32) // beat * beat,
        dram_pitch=rng.getrandbits(16) // beat * beat,
        row_bytes=rng.randint(1, 12) * beat,
        rows=rng.randint(0, 2),
        buffer_address=rng.getrandbits(20) // beat * beat,
        buffer_pitch=rng.getrandbits(20) // beat * beat,
    )
