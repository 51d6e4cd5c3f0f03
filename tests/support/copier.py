"""A stand-in with the accelerator's pins, small enough to predict by hand: it copies memory."""

from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Array, ClockDomain, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Member, Out

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.registers import (
    ADDRESS_BITS,
    CONTROL_CLEAR,
    CONTROL_START,
    IDENTITY,
    INTERFACE_VERSION,
    REGISTERS,
    Status,
)

AHEAD = 4
"""Blocks that may be read before they are written."""

_ADDRESS = {"id": 1, "addr": 32, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3}


def _pins(bus_bits: int) -> dict[str, Member]:
    strobes = bus_bits // 8
    channels = {
        ("m_axi_aw", Out): _ADDRESS,
        ("m_axi_w", Out): {"data": bus_bits, "strb": strobes, "last": 1},
        ("m_axi_b", In): {"id": 1, "resp": 2},
        ("m_axi_ar", Out): _ADDRESS,
        ("m_axi_r", In): {"id": 1, "data": bus_bits, "resp": 2, "last": 1},
        ("s_axi_aw", In): {"addr": ADDRESS_BITS, "prot": 3},
        ("s_axi_w", In): {"data": 32, "strb": 4},
        ("s_axi_b", Out): {"resp": 2},
        ("s_axi_ar", In): {"addr": ADDRESS_BITS, "prot": 3},
        ("s_axi_r", Out): {"data": 32, "resp": 2},
    }
    pins = {"aclk": In(1), "aresetn": In(1), "interrupt": Out(1)}
    for (channel, flow), fields in channels.items():
        pins[f"{channel}valid"] = flow(1)
        pins[f"{channel}ready"] = In(1) if flow is Out else Out(1)
        pins.update({f"{channel}{field}": flow(width) for field, width in fields.items()})
    return pins


def copier_verilog(config: AcceleratorConfig) -> str:
    """The Verilog of a ``Copier``; its top module is named as the accelerator's."""
    return str(verilog.convert(Copier(config=config), name=config.module_name, emit_src=False))


