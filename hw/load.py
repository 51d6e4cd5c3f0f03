"""The load engine: memory to buffers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine, LoadTarget
from arch.config import AcceleratorConfig
from arch.timing import BUFFER_WRITE_LATENCY
from hw.burst import BurstSplitter, burst_layout, connect_transfers, valid_lanes
from hw.interfaces import MemoryReader, WritePort, command_layout, command_stream

_FROM_BURST = ("buffer_address", "first_lane", "last_lane", "last")


def _record_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What the beats of a burst under way need to know."""
    burst = burst_layout(config)
    target = command_layout(Engine.LOAD)["target"].shape
    return data.StructLayout(
        {"target": target, **{name: burst[name].shape for name in _FROM_BURST}}
    )


class LoadEngine(wiring.Component):
    """Copies rows of bytes from memory into a buffer or the tables.

    The addresses of a command may run ahead of the data of those before it; data and ``done`` come
    in order. With p(n) the cycle in which command n is taken, o(k) the first cycle in which burst k
    (counted over all commands) is offered on ``memory.ar``, a(k) the cycle in which it is accepted,
    e(k) that of its last beat, and N = ``outstanding_bursts``::

        p(n) = max(cycle in which it is there, a(last burst of command n - 1) + 1)
        o(k) = max(p(n) + 2, e(k - N) + 1)      the first burst of command n
        o(k) = max(a(k - 1) + 2, e(k - N) + 1)  every other burst
        write request of a beat = cycle of the beat + 1
        done(n) = e(last burst of command n) + BUFFER_WRITE_LATENCY

    Each beat gives one write request. One made by a read requested after ``done`` is seen whole.

    Members:
        commands: Load commands whose waits are over.
        memory: The read half of the bus. ``r`` is always ready.
        activation, weight, parameter, table: Write ports of a beat at the address of any
            element.
        abort: No burst is offered any more but one that is already offered.
        quiet: Nothing is on the bus, and with ``abort`` nothing will be.
        idle: All commands taken are done.
        done: Pulse: a command is complete, a read requested in the next cycle sees its bytes.
        error: Pulse, the cycle after a beat whose response was not OKAY.
        read_beat, activation_write, weight_write, parameter_write, table_write: Events, one a
            cycle.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        buffers = {
            LoadTarget.ACTIVATION: (config.activation_address_bits, config.activation_bits),
            LoadTarget.WEIGHT: (config.weight_address_bits, config.weight_bits),
            LoadTarget.PARAMETER: (config.parameter_buffer_bytes.bit_length() - 1, 8),
            LoadTarget.TABLE: (config.table_address_bits, 8),
        }
        ports = {
            target.name.lower(): Out(
                WritePort(address_bits=bits, elements=config.bus_bits // width, width=width)
            )
            for target, (bits, width) in buffers.items()
        }
        super().__init__(
            {
                "commands": In(command_stream(Engine.LOAD)),
                "memory": Out(MemoryReader(config)),
                **ports,
                "abort": In(1),
                "quiet": Out(1),
                "idle": Out(1),
                "done": Out(1),
                "error": Out(1),
                "read_beat": Out(1),
                **{f"{target.name.lower()}_write": Out(1) for target in LoadTarget},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        layout = _record_layout(self._config)
        m.submodules.splitter = splitter = BurstSplitter(config=self._config)
        m.submodules.records = records = fifo.SyncFIFO(
            width=layout.size, depth=self._config.outstanding_bursts
        )

        # Commands to the splitter; the target waits beside it.
        target = Signal(layout["target"].shape)
        connect_transfers(m, self.commands, splitter.transfers)
        m.d.comb += splitter.hold.eq(self.abort)
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += target.eq(self.commands.payload.target)

        # A burst goes out together with its record.
        burst = splitter.bursts.payload
        entry = data.View(layout, records.w_data)
        m.d.comb += [
            self.memory.ar.valid.eq(splitter.bursts.valid & records.w_rdy),
            self.memory.ar.payload.addr.eq(burst.address),
            self.memory.ar.payload.len.eq(burst.length),
            splitter.bursts.ready.eq(self.memory.ar.ready & records.w_rdy),
            records.w_en.eq(splitter.bursts.valid & self.memory.ar.ready),
            entry.target.eq(target),
        ]
        for name in _FROM_BURST:
            m.d.comb += entry[name].eq(burst[name])

        finished = self._write_beats(m, data.View(layout, records.r_data))
        m.d.comb += [
            records.r_en.eq(self.memory.r.valid & self.memory.r.payload.last),
            self.done.eq(finished[-1]),
            self.quiet.eq(~splitter.bursts.valid & ~records.r_rdy),
            self.idle.eq(~splitter.busy & ~records.r_rdy & ~finished.any()),
        ]
        return m

    def _write_beats(self, m: Module, record: data.View) -> Signal:
        """Beats to write requests, one cycle later; gives the command's end, bit i i + 1 later."""
        beat, elements = self.memory.r, self._config.bus_bytes
        first = Signal(init=1)
        here = Signal(record.shape()["buffer_address"].shape)
        following = Signal.like(here)
        mask = valid_lanes(elements, record, first=first, last=beat.payload.last)
        m.d.comb += [
            beat.ready.eq(1),
            self.read_beat.eq(beat.valid),
            here.eq(Mux(first, record.buffer_address, following)),
        ]
        with m.If(beat.valid):
            m.d.sync += [first.eq(beat.payload.last), following.eq(here + elements)]

        # Write request: registered.
        address = Signal.like(here)
        written = Signal(8 * elements)
        written_mask = Signal(elements)
        m.d.sync += [
            address.eq(here),
            written.eq(beat.payload.data),
            written_mask.eq(mask),
            self.error.eq(beat.valid & (beat.payload.resp != 0)),
        ]
        for target in LoadTarget:
            port = getattr(self, target.name.lower())
            valid = Signal(name=f"{target.name.lower()}_valid")
            m.d.sync += valid.eq(beat.valid & (record.target == target))
            m.d.comb += [
                port.valid.eq(valid),
                port.address.eq(address),
                # Rows begin and end with whole elements.
                port.mask.eq(Cat(list(written_mask)[:: elements // len(port.mask)])),
                port.data.eq(written),
                getattr(self, f"{target.name.lower()}_write").eq(valid),
            ]

        finished = Signal(BUFFER_WRITE_LATENCY)
        ends = beat.valid & beat.payload.last & record.last
        m.d.sync += finished.eq(Cat(ends, finished[:-1]))
        return finished
