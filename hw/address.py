"""Nested affine address generator: kernel, stride, dilation and padding as loop descriptors."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import FORMATS

ORIGIN = ("address", "y", "x", "height", "width")
STEPS = ("dy", "dx", "da")

_SHAPES: dict[str, Shape] = {
    field.name: signed(field.bits) if field.signed else unsigned(field.bits)
    for format_ in FORMATS.values()
    for field in format_.fields
}


def descriptor_layout(loops: tuple[str, ...]) -> data.StructLayout:
    """The fields of a command that an address generator with these loops holds, by their names in
    the command."""
    names = [*ORIGIN, *(f"{loop}_{part}" for loop in loops for part in ("count", *STEPS))]
    return data.StructLayout({name: _SHAPES[name] for name in names})


class AffineGenerator(wiring.Component):
    """Walks a nest of counted loops and gives each iteration's (y, x, address).

    The position of iteration (i_0, i_1, ...) is the origin plus the sum over the loops of
    ``i_k * (dy_k, dx_k, da_k)``: every loop keeps the position where it stands, and inner loops
    start from there, so no multiplier is needed. y is modulo 2^16 and x modulo 2^20, both signed;
    the address is modulo 2^``address_bits``.

    All outputs belong to the current position and are registers, new in the cycle after ``load`` or
    ``step``. ``load`` goes before ``step``. A step at the end (all of ``last``) changes nothing.

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
        last: bit k: this is the last iteration of loop k. All bits: the last position.
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
            }
        )

    def describe(self, m: Module, command: data.View) -> None:
        """In ``m``, connect ``descriptor`` to the fields of the same names in ``command``."""
        for name in descriptor_layout(self.loops).members:
            m.d.comb += self.descriptor[name].eq(command[name])

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        held = Signal.like(self.descriptor)
        with m.If(self.load):
            m.d.sync += held.eq(self.descriptor)
        goes_on = self._count(m, held)
        self._move(m, held, goes_on)
        return m

    def _count(self, m: Module, held: data.View) -> list[Value]:
        """Count each loop down; gives, for each, that the next step is its own (one-hot)."""
        goes_on = []
        for k, loop in enumerate(self.loops):
            inner_done = self.last[k + 1 :].all()
            goes_on.append(inner_done & ~self.last[k])
            restarts = self.step & inner_done & self.last[k] & ~self.last[:k].all()
            count, first_count = held[f"{loop}_count"], self.descriptor[f"{loop}_count"]
            left = Signal.like(count, name=f"{loop}_left")
            with m.If(self.load):
                m.d.sync += [left.eq(first_count), self.last[k].eq(first_count == 0)]
            with m.Elif(restarts):
                m.d.sync += [left.eq(count), self.last[k].eq(count == 0)]
            with m.Elif(self.step & goes_on[k]):
                m.d.sync += [left.eq(left - 1), self.last[k].eq(left == 1)]
        return goes_on

    def _move(self, m: Module, held: data.View, goes_on: list[Value]) -> None:
        """Move the stepping loop's position, and those of all inner loops to the same place."""
        origin = self.descriptor
        next_y: Value = self.y
        next_x: Value = self.x
        next_address: Value = self.address
        for k, loop in enumerate(self.loops):
            innermost = k == len(self.loops) - 1
            y = self.y if innermost else Signal.like(self.y, name=f"{loop}_y")
            x = self.x if innermost else Signal.like(self.x, name=f"{loop}_x")
            address = self.address if innermost else Signal.like(self.address, name=f"{loop}_a")
            next_y = _either(m, goes_on[k], y + held[f"{loop}_dy"], next_y, y)
            next_x = _either(m, goes_on[k], x + held[f"{loop}_dx"], next_x, x)
            next_address = _either(
                m, goes_on[k], address + held[f"{loop}_da"], next_address, address
            )
            with m.If(self.load):
                m.d.sync += [y.eq(origin.y), x.eq(origin.x), address.eq(origin.address)]
            with m.Elif(self.step & Cat(goes_on[: k + 1]).any()):
                m.d.sync += [y.eq(next_y), x.eq(next_x), address.eq(next_address)]
        # The bounds are compared on both ways, as the load comes late in its cycle.
        with m.If(self.load):
            m.d.sync += [
                self.row_valid.eq(_inside(origin.y, origin.height)),
                self.room.eq(origin.width - origin.x),
            ]
        with m.Elif(self.step & ~self.last.all()):
            m.d.sync += [
                self.row_valid.eq(_inside(next_y, held.height)),
                self.room.eq(held.width - next_x),
            ]


def _either(m: Module, own: Value, moved: Value, outer: Value, like: Signal) -> Signal:
    """``moved`` if the step is this loop's ``own``, else where the ``outer`` loops go."""
    found = Signal.like(like, name=f"{like.name}_next")
    m.d.comb += found.eq(Mux(own, moved, outer))
    return found


def _inside(y: Value, height: Value) -> Value:
    return (y >= 0) & (y < height)