class Copier(Component):
    """Copies `program_commands` blocks of 64 bytes from `program_address` to just behind them.

    Block k is one burst each way, read with id k mod 2. AR 0 is offered in the first busy cycle,
    the others one a cycle, while at most AHEAD blocks are read and not written. AW is offered 2
    cycles after the block's last beat came in and the previous block's last beat went out, the
    first W beat 1 cycle after AW was taken. The last busy cycle is the one after the last response.

    Bus errors end in an error status, and stop nothing; `error_command` is the last response that
    was not OKAY. Bits 8 and up of `interrupt_enable` are write strobes to leave out.

    Args:
        config: gives the width of the memory bus and the fingerprint.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(_pins(config.bus_bits))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth passes it
        m = Module()
        sync = ClockDomain(reset_less=False)
        m.domains.sync = sync
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]

        values = {register.name: Signal(32, name=register.name) for register in REGISTERS}
        busy, done, pending, error = Signal(), Signal(), Signal(), Signal(8)
        start = self._write_registers(m, values, pending)
        self._read_registers(m, values)
        m.d.comb += [
            values["identity"].eq(IDENTITY),
            values["version"].eq(INTERFACE_VERSION),
            values["fingerprint"].eq(self.config.fingerprint),
            values["status"].eq(busy | done << 1 | pending << 2 | error << 8),
            self.interrupt.eq(pending & values["interrupt_enable"][0]),
        ]

        responses = self._copy(m, values, busy)
        with m.If(busy):
            m.d.sync += values["cycles"].eq(values["cycles"] + 1)
        for channel, counter in (("r", "memory_read_beats"), ("w", "memory_write_beats")):
            taken = getattr(self, f"m_axi_{channel}valid") & getattr(self, f"m_axi_{channel}ready")
            with m.If(taken):
                m.d.sync += values[counter].eq(values[counter] + 1)
        for channel, status in (("r", Status.READ_ERROR), ("b", Status.WRITE_ERROR)):
            response = getattr(self, f"m_axi_{channel}resp")
            with m.If(getattr(self, f"m_axi_{channel}valid") & (response != 0)):
                m.d.sync += [error.eq(status), values["error_command"].eq(response)]
        with m.If(busy & (responses == values["program_commands"])):
            m.d.sync += [busy.eq(0), done.eq(1), pending.eq(1)]
        with m.If(start & ~busy):
            m.d.sync += [busy.eq(1), done.eq(0), error.eq(0)]
            m.d.sync += [values[name].eq(0) for name in ("cycles", "memory_read_beats")]
            m.d.sync += values["memory_write_beats"].eq(0)
        return m

    def _write_registers(self, m: Module, values: dict[str, Signal], pending: Signal) -> Signal:
        take = self.s_axi_awvalid & self.s_axi_wvalid & ~self.s_axi_bvalid
        m.d.comb += [self.s_axi_awready.eq(take), self.s_axi_wready.eq(take)]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        start = Signal()
        with m.If(take):
            m.d.sync += self.s_axi_bvalid.eq(1)
            for register in REGISTERS:
                with m.If(self.s_axi_awaddr == register.address):
                    if register.access == "rw":
                        m.d.sync += values[register.name].eq(self.s_axi_wdata)
                    elif register.name == "control":
                        m.d.comb += start.eq(self.s_axi_wdata & CONTROL_START != 0)
                        with m.If(self.s_axi_wdata & CONTROL_CLEAR != 0):
                            m.d.sync += pending.eq(0)
        return start

    def _read_registers(self, m: Module, values: dict[str, Signal]) -> None:
        m.d.comb += self.s_axi_arready.eq(~self.s_axi_rvalid)
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rdata.eq(0), self.s_axi_rresp.eq(2)]
            for register in REGISTERS:
                with m.If(self.s_axi_araddr == register.address):
                    m.d.sync += [
                        self.s_axi_rdata.eq(values[register.name]),
                        self.s_axi_rresp.eq(0),
                    ]

    def _copy(self, m: Module, values: dict[str, Signal], busy: Signal) -> Signal:
        """Both halves of the copying; returns the count of responses."""
        beats = COMMAND_BYTES // self.config.bus_bytes
        base, blocks = values["program_address"], values["program_commands"]
        read, written, responses = Signal(24), Signal(24), Signal(24)
        with m.If(~busy):
            m.d.sync += [read.eq(0), written.eq(0), responses.eq(0)]
        for channel in ("aw", "ar"):
            m.d.comb += [
                getattr(self, f"m_axi_{channel}len").eq(beats - 1),
                getattr(self, f"m_axi_{channel}size").eq(self.config.bus_bytes.bit_length() - 1),
                getattr(self, f"m_axi_{channel}burst").eq(1),
            ]
        m.d.comb += [
            self.m_axi_arvalid.eq(busy & (read != blocks) & (read - written != AHEAD)),
            self.m_axi_araddr.eq(base + (read << 6)),
            self.m_axi_arid.eq(read[0]),
            self.m_axi_rready.eq(1),
            self.m_axi_bready.eq(1),
        ]
        with m.If(self.m_axi_arvalid & self.m_axi_arready):
            m.d.sync += read.eq(read + 1)
        with m.If(self.m_axi_bvalid):
            m.d.sync += responses.eq(responses + 1)
        self._write_blocks(m, base + ((blocks + written) << 6), written, beats)
        m.d.comb += self.m_axi_wstrb.eq(~(values["interrupt_enable"] >> 8))
        return responses

    def _write_blocks(self, m: Module, address: Any, written: Signal, beats: int) -> None:
        fifos = [
            SyncFIFOBuffered(width=self.config.bus_bits, depth=AHEAD * beats + 2) for _ in range(2)
        ]
        ready, pop, beat = Array([Signal(name=f"ready{i}") for i in range(2)]), Signal(), Signal(8)
        for number, fifo in enumerate(fifos):
            m.submodules[f"fifo{number}"] = fifo
            complete = Signal(24, name=f"complete{number}")
            mine = self.m_axi_rvalid & (self.m_axi_rid == number)
            m.d.comb += [
                fifo.w_data.eq(self.m_axi_rdata),
                fifo.w_en.eq(mine),
                fifo.r_en.eq(pop & (written[0] == number)),
                ready[number].eq(complete != 0),
            ]
            came = mine & self.m_axi_rlast
            went = pop & self.m_axi_wlast & (written[0] == number)
            m.d.sync += complete.eq(complete + came - went)
        m.d.comb += [
            self.m_axi_awaddr.eq(address),
            self.m_axi_wdata.eq(Mux(written[0], fifos[1].r_data, fifos[0].r_data)),
            self.m_axi_wlast.eq(beat == beats - 1),
        ]
        with m.FSM():
            with m.State("WAIT"), m.If(ready[written[0]]):
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += self.m_axi_awvalid.eq(1)
                with m.If(self.m_axi_awready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [self.m_axi_wvalid.eq(1), pop.eq(self.m_axi_wready)]
                with m.If(pop):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(self.m_axi_wlast):
                        m.d.sync += [beat.eq(0), written.eq(written + 1)]
                        m.next = "WAIT"
