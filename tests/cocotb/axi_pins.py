"""Components with their buses as AXI pins, for peers that know a bus by its pins' names."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Member, Out, connect, flipped

from arch.config import AcceleratorConfig
from arch.registers import ADDRESS_BITS
from hw.interfaces import AXI_ADDRESS_BITS, AXI_ID_BITS
from hw.registers import ControlRegisters

_INCREMENTING = 1


def _address_pins(channel: str) -> dict[str, Member]:
    fields = {"id": AXI_ID_BITS, "addr": AXI_ADDRESS_BITS, "len": 8, "size": 3, "burst": 2}
    return {f"m_axi_{channel}{field}": Out(bits) for field, bits in fields.items()}


def _handshake(channel: str, flow: Any) -> dict[str, Member]:
    """Valid and ready of a channel whose payload has the direction ``flow``."""
    return {f"{channel}valid": flow(1), f"{channel}ready": flow.flip()(1)}


def _read_pins(config: AcceleratorConfig) -> dict[str, Member]:
    return {
        **_address_pins("ar"),
        **_handshake("m_axi_ar", Out),
        "m_axi_rid": In(AXI_ID_BITS),
        "m_axi_rdata": In(config.bus_bits),
        "m_axi_rresp": In(2),
        "m_axi_rlast": In(1),
        **_handshake("m_axi_r", In),
    }


def _write_pins(config: AcceleratorConfig) -> dict[str, Member]:
    return {
        **_address_pins("aw"),
        **_handshake("m_axi_aw", Out),
        "m_axi_wdata": Out(config.bus_bits),
        "m_axi_wstrb": Out(config.bus_bytes),
        "m_axi_wlast": Out(1),
        **_handshake("m_axi_w", Out),
        "m_axi_bid": In(AXI_ID_BITS),
        "m_axi_bresp": In(2),
        **_handshake("m_axi_b", In),
    }


class MemoryPins(Component):
    """A component whose member ``bus``, a MemoryReader or MemoryWriter, has the pins m_axi_*.

    All of its other members are as they were.
    """

    def __init__(self, component: Component, config: AcceleratorConfig, *, bus: str) -> None:
        self._component, self._config, self._bus = component, config, bus
        members = dict(component.signature.members)
        reads = "ar" in members.pop(bus).signature.members
        self._channels = ("ar", "r") if reads else ("aw", "w", "b")
        super().__init__({**members, **(_read_pins if reads else _write_pins)(config)})
        self._others = members

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.component = component = self._component
        connect_others(m, self, component, self._others)
        for name in self._channels:
            stream, prefix = getattr(getattr(component, self._bus), name), f"m_axi_{name}"
            outward = name not in ("r", "b")
            _connect_handshake(m, self, stream, prefix, outward=outward)
            for field in stream.payload.shape().members:
                pin = getattr(self, f"{prefix}{field}")
                here, there = (pin, stream.payload[field])[:: 1 if outward else -1]
                m.d.comb += here.eq(there)
            if name in ("ar", "aw"):
                m.d.comb += [
                    getattr(self, f"{prefix}size").eq(self._config.bus_bytes.bit_length() - 1),
                    getattr(self, f"{prefix}burst").eq(_INCREMENTING),
                ]
        return m


class RegisterPins(Component):
    """``ControlRegisters`` with its bus as the pins s_axi_*."""

    def __init__(self, registers: ControlRegisters) -> None:
        self._registers = registers
        channels = {
            ("aw", In): {"addr": ADDRESS_BITS, "prot": 3},
            ("w", In): {"data": 32, "strb": 4},
            ("b", Out): {"resp": 2},
            ("ar", In): {"addr": ADDRESS_BITS, "prot": 3},
            ("r", Out): {"data": 32, "resp": 2},
        }
        members = dict(registers.signature.members)
        for channel, _ in channels:
            del members[channel]
        self._others = members
        pins: dict[str, Member] = {}
        for (channel, flow), fields in channels.items():
            prefix = f"s_axi_{channel}"
            pins |= {f"{prefix}{field}": flow(bits) for field, bits in fields.items()}
            pins |= _handshake(prefix, flow)
        super().__init__({**members, **pins})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = self._registers
        connect_others(m, self, registers, self._others)
        for name in ("aw", "w", "b", "ar", "r"):
            stream = getattr(registers, name)
            _connect_handshake(m, self, stream, f"s_axi_{name}", outward=name in ("b", "r"))
        m.d.comb += [
            registers.aw.payload.eq(self.s_axi_awaddr),
            registers.w.payload.data.eq(self.s_axi_wdata),
            registers.w.payload.strb.eq(self.s_axi_wstrb),
            registers.ar.payload.eq(self.s_axi_araddr),
            self.s_axi_bresp.eq(registers.b.payload),
            self.s_axi_rdata.eq(registers.r.payload.data),
            self.s_axi_rresp.eq(registers.r.payload.resp),
        ]
        return m


def connect_others(m: Module, outer: Any, inner: Any, members: dict[str, Member]) -> None:
    """In ``m``, give ``inner``'s ``members`` the pins of the same names of ``outer``."""
    for name, member in members.items():
        here, there = getattr(outer, name), getattr(inner, name)
        if member.is_signature:
            connect(m, flipped(here), there)
        else:
            target, source = (there, here) if member.flow is In else (here, there)
            m.d.comb += target.eq(source)


def _connect_handshake(m: Module, pins: Any, stream: Any, prefix: str, *, outward: bool) -> None:
    valid, ready = getattr(pins, f"{prefix}valid"), getattr(pins, f"{prefix}ready")
    if outward:
        m.d.comb += [valid.eq(stream.valid), stream.ready.eq(ready)]
    else:
        m.d.comb += [stream.valid.eq(valid), ready.eq(stream.ready)]
