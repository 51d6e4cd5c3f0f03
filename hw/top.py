"""The whole accelerator: engines, buffers, control, and its two AXI interfaces."""

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.registers import ADDRESS_BITS
from hw.buffer import BankedBuffer
from hw.control import RunControl
from hw.counters import CAUSES, CounterBank, CycleSorter
from hw.decode import CommandDecoder
from hw.execute import ExecuteEngine
from hw.fetch import CommandFetch
from hw.interfaces import AXI_ADDRESS_BITS, AXI_ID_BITS
from hw.load import LoadEngine
from hw.post import PostEngine
from hw.queue import EngineQueue
from hw.read_arbiter import ReadArbiter
from hw.registers import ControlRegisters
from hw.store import StoreEngine

_INCREMENTING = 1
_NORMAL_BUFFERABLE = 3
"""AxCACHE of ordinary memory."""


def _memory_ports(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """AXI4 master, named as vendor tools infer it."""
    ports: dict[str, wiring.Member] = {}
    for channel in ("aw", "ar"):
        fields = {
            "id": AXI_ID_BITS,
            "addr": AXI_ADDRESS_BITS,
            "len": 8,
            "size": 3,
            "burst": 2,
            "cache": 4,
            "prot": 3,
            "valid": 1,
        }
        ports |= {f"m_axi_{channel}{name}": Out(bits) for name, bits in fields.items()}
        ports[f"m_axi_{channel}ready"] = In(1)
    return ports | {
        "m_axi_wdata": Out(config.bus_bits),
        "m_axi_wstrb": Out(config.bus_bytes),
        "m_axi_wlast": Out(1),
        "m_axi_wvalid": Out(1),
        "m_axi_wready": In(1),
        "m_axi_bid": In(AXI_ID_BITS),
        "m_axi_bresp": In(2),
        "m_axi_bvalid": In(1),
        "m_axi_bready": Out(1),
        "m_axi_rid": In(AXI_ID_BITS),
        "m_axi_rdata": In(config.bus_bits),
        "m_axi_rresp": In(2),
        "m_axi_rlast": In(1),
        "m_axi_rvalid": In(1),
        "m_axi_rready": Out(1),
    }


def _register_ports() -> dict[str, wiring.Member]:
    """AXI4-Lite slave."""
    ports: dict[str, wiring.Member] = {}
    for channel in ("aw", "ar"):
        ports |= {
            f"s_axi_{channel}addr": In(ADDRESS_BITS),
            f"s_axi_{channel}prot": In(3),
            f"s_axi_{channel}valid": In(1),
            f"s_axi_{channel}ready": Out(1),
        }
    return ports | {
        "s_axi_wdata": In(32),
        "s_axi_wstrb": In(4),
        "s_axi_wvalid": In(1),
        "s_axi_wready": Out(1),
        "s_axi_bresp": Out(2),
        "s_axi_bvalid": Out(1),
        "s_axi_bready": In(1),
        "s_axi_rdata": Out(32),
        "s_axi_rresp": Out(2),
        "s_axi_rvalid": Out(1),
        "s_axi_rready": In(1),
    }


class Accelerator(wiring.Component):
    """The top of the hierarchy.

    Members:
        aclk, aresetn: clock; synchronous reset, active low, one cycle later inside.
        m_axi_*: AXI4 master to memory: incrementing bursts of the whole bus width, read ids 0
            (commands) and 1 (data), write id 0.
        s_axi_*: AXI4-Lite slave; see arch/registers.py.
        interrupt: level, high from the end of a run until cleared, if enabled.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **_memory_ports(config),
                **_register_ports(),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal().eq(self.aclk)
        # Registers: thousands hang on them, all over the chip.
        self._reset, self._clear = Signal(init=1), Signal(init=1)
        self._control(m)
        self._engines(m)
        self._buffers(m)
        self._completion(m)
        self._counters(m)
        self._connect_memory(m)
        self._connect_registers(m)
        return m

    def _control(self, m: Module) -> None:
        """Registers, run control, and the way of commands to the queues."""
        config = self.config
        self._registers, self._run = ControlRegisters(config=config), RunControl()
        run, reset, clear = self._run, ResetInserter(self._reset), ResetInserter(self._clear)
        m.submodules.registers, m.submodules.control = reset(self._registers), reset(run)
        m.d.sync += [self._reset.eq(~self.aresetn), self._clear.eq(~self.aresetn | run.clear)]
        self._fetch = fetch = CommandFetch(config=config)
        self._decoder = decoder = CommandDecoder(config=config)
        m.submodules.fetch, m.submodules.decoder = clear(fetch), clear(decoder)
        self._queues = {}
        for engine in Engine:
            name = engine.name.lower()
            queue = EngineQueue(engine=engine, depth=config.command_queue_depth)
            m.submodules[f"{name}_queue"] = clear(queue)
            wiring.connect(m, getattr(decoder, name), queue.i)
            m.d.comb += queue.next_counts.eq(run.next_counts)
            self._queues[engine] = queue
        wiring.connect(m, fetch.commands, decoder.commands)
        m.d.comb += [
            fetch.start.eq(run.restart),
            fetch.program_address.eq(self._registers.program_address),
            fetch.program_commands.eq(self._registers.program_commands),
            decoder.dispatched.eq(run.dispatched),
            run.dispatch.eq(decoder.dispatch),
            run.fetched.eq(fetch.done),
        ]

    def _engines(self, m: Module) -> None:
        config = self.config
        clear = ResetInserter(self._clear)
        self._load, self._store = LoadEngine(config=config), StoreEngine(config=config)
        self._execute, self._post = ExecuteEngine(config=config), PostEngine(config=config)
        for engine, unit in (
            (Engine.LOAD, self._load),
            (Engine.EXECUTE, self._execute),
            (Engine.POST, self._post),
            (Engine.STORE, self._store),
        ):
            m.submodules[engine.name.lower()] = clear(unit)
            wiring.connect(m, self._queues[engine].o, unit.commands)
            m.d.comb += self._run.counted[engine.name.lower()].eq(unit.done)
        for unit in (self._fetch, self._decoder, self._load, self._store):
            m.d.comb += unit.abort.eq(self._run.abort)
        m.d.comb += [
            self._run.counted.drain.eq(self._post.drained),
            self._run.settling.eq(self._execute.settling),
        ]
        wiring.connect(m, self._post.drain, self._execute.drain)

    def _buffers(self, m: Module) -> None:
        config = self.config
        clear = ResetInserter(self._clear)
        bus = config.bus_bytes
        beat = bus // config.activation_bytes
        self._activation = activation = BankedBuffer(
            width=config.activation_bits,
            lanes=config.activation_lanes,
            words=config.activation_words,
            banks=config.activation_banks,
            readers=(config.rows, config.cols, config.requantiser_lanes, beat),
            writers=(beat, config.requantiser_lanes),
        )
        weight = BankedBuffer(
            width=config.weight_bits,
            lanes=config.weight_lanes,
            words=config.weight_words,
            banks=1,
            readers=(config.cols,),
            writers=(bus // config.weight_bytes,),
        )
        parameter = BankedBuffer(
            lanes=bus, words=config.parameter_words, banks=1, readers=(bus,), writers=(bus,)
        )
        m.submodules.activation_buffer = clear(activation)
        m.submodules.weight_buffer = clear(weight)
        m.submodules.parameter_buffer = clear(parameter)
        wiring.connect(m, self._execute.activation, activation.read0)
        wiring.connect(m, self._post.activation, activation.read1)
        wiring.connect(m, self._post.operand, activation.read2)
        wiring.connect(m, self._store.activation, activation.read3)
        wiring.connect(m, self._load.activation, activation.write0)
        wiring.connect(m, self._post.write, activation.write1)
        wiring.connect(m, self._execute.weight, weight.read0)
        wiring.connect(m, self._load.weight, weight.write0)
        wiring.connect(m, self._post.parameter, parameter.read0)
        wiring.connect(m, self._load.parameter, parameter.write0)
        wiring.connect(m, self._load.table, self._post.tables)

    def _completion(self, m: Module) -> None:
        """How a run can end."""
        run, fetch, load, store = self._run, self._fetch, self._load, self._store
        m.d.comb += [
            run.start.eq(self._registers.start),
            run.abort_request.eq(self._registers.abort),
            run.clear_interrupt.eq(self._registers.clear_interrupt),
            run.interrupt_enable.eq(self._registers.interrupt_enable),
            run.illegal_command.eq(self._decoder.illegal),
            run.read_error.eq(fetch.read_error | load.error),
            run.write_error.eq(store.error),
            run.bank_conflict.eq(self._activation.conflict | self._execute.conflict),
            run.quiet.eq(fetch.quiet & load.quiet & store.quiet),
            self.interrupt.eq(run.interrupt),
        ]

    def _counters(self, m: Module) -> None:
        execute, post, load, store = self._execute, self._post, self._load, self._store
        sorter, counters = CycleSorter(), CounterBank()
        reset = ResetInserter(self._reset)
        m.submodules.sorter, m.submodules.counters = reset(sorter), reset(counters)
        m.d.comb += [
            sorter.array_busy.eq(execute.vector_issued),
            sorter.stepping.eq(execute.stepping),
            sorter.taking.eq(execute.taking),
            sorter.waits_for.eq(self._queues[Engine.EXECUTE].waits_for),
            counters.restart.eq(self._run.restart),
            counters.enable.eq(self._run.busy),
            self._registers.counters.eq(counters.values),
            self._registers.error_command.eq(counters.values.commands),
        ]
        events = {name: sorter.cause[name] for name in CAUSES} | {
            "post_busy": post.position,
            "activation_read_execute": execute.activation_read,
            "activation_read_post": post.activation.valid,
            "activation_read_operand": post.operand.valid,
            "activation_read_store": store.activation_read,
            "activation_write_load": load.activation_write,
            "activation_write_post": post.write.valid,
            "weight_read": execute.weight_read,
            "weight_write": load.weight_write,
            "accumulator_read": execute.accumulator_read,
            "accumulator_write": execute.accumulator_write,
            "accumulator_drain": post.drain.valid,
            "parameter_read": post.parameter.valid,
            "parameter_write": load.parameter_write,
            "table_read": post.table_read,
            "table_write": load.table_write,
            "memory_read_beats": self.m_axi_rvalid & self.m_axi_rready,
            "memory_write_beats": store.write_beat,
            "commands": self._decoder.dispatch.as_value().any(),
        }
        for name, event in events.items():
            m.d.comb += counters.events[name].eq(event)

    def _connect_memory(self, m: Module) -> None:
        arbiter = ReadArbiter(config=self.config)
        m.submodules.read_arbiter = ResetInserter(self._reset)(arbiter)
        wiring.connect(m, self._fetch.memory, arbiter.fetch)
        wiring.connect(m, self._load.memory, arbiter.load)
        read, write = arbiter.bus, self._store.memory
        size = self.config.bus_bytes.bit_length() - 1
        for name, channel in (("ar", read.ar), ("aw", write.aw)):
            ready = getattr(self, f"m_axi_{name}ready")
            values = {
                "id": channel.payload.id,
                "addr": channel.payload.addr,
                "len": channel.payload.len,
                "size": size,
                "burst": _INCREMENTING,
                "cache": _NORMAL_BUFFERABLE,
                "prot": 0,
                "valid": channel.valid,
            }
            m.d.comb += channel.ready.eq(ready)
            m.d.comb += [
                getattr(self, f"m_axi_{name}{field}").eq(value) for field, value in values.items()
            ]
        m.d.comb += [
            self.m_axi_wdata.eq(write.w.payload.data),
            self.m_axi_wstrb.eq(write.w.payload.strb),
            self.m_axi_wlast.eq(write.w.payload.last),
            self.m_axi_wvalid.eq(write.w.valid),
            write.w.ready.eq(self.m_axi_wready),
            write.b.payload.id.eq(self.m_axi_bid),
            write.b.payload.resp.eq(self.m_axi_bresp),
            write.b.valid.eq(self.m_axi_bvalid),
            self.m_axi_bready.eq(write.b.ready),
            read.r.payload.id.eq(self.m_axi_rid),
            read.r.payload.data.eq(self.m_axi_rdata),
            read.r.payload.resp.eq(self.m_axi_rresp),
            read.r.payload.last.eq(self.m_axi_rlast),
            read.r.valid.eq(self.m_axi_rvalid),
            self.m_axi_rready.eq(read.r.ready),
        ]

    def _connect_registers(self, m: Module) -> None:
        registers, run = self._registers, self._run
        m.d.comb += [
            registers.busy.eq(run.busy),
            registers.done.eq(run.done),
            registers.interrupt_pending.eq(run.interrupt_pending),
            registers.error.eq(run.error),
            registers.w.payload.data.eq(self.s_axi_wdata),
            registers.w.payload.strb.eq(self.s_axi_wstrb),
            registers.w.valid.eq(self.s_axi_wvalid),
            self.s_axi_wready.eq(registers.w.ready & ~self._reset),
            self.s_axi_bresp.eq(registers.b.payload),
            self.s_axi_bvalid.eq(registers.b.valid),
            registers.b.ready.eq(self.s_axi_bready),
            self.s_axi_rdata.eq(registers.r.payload.data),
            self.s_axi_rresp.eq(registers.r.payload.resp),
            self.s_axi_rvalid.eq(registers.r.valid),
            registers.r.ready.eq(self.s_axi_rready),
        ]
        for name, channel in (("aw", registers.aw), ("ar", registers.ar)):
            m.d.comb += [
                channel.payload.eq(getattr(self, f"s_axi_{name}addr")),
                channel.valid.eq(getattr(self, f"s_axi_{name}valid")),
                getattr(self, f"s_axi_{name}ready").eq(channel.ready & ~self._reset),
            ]
