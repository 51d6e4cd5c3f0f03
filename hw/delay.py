"""Plain register chains."""

from amaranth.hdl import Module, Signal, Value


def delayed(m: Module, value: Value, *, stages: int, reset_less: bool = False) -> Value:
    """``value`` as it was ``stages`` cycles ago; ``reset_less``: data that something else says to
    be there."""
    for _ in range(stages):
        register = Signal.like(value, name="delayed", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
