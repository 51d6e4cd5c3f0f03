"""Plain register chains."""

from amaranth.hdl import Module, Signal, Value


def delayed(m: Module, value: Value, *, stages: int) -> Value:
    """``value`` as it was ``stages`` cycles ago."""
    for _ in range(stages):
        register = Signal.like(value, name="delayed")
        m.d.sync += register.eq(value)
        value = register
    return value
