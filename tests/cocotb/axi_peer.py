"""cocotbext-axi at the accelerator's two buses: peers that know AXI from elsewhere.

They check what they receive (bursts within 4 KiB, sizes, WLAST) and fail the bench.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiRamWrite,
    AxiReadBus,
    AxiWriteBus,
)

# A warning in a bench is a defect. cocotbext-axi 0.1.28 still says things as cocotb 1 did; cocotb
# 2.1 does them, and warns.
warnings.simplefilter("error")
for _message in (
    r"Use `handle\.set\(Immediate\(\.\.\.\)\)`",
    r"Use `signal\.value_change` instead\.",
    r"`task\.kill\(\)` is deprecated",
    r"The data field will be removed",
):
    warnings.filterwarnings(
        "ignore", message=_message, category=DeprecationWarning, module=r"cocotbext\.axi\."
    )

# One line for every burst buries what a failing bench says.
logging.getLogger("cocotb.dut").setLevel(logging.ERROR)

Stalls = Callable[[], Iterator[bool]]
"""Makes a pattern of stalls, one for each channel."""


class BadAddressError(Exception):
    """How a memory tells cocotbext-axi to answer SLVERR."""


class _Faults:
    """Addresses that answer SLVERR."""

    def __init__(self) -> None:
        self.bad = range(0)

    def check(self, address: int, length: int) -> None:
        if address < self.bad.stop and self.bad.start < address + length:
            raise BadAddressError


class _ReadSide(AxiRamRead):
    faults: _Faults

    async def _read(self, address: int, length: int) -> bytes:
        self.faults.check(address % self.size, length)
        return bytes(await super()._read(address, length))


class _WriteSide(AxiRamWrite):
    faults: _Faults

    async def _write(self, address: int, data: bytes) -> None:
        self.faults.check(address % self.size, len(data))
        await super()._write(address, data)


class Memory:
    """cocotbext-axi's RAM behind the pins m_axi_* that ``dut`` has, with stalls on every channel.

    ``content`` is the memory itself; addresses are taken modulo its size. Accesses that touch
    ``bad`` addresses answer SLVERR, and write nothing.
    """

    def __init__(self, dut: Any, content: bytearray, stalls: Stalls) -> None:
        self.content = content
        self._faults = _Faults()
        pins, channels = _clock_and_reset(dut), []
        if hasattr(dut, "m_axi_arvalid"):
            read = _ReadSide(AxiReadBus.from_prefix(dut, "m_axi"), *pins, mem=content)
            read.faults = self._faults
            channels += [read.ar_channel, read.r_channel]
        if hasattr(dut, "m_axi_awvalid"):
            write = _WriteSide(AxiWriteBus.from_prefix(dut, "m_axi"), *pins, mem=content)
            write.faults = self._faults
            channels += [write.aw_channel, write.w_channel, write.b_channel]
        for channel in channels:
            channel.set_pause_generator(stalls())

    @property
    def bad(self) -> range:
        """The addresses that answer SLVERR."""
        return self._faults.bad

    @bad.setter
    def bad(self, addresses: range) -> None:
        self._faults.bad = addresses


class RegisterMaster:
    """cocotbext-axi's AXI4-Lite master at the pins s_axi_* of ``dut``, with stalls likewise."""

    def __init__(self, dut: Any, stalls: Stalls) -> None:
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *_clock_and_reset(dut))
        write, read = self.bus.write_if, self.bus.read_if
        for channel in (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel),
        ):
            channel.set_pause_generator(stalls())


def _clock_and_reset(dut: Any) -> tuple[Any, Any, bool]:
    """Clock, reset, and the level at which the reset acts."""
    if hasattr(dut, "aclk"):
        return dut.aclk, dut.aresetn, False
    return dut.clk, dut.rst, True


class ChannelMonitor:
    """Watches one AXI channel and drives nothing.

    ``transfers`` are the fields of what was transferred so far, in the order of ``names``;
    ``listeners`` are called with each. An offer that changes or ends before it was taken fails the
    bench.
    """

    def __init__(self, dut: Any, channel: str, names: tuple[str, ...]) -> None:
        self.transfers: list[tuple[int, ...]] = []
        self.listeners: list[Callable[[tuple[int, ...]], None]] = []
        self._channel = channel
        self._clock, self._reset, self._active = _clock_and_reset(dut)
        self._valid = getattr(dut, f"{channel}valid")
        self._ready = getattr(dut, f"{channel}ready")
        self._pins = [getattr(dut, f"{channel}{name}") for name in names]
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        waiting = None
        while True:
            await RisingEdge(self._clock)
            if bool(self._reset.value) == self._active:
                waiting = None
                continue
            valid = bool(self._valid.value)
            offer = tuple(int(pin.value) for pin in self._pins) if valid else None
            assert waiting in (None, offer), (
                f"{self._channel}: {waiting} was offered, not taken, and became {offer}"
            )
            waiting = offer
            if offer is not None and self._ready.value:
                self.transfers.append(offer)
                waiting = None
                for listener in self.listeners:
                    listener(offer)
