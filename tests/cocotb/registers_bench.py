"""The registers behind cocotbext-axi's AXI4-Lite master with stalls on all five channels."""

import random
from typing import Any

from cocotb.triggers import RisingEdge, gather

from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.registers import (
    ADDRESS_BITS,
    CONTROL_ABORT,
    CONTROL_CLEAR,
    CONTROL_START,
    IDENTITY,
    INTERFACE_VERSION,
    REGISTER_ADDRESS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR_SHIFT,
    STATUS_INTERRUPT,
    Status,
)
from hw.counters import counters_layout
from tests.cocotb.axi_peer import ChannelMonitor, RegisterMaster
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, packed
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random, random_stalls, start_clock

ACCESSES, BATCH = 150, 10
OKAY, SLVERR = 0, 2
STROBES = {"start": CONTROL_START, "abort": CONTROL_ABORT, "clear_interrupt": CONTROL_CLEAR}
KEPT = {"interrupt_enable": 1, "program_address": 0xFFFF_FFC0, "program_commands": 0xFF_FFFF}
NAMES = {address: name for name, address in REGISTER_ADDRESS.items()}


class RegisterModel:
    """What reads give, and which strobes there are, after the writes heard on the bus."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.kept = dict.fromkeys(KEPT, 0)
        self.strobes = dict.fromkeys(STROBES, 0)
        self._fixed = {
            "identity": IDENTITY,
            "version": INTERFACE_VERSION,
            "fingerprint": config.fingerprint,
            "control": 0,
        }
        self._addresses: list[int] = []
        self._data: list[tuple[int, ...]] = []

    def hear_address(self, transfer: tuple[int, ...]) -> None:
        self._addresses.append(transfer[0])
        self._apply()

    def hear_data(self, transfer: tuple[int, ...]) -> None:
        self._data.append(transfer)
        self._apply()

    def _apply(self) -> None:
        if not (self._addresses and self._data):
            return
        name, (data, strobe) = NAMES.get(self._addresses.pop(0) & ~3, ""), self._data.pop(0)
        lanes = sum(0xFF << 8 * lane for lane in range(4) if strobe >> lane & 1)
        if name in KEPT:
            self.kept[name] = (self.kept[name] & ~lanes | data & lanes) & KEPT[name]
        if name == "control":
            for strobed, bit in STROBES.items():
                self.strobes[strobed] += bool(data & lanes & bit)

    def read(self, address: int, inputs: dict[str, int]) -> tuple[int, int]:
        """Value and response of a read while the machine shows ``inputs``."""
        name = NAMES.get(address & ~3)
        if name is None:
            return 0, SLVERR
        values = self._fixed | self.kept | inputs
        values["status"] = (
            STATUS_BUSY * inputs["busy"]
            | STATUS_DONE * inputs["done"]
            | STATUS_INTERRUPT * inputs["interrupt_pending"]
            | inputs["error"] << STATUS_ERROR_SHIFT
        )
        return values[name], OKAY


def random_address(rng: random.Random) -> int:
    """Mostly of a register, with any low bits."""
    if rng.random() < 0.2:
        return rng.getrandbits(ADDRESS_BITS)
    writable = [REGISTER_ADDRESS[name] for name in (*KEPT, "control")]
    return int(rng.choice((rng.choice(writable), rng.choice(list(NAMES))))) + rng.randrange(4)


def show(dut: Any, rng: random.Random) -> dict[str, int]:
    """Drive random inputs from the machine."""
    inputs = {name: rng.getrandbits(1) for name in ("busy", "done", "interrupt_pending")}
    inputs["error"] = int(rng.choice(list(Status)))
    inputs["error_command"] = rng.getrandbits(32)
    for name, value in inputs.items():
        getattr(dut, name).value = value
    counters = {name: rng.getrandbits(32) for name in COUNTER_NAMES}
    dut.counters.value = packed(counters_layout, counters)
    return inputs | counters


class Bench:
    """Master, monitors and model around the registers."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.model = RegisterModel(CONFIGS[bench_parameters()["config"]])
        self.strobes = dict.fromkeys(STROBES, 0)
        ChannelMonitor(dut, "s_axi_aw", ("addr",)).listeners.append(self.model.hear_address)
        ChannelMonitor(dut, "s_axi_w", ("data", "strb")).listeners.append(self.model.hear_data)
        ChannelMonitor(dut, "s_axi_b", ("resp",))
        ChannelMonitor(dut, "s_axi_r", ("data", "resp"))
        PinMonitor(dut, STROBES).listeners.append(self.count)
        self.bus = RegisterMaster(dut, lambda: random_stalls(self.rng)).bus

    def count(self, pins: Pins) -> None:
        for name in STROBES:
            self.strobes[name] += pins[name]

    async def write(self, address: int) -> None:
        """Any bytes of a word, from ``address`` on."""
        data = self.rng.randbytes(self.rng.randint(1, 4 - address % 4))
        result = await self.bus.write(address, data)
        assert result.resp == (OKAY if address & ~3 in NAMES else SLVERR)

    async def read(self, address: int, inputs: dict[str, int]) -> None:
        result = await self.bus.read(address & ~3, 4)
        found = int.from_bytes(result.data, "little"), int(result.resp)
        assert found == self.model.read(address, inputs), f"register at {address:#x}"


@bounded_test
async def reads_give_what_was_written(dut: Any) -> None:
    bench = Bench(dut)
    inputs = show(dut, bench.rng)
    await start_clock(dut)
    for _ in range(ACCESSES):
        if bench.rng.random() < 0.2:
            inputs = show(dut, bench.rng)
        if bench.rng.random() < 0.5:
            await bench.write(random_address(bench.rng))
        else:
            await bench.read(random_address(bench.rng), inputs)
    await RisingEdge(dut.clk)
    assert bench.strobes == bench.model.strobes
    for name, value in bench.model.kept.items():
        await bench.read(REGISTER_ADDRESS[name], inputs)
        assert int(getattr(dut, name).value) == value


@bounded_test
async def reads_and_writes_side_by_side(dut: Any) -> None:
    bench = Bench(dut)
    inputs = show(dut, bench.rng)
    await start_clock(dut)

    unaffected = [
        address for address in range(1 << ADDRESS_BITS) if NAMES.get(address & ~3) not in KEPT
    ]
    # Several at once: the next address is there before an answer is taken.
    for _ in range(ACCESSES // BATCH):
        accesses = [bench.write(random_address(bench.rng)) for _ in range(BATCH)]
        accesses += [bench.read(bench.rng.choice(unaffected), inputs) for _ in range(BATCH)]
        await gather(*accesses)
    await RisingEdge(dut.clk)
    assert bench.strobes == bench.model.strobes
