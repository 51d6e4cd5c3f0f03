"""What an execute command does, and when: the sums and the recurrences that its contract states."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arch.commands import EXECUTE_LOOPS, FORMATS, ROW_LOOPS, Engine
from arch.config import AcceleratorConfig
from arch.post_timing import execute_done_latency
from arch.timing import ACCUMULATE_LATENCY, BUFFER_READ_LATENCY, array_latency, step_cycles
from tests.support.elements import whole_elements

Fields = dict[str, int]


@dataclass(frozen=True)
class Position:
    """One vector's place: byte address, and the lanes that are no padding."""

    address: int
    lanes: tuple[int, ...]


def positions(command: Fields, config: AcceleratorConfig) -> Iterator[Position]:
    """Every vector of ``command`` in order, tile by tile."""
    counts = [range(command[f"{loop}_count"] + 1) for loop in EXECUTE_LOOPS]
    for indices in itertools.product(*counts):
        y, x, address = (
            command[origin]
            + sum(
                index * command.get(f"{loop}_{part}", 0)
                for loop, index in zip(EXECUTE_LOOPS, indices, strict=True)
            )
            for origin, part in (("y", "dy"), ("x", "dx"), ("address", "da"))
        )
        address += x
        inside = 0 <= y < command["height"]
        lanes = tuple(
            lane
            for lane in range(config.rows)
            if inside and 0 <= x + lane * config.activation_bytes < command["width"]
        )
        yield Position(address % config.activation_buffer_bytes, lanes)


def tiles(command: Fields) -> int:
    """K: tiles of weights."""
    return int(np.prod([command[f"{loop}_count"] + 1 for loop in EXECUTE_LOOPS[:3]]))


def vectors(command: Fields) -> int:
    """M: vectors for each tile."""
    return (command["oy_count"] + 1) * (command["ox_count"] + 1)


def random_command(rng: random.Random, config: AcceleratorConfig, former: Fields | None) -> Fields:
    """Small loops around the bounds; adds to the former command's entries or fills new ones."""
    command = {field.name: 0 for field in FORMATS[Engine.EXECUTE].fields if field.name != "opcode"}
    for loop in EXECUTE_LOOPS:
        command[f"{loop}_count"] = rng.choice([0, 0, 1, 1, 2])
        if loop in ROW_LOOPS:
            command[f"{loop}_dy"] = rng.randint(-1, 2)
            command[f"{loop}_da"] = rng.randint(-100, 100)
        else:
            command[f"{loop}_dx"] = rng.randint(-config.rows, config.rows)
    if rng.random() < 0.3 or vectors(command) > config.accumulator_half_entries:
        command["oy_count"], command["ox_count"] = 0, config.accumulator_half_entries - 1
    command |= {
        "address": rng.randrange(config.activation_buffer_bytes),
        "y": rng.randint(-2, 3),
        "x": rng.randint(-2 * config.rows, 2 * config.rows),
        "height": rng.randint(0, 6),
        "width": rng.choice([0, 1, rng.randint(0, 3 * config.rows), (1 << 20) - 1]),
        "padding": rng.randrange(1 << config.activation_bits),
        "unsigned": rng.randrange(2),
        "weight_address": rng.randrange(config.weight_buffer_bytes),
        "accumulator_address": rng.randrange(config.accumulator_entries),
    }
    if former is not None and rng.random() < 0.4:
        same = ("accumulator_address", "oy_count", "ox_count")
        command |= {name: former[name] for name in same} | {"accumulate": 1}
    return whole_elements(Engine.EXECUTE, command, config)


@dataclass(frozen=True)
class Memories:
    """Contents of the operand buffers, as unsigned elements."""

    activation: np.ndarray
    weight: np.ndarray


def signed(values: np.ndarray, bits: int) -> np.ndarray:
    """The numbers that unsigned bits stand for."""
    return (values ^ 1 << bits - 1) - (1 << bits - 1)


