"""Nested affine address generator: kernel, stride, dilation and padding as loop descriptors."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import FORMATS, ROW_LOOPS

ORIGIN = ("address", "y", "x", "height", "width")

_SHAPES: dict[str, Shape] = {
    field.name: signed(field.bits) if field.signed else unsigned(field.bits)
    for format_ in FORMATS.values()
    for field in format_.fields
}


def descriptor_layout(loops: tuple[str, ...]) -> data.StructLayout:
    """The fields of a command that an address generator with these loops holds, by their names in
    the command."""
    names = [*ORIGIN, *(f"{loop}_{part}" for loop in loops for part in ("count", *_steps(loop)))]
    return data.StructLayout({name: _SHAPES[name] for name in names})


def _steps(loop: str) -> tuple[str, ...]:
    """The coordinates' steps that ``loop`` has."""
    return ("dy", "da") if loop in ROW_LOOPS else ("dx",)


class AffineGenerator(wiring.Component):
    """Walks a nest of counted loops and gives each iteration's (y, x, address).

    In iteration (i_0, i_1, ...), y and the row's address are their origins plus the sums over the
    row loops (arch.commands.ROW_LOOPS) of ``i_k * dy_k`` and ``i_k * da_k``; x is its origin plus
    the sum over the other loops of ``i_k * dx_k``; the address is the row's plus x. Every loop
    keeps the coordinates where it stands, and inner loops of its kind start from there, so no
    multiplier is needed. y is modulo 2^16 and x modulo 2^20, both signed; the address is modulo
    2^``address_bits``.

    All outputs belong to the current position and are registers, new in the cycle after ``load`` or
    ``step``. ``load`` goes before ``step``. A step at the ``end`` changes nothing.

    Args:
        loops: names of the loops as in the command's fields, outermost first.
        address_bits: width of the address, at most the 20 bits of the command's field.

    Members:
        load: take the origin and the loops of ``descriptor``.
        descriptor: payload of ``load``; see ``describe``.
        step: go on to the next position, innermost loop first.
        y, x, address: the position.
        row_valid: 0 <= y < height.
        room: width - x: element l of a vector at x is left of the right bound if l < room.
        last: bit k: this is the last iteration of loop k.
        end: all of ``last``: the last position.
    """

    def __init__(self, *, loops: tuple[str, ...], address_bits: int) -> None:
        self.loops = loops
        self.address_bits = address_bits
        super().__init__(
            {
                "load": In(1),
                "descriptor": In(descriptor_layout(loops)),
                "step": In(1),
                "y": Out(_SHAPES["y"]),
                "x": Out(_SHAPES["x"]),
                "address": Out(address_bits),
                "row_valid": Out(1),
                "room": Out(signed(_SHAPES["x"].width + 2)),
                "last": Out(len(loops)),
                "end": Out(1),
            }
        )

    def describe(self, m: Module, command: data.View) -> None:
        """In ``m``, connect ``descriptor`` to the fields of the same names in ``command``."""
        for name in descriptor_layout(self.loops).members:
            m.d.comb += self.descriptor[name].eq(command[name])

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        held = Signal.like(self.descriptor, reset_less=True)
        with m.If(self.load):
            m.d.sync += held.eq(self.descriptor)
        # A step changes where loop k stands: it goes on, or one outside of it does.
        inner_done = [self.last[k + 1 :].all() for k in range(len(self.loops))]
        changes = [done & ~self.end for done in inner_done]
        # The next step is its own: one of the loops, but for the end.
        goes_on = [done & ~last for done, last in zip(inner_done, self.last, strict=True)]
        self._count(m, held, changes, goes_on)
        self._move(m, held, changes, goes_on)
        return m

    def _count(
        self, m: Module, held: data.View, changes: list[Value], goes_on: list[Value]
    ) -> None:
        """Count each loop down."""
        # Loops of one iteration.
        single = Signal(len(self.loops), reset_less=True)
        ends: Value = Const(0)
        for k, loop in enumerate(self.loops):
            count, first_count = held[f"{loop}_count"], self.descriptor[f"{loop}_count"]
            left = Signal.like(count, name=f"{loop}_left", reset_less=True)
            ends |= goes_on[k] & self.last[:k].all() & (left == 1) & single[k + 1 :].all()
            with m.If(self.load):
                one = first_count == 0
                m.d.sync += [left.eq(first_count), self.last[k].eq(one), single[k].eq(one)]
            with m.Elif(self.step & changes[k]):
                m.d.sync += [
                    left.eq(Mux(self.last[k], count, left - 1)),
                    self.last[k].eq(Mux(self.last[k], single[k], left == 1)),
                ]
        with m.If(self.load):
            counts = (self.descriptor[f"{loop}_count"] for loop in self.loops)
            m.d.sync += self.end.eq(~Cat(counts).any())
        with m.Elif(self.step & ~self.end):
            m.d.sync += self.end.eq(ends)

    def _move(self, m: Module, held: data.View, changes: list[Value], goes_on: list[Value]) -> None:
        """Go to the next position."""
        origin = self.descriptor
        row = Signal(self.address_bits, reset_less=True)
        ways = held, changes, goes_on
        next_y = self._walk(m, "dy", self.y, (origin.y, held.y), *ways)
        next_x = self._walk(m, "dx", self.x, (origin.x, held.x), *ways)
        next_row = self._walk(m, "da", row, (origin.address, held.address), *ways)
        # Bounds and address are computed on both ways, as the load comes late in its cycle.
        with m.If(self.load):
            m.d.sync += [
                self.row_valid.eq(_inside(origin.y, origin.height)),
                self.room.eq(origin.width - origin.x),
                self.address.eq(origin.address + origin.x),
            ]
        with m.Elif(self.step & ~self.end):
            m.d.sync += [
                self.row_valid.eq(_inside(next_y, held.height)),
                self.room.eq(held.width - next_x),
                self.address.eq(next_row + next_x),
            ]

    def _walk(
        self,
        m: Module,
        part: str,
        current: Signal,
        origins: tuple[Value, Value],
        held: data.View,
        changes: list[Value],
        goes_on: list[Value],
    ) -> Value:
        """One coordinate, ``current``, which the loops with the step ``part`` move.

        ``origins``: where it starts with a load, and where the present command started. The loop
        that goes on takes it further from where that loop stands, or, if it does not move it, back
        to where the nearest of its outer loops that do stands. Gives what it will be, if one does.
        """
        moving = [loop for loop in self.loops if part in _steps(loop)]
        following = Signal.like(current, name=f"{part}_following")
        outer: Value = origins[1]
        ways = []
        for k, loop in enumerate(self.loops):
            ways.append(outer)
            if loop in moving:
                # The innermost loop stands where the position is.
                innermost = loop == moving[-1]
                here = current
                if not innermost:
                    here = Signal.like(current, name=f"{loop}_{part}", reset_less=True)
                # Kept beside it: no step waits for a sum to find its way.
                ahead = Signal.like(current, name=f"{loop}_{part}_ahead", reset_less=True)
                with m.If(self.load):
                    m.d.sync += [
                        here.eq(origins[0]),
                        ahead.eq(origins[0] + self.descriptor[f"{loop}_{part}"]),
                    ]
                with m.Elif(self.step & changes[k]):
                    m.d.sync += [
                        here.eq(following),
                        ahead.eq(following + held[f"{loop}_{part}"]),
                    ]
                ways[k], outer = ahead, here
        chosen = (Mux(goes, way, 0) for goes, way in zip(goes_on, ways, strict=True))
        m.d.comb += following.eq(reduce(or_, chosen))
        return following


def _inside(y: Value, height: Value) -> Value:
    return (y >= 0) & (y < height)
