"""Signatures that components share: AXI, buffer ports, command payloads, completion counts."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import COUNT_BITS, COUNTS, FORMATS, Engine
from arch.config import AcceleratorConfig

AXI_ADDRESS_BITS = 32
AXI_ID_BITS = 1


def command_layout(engine: Engine) -> data.StructLayout:
    """The fields of ``engine``'s command as a structure over its low bits."""
    return data.StructLayout(
        {
            field.name: signed(field.bits) if field.signed else unsigned(field.bits)
            for field in FORMATS[engine].fields
        }
    )


def command_stream(engine: Engine) -> stream.Signature:
    """A stream of ``engine``'s commands."""
    return stream.Signature(command_layout(engine))


dispatched_layout = data.StructLayout({engine.name.lower(): COUNT_BITS for engine in Engine})
"""How many commands have been dispatched to each engine, modulo 2^16."""

counts_layout = data.StructLayout(dict.fromkeys(COUNTS, COUNT_BITS))
"""What commands wait for, modulo 2^16."""


class ReadPort(wiring.Signature):
    """A vector read of ``elements`` elements of ``width`` bits, as its user drives it.

    ``address`` counts bytes and may be that of any element. ``data`` follows a request (``valid``)
    by BUFFER_READ_LATENCY cycles. Elements whose ``mask`` bit is clear are not read, and their data
    is arbitrary.
    """

    def __init__(self, *, address_bits: int, elements: int, width: int = 8) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(address_bits),
                "mask": Out(elements),
                "data": In(width * elements),
            }
        )


class WritePort(wiring.Signature):
    """A vector write of ``elements`` elements of ``width`` bits, as its user drives it.

    ``address`` counts bytes and may be that of any element. Elements whose ``mask`` bit is clear
    stay as they are. A read request sees the others from BUFFER_WRITE_LATENCY cycles later on.
    """

    def __init__(self, *, address_bits: int, elements: int, width: int = 8) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(address_bits),
                "mask": Out(elements),
                "data": Out(width * elements),
            }
        )


def activation_port(config: AcceleratorConfig, elements: int) -> ReadPort:
    """A read port of the activation buffer."""
    return ReadPort(
        address_bits=config.activation_address_bits,
        elements=elements,
        width=config.activation_bits,
    )


def activation_write_port(config: AcceleratorConfig, elements: int) -> WritePort:
    """A write port of the activation buffer."""
    return WritePort(
        address_bits=config.activation_address_bits,
        elements=elements,
        width=config.activation_bits,
    )


def weight_port(config: AcceleratorConfig) -> ReadPort:
    """The read port of the weight buffer: a row of the array."""
    return ReadPort(
        address_bits=config.weight_address_bits, elements=config.cols, width=config.weight_bits
    )


def address_channel() -> data.StructLayout:
    """Payload of AXI4 AR and AW, without the fields that never change."""
    return data.StructLayout({"id": AXI_ID_BITS, "addr": AXI_ADDRESS_BITS, "len": 8})


def read_channel(config: AcceleratorConfig) -> data.StructLayout:
    """Payload of AXI4 R."""
    return data.StructLayout({"id": AXI_ID_BITS, "data": config.bus_bits, "resp": 2, "last": 1})


def write_channel(config: AcceleratorConfig) -> data.StructLayout:
    """Payload of AXI4 W."""
    return data.StructLayout({"data": config.bus_bits, "strb": config.bus_bytes, "last": 1})


def response_channel() -> data.StructLayout:
    """Payload of AXI4 B."""
    return data.StructLayout({"id": AXI_ID_BITS, "resp": 2})


class MemoryReader(wiring.Signature):
    """A master's read half of the memory bus."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "ar": Out(stream.Signature(address_channel())),
                "r": In(stream.Signature(read_channel(config))),
            }
        )


class MemoryWriter(wiring.Signature):
    """A master's write half of the memory bus."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "aw": Out(stream.Signature(address_channel())),
                "w": Out(stream.Signature(write_channel(config))),
                "b": In(stream.Signature(response_channel())),
            }
        )
