"""The processing element of the weight-stationary array."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig


class ProcessingElement(wiring.Component):
    """Multiplies what passes by the weight it keeps, and adds that to the psum that passes.

    ``activation_out`` is ``activation`` one cycle later. ``psum_out`` is, two cycles after an
    activation, its product with the active weight plus the ``psum`` of one cycle after it. No
    register has a reset: valid data pushes out the rest.

    Args:
        config: gives the widths.

    Members:
        activation, activation_out: from the left, to the right.
        psum, psum_out: from above, to below. A psum never overflows.
        weight, weight_valid: the next shadow weight, taken at the end of the cycle.
        swap: the shadow weight, as it is in this cycle, becomes active for the activations of the
            next cycle on.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        activation, weight = signed(config.activation_bits), signed(config.weight_bits)
        psum = signed(config.psum_bits)
        super().__init__(
            {
                "activation": In(activation),
                "activation_out": Out(activation),
                "psum": In(psum),
                "psum_out": Out(psum),
                "weight": In(weight),
                "weight_valid": In(1),
                "swap": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        shadow = Signal.like(self.weight, reset_less=True)
        active = Signal.like(self.weight, reset_less=True)
        activation = Signal.like(self.activation, reset_less=True)
        product = Signal(signed(len(self.activation) + len(self.weight)), reset_less=True)
        psum = Signal.like(self.psum, reset_less=True)
        with m.If(self.weight_valid):
            m.d.sync += shadow.eq(self.weight)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += [
            activation.eq(self.activation),
            product.eq(self.activation * active),
            psum.eq(self.psum + product),
        ]
        m.d.comb += [self.activation_out.eq(activation), self.psum_out.eq(psum)]
        return m
