"""Puts a component of any number of ports behind three pins, so that a package can hold it."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Out

CLOCK = "aclk"
"""The core's clock; every other port is data."""


class PinHarness(wiring.Component):
    """``core`` with its inputs fed from one pin, and its outputs read through another.

    For place and route of a machine that has more ports than a package has pins. Each input bit is
    a register and each output bit ends in one, all on the core's clock, so that every path of the
    core is timed from register to register, and nothing of it can be optimised away:

    - Inputs: a shift register, from the lowest bit of the first input up.
    - Outputs: a register captures all in the cycle after ``data_in`` differed from the top bit of
      the inputs, and shifts out in every other cycle.

    It is no memory and no host: on a board, the machine in it does nothing useful.

    Args:
        core: has plain signals as its members, among them the clock ``aclk``.

    Members:
        aclk: the clock.
        data_in: the next bit of the inputs.
        data_out: the top bit of the captured outputs, one cycle later.
    """

    def __init__(self, core: wiring.Component) -> None:
        self._core = core
        super().__init__({CLOCK: In(1), "data_in": In(1), "data_out": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # Not `sync`: the core brings a domain of that name.
        m.domains.pins = ClockDomain(reset_less=True)
        m.submodules.core = core = self._core
        clock = getattr(core, CLOCK)
        ports: dict[Flow, list[Signal]] = {In: [], Out: []}
        for name, member in core.signature.members.items():
            if name != CLOCK:
                ports[member.flow].append(getattr(core, name))
        inputs = Signal(sum(map(len, ports[In])))
        outputs = Cat(ports[Out])
        captured, capture = Signal(len(outputs)), Signal()
        m.d.comb += [
            ClockSignal("pins").eq(self.aclk),
            clock.eq(self.aclk),
            Cat(ports[In]).eq(inputs),
        ]
        m.d.pins += [
            inputs.eq(Cat(self.data_in, inputs)),
            capture.eq(self.data_in ^ inputs[-1]),
            captured.eq(captured << 1),
            self.data_out.eq(captured[-1]),
        ]
        with m.If(capture):
            m.d.pins += captured.eq(outputs)
        return m
