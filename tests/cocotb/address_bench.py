"""The address generator under random loads and steps, against the simulator's positions."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from cocotb.triggers import RisingEdge

from arch.commands import FORMATS, Command
from hw.address import descriptor_layout
from sim.command.affine import loop_counts, positions
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, packed, to_signed
from tests.support.streams import bench_parameters, bench_random, random_stalls, start_clock

CYCLES = 3000
Y_BITS, X_BITS = 16, 20
LEAST_ENDS = 10


@dataclass(frozen=True)
class Place:
    """What the generator shows at one position."""

    y: int
    x: int
    address: int
    row_valid: int
    room: int
    last: int
    end: int


class AddressModel:
    """The positions of the descriptor heard last, one step after the other."""

    def __init__(self, loops: tuple[str, ...], address_bits: int) -> None:
        self._loops, self._address_bits = loops, address_bits
        self._engine = next(
            engine for engine, format_ in FORMATS.items() if f"{loops[0]}_count" in format_.offsets
        )
        self._steps: Iterator[Place] = iter(())
        self.here: Place | None = None

    def hear(self, pins: Pins) -> None:
        if pins["load"]:
            self._steps = self._walk(self._command(pins["descriptor"]))
            self.here = next(self._steps)
        elif pins["step"]:
            self.here = next(self._steps, self.here)

    def _command(self, descriptor: int) -> Command:
        layout = descriptor_layout(self._loops)
        fields = FORMATS[self._engine].fields[1:]
        values = {field.name: 0 for field in fields}
        for field in fields:
            if field.name in layout.members:
                raw = descriptor >> layout[field.name].offset & (1 << field.bits) - 1
                values[field.name] = to_signed(raw, field.bits) if field.signed else raw
        return Command.of(self._engine, values)

    def _walk(self, command: Command) -> Iterator[Place]:
        at = positions(command.values, self._loops)
        counts = loop_counts(command.pattern.fields, self._loops)
        for indices in np.ndindex(*counts):
            y = to_signed(int(at.y[indices]) % (1 << Y_BITS), Y_BITS)
            x = to_signed(int(at.x[indices]) % (1 << X_BITS), X_BITS)
            ends = [index == count - 1 for index, count in zip(indices, counts, strict=True)]
            yield Place(
                y=y,
                x=x,
                address=int(at.address[indices]) % (1 << self._address_bits),
                row_valid=int(0 <= y < command["height"]),
                room=command["width"] - x,
                last=sum(end << loop for loop, end in enumerate(ends)),
                end=int(all(ends)),
            )


def random_descriptor(rng: random.Random, loops: tuple[str, ...]) -> int:
    """Few iterations; steps and bounds from anywhere in their fields, or small."""
    layout = descriptor_layout(loops)
    small = rng.random() < 0.5
    values = {
        name: rng.randint(0, 9) if small else rng.getrandbits(layout[name].width)
        for name in layout.members
    }
    values |= {f"{loop}_count": rng.choice((0, 1, 2, 4)) for loop in loops}
    return packed(layout, values)


@bounded_test
async def every_position_is_shown_in_turn(dut: Any) -> None:
    parameters, rng = bench_parameters(), bench_random()
    loops = tuple(parameters["loops"].split())
    model = AddressModel(loops, parameters["address_bits"])
    whole = 0

    def check(pins: Pins) -> None:
        nonlocal whole
        if model.here is not None:
            room_bits = X_BITS + 2
            shown = Place(
                y=to_signed(pins["y"], Y_BITS),
                x=to_signed(pins["x"], X_BITS),
                address=pins["address"],
                row_valid=pins["row_valid"],
                room=to_signed(pins["room"], room_bits),
                last=pins["last"],
                end=pins["end"],
            )
            assert shown == model.here
            whole += shown.end

    outputs = ("y", "x", "address", "row_valid", "room", "last", "end")
    monitor = PinMonitor(dut, ("load", "step", "descriptor", *outputs))
    monitor.listeners += [check, model.hear]
    stalls = random_stalls(rng)
    dut.load.value, dut.step.value = 0, 0
    await start_clock(dut)
    for _ in range(CYCLES):
        loads = rng.random() < 0.01
        dut.load.value = loads
        dut.descriptor.value = random_descriptor(rng, loops)
        dut.step.value = not next(stalls)
        await RisingEdge(dut.clk)
    assert whole > LEAST_ENDS