def accumulate(
    sums: dict[int, np.ndarray], command: Fields, memories: Memories, config: AcceleratorConfig
) -> None:
    """Apply ``command`` to the accumulators; the entry written last comes last in ``sums``."""
    rows, cols, count = config.rows, config.cols, vectors(command)
    half = command["accumulator_address"] & config.accumulator_half_entries
    for number, position in enumerate(positions(command, config)):
        tile, vector = divmod(number, count)
        taken = np.full(rows, command["padding"])
        for lane in position.lanes:
            element = position.address // config.activation_bytes + lane
            taken[lane] = memories.activation[element % len(memories.activation)]
        if command["unsigned"]:
            taken = taken ^ 1 << config.activation_bits - 1
        first = command["weight_address"] // config.weight_bytes + tile * rows * cols
        where = (first + np.arange(rows * cols)) % len(memories.weight)
        weights = signed(memories.weight[where], config.weight_bits).reshape(rows, cols)
        psums = signed(taken, config.activation_bits) @ weights
        entry = half + (command["accumulator_address"] + vector) % config.accumulator_half_entries
        fresh = tile == 0 and not command["accumulate"]
        before = sums.pop(entry, 0)
        sums[entry] = psums if fresh else before + psums


@dataclass
class Timeline:
    """The events of some commands: each a list of cycles, accesses with their address."""

    taken: list[int] = field(default_factory=list)
    weight_reads: list[tuple[int, int]] = field(default_factory=list)
    issued: list[int] = field(default_factory=list)
    activation_reads: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    accumulator_reads: list[int] = field(default_factory=list)
    accumulator_writes: list[int] = field(default_factory=list)
    stepping: list[int] = field(default_factory=list)
    taking: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    settling: list[int] = field(default_factory=list)


def timeline(commands: list[Fields], arrivals: list[int], config: AcceleratorConfig) -> Timeline:
    """The recurrences; command i is at hand from cycle arrivals[i] on."""
    events = Timeline()
    rows, to_psums = config.rows, BUFFER_READ_LATENCY + array_latency(config)
    former_p = former_s = former_begin = former_first = -1000
    former_step = 0
    settling: set[int] = set()
    for command, arrival in zip(commands, arrivals, strict=True):
        count, step = vectors(command), step_cycles(config, vectors(command))
        p = max(arrival, former_p + 1, former_begin + rows, former_s + 1)
        s = max(p + 1, former_first + former_step - 1)
        begin = max(p + 1, former_first + 1)
        origin = max(begin, s) + 1
        begins = [begin]
        firsts = [origin + tile * step for tile in range(tiles(command))]
        begins += [
            max(begin + tile * rows, firsts[tile - 1] + 1) for tile in range(1, tiles(command))
        ]
        issued = [first + vector for first in firsts for vector in range(count)]
        events.taken.append(p)
        events.weight_reads += _weight_reads(command, begins, config)
        events.issued += issued
        events.activation_reads += [
            (cycle, position.address, position.lanes)
            for cycle, position in zip(issued, positions(command, config), strict=True)
            if position.lanes
        ]
        added = issued if command["accumulate"] else issued[count:]
        events.accumulator_reads += [cycle + to_psums for cycle in added]
        events.accumulator_writes += [cycle + to_psums + ACCUMULATE_LATENCY - 1 for cycle in issued]
        held = set(range(s + 1, firsts[-1] + step))
        events.stepping += sorted(held - set(issued))
        events.taking += range(p + 1, s + 1)
        events.done.append(issued[-1] + execute_done_latency(config))
        settling |= set(range(events.done[-1] + 1, issued[-1] + to_psums + ACCUMULATE_LATENCY + 1))
        former_p, former_s, former_begin = p, s, begins[-1]
        former_first, former_step = firsts[-1], step
    events.settling = sorted(settling)
    return events


def _weight_reads(
    command: Fields, begins: list[int], config: AcceleratorConfig
) -> list[tuple[int, int]]:
    cycles = [begin + row for begin in begins for row in range(config.rows)]
    row = config.cols * config.weight_bytes
    return [
        (cycle, (command["weight_address"] + number * row) % config.weight_buffer_bytes)
        for number, cycle in enumerate(cycles)
    ]


def payload(command: Fields) -> dict[str, Any]:
    """The fields as a command stream carries them."""
    return {"opcode": int(Engine.EXECUTE), **command}
