"""The store engine: activation buffer to memory."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.timing import BUFFER_READ_LATENCY, WRITE_FIFO_DEPTH
from hw.burst import BurstSplitter, burst_layout, connect_transfers, valid_lanes
from hw.interfaces import MemoryWriter, activation_port, command_stream, write_channel


class StoreEngine(wiring.Component):
    """Copies rows of bytes from the activation buffer to memory.

    The beats of a burst are read one after the other, those of the next straight after them. With
    p(n) the cycle in which command n is taken, a(k) the cycle in which burst k (counted over all
    commands) is begun, c(k) the cycle in which its address is accepted on ``memory.aw``, q(j) that
    of the read request of beat j (counted over all bursts), w(j) that in which the beat is accepted
    on ``memory.w``, b(k) that of the response on ``memory.b``, and N = ``outstanding_bursts``::

        p(n) = max(cycle in which it is there, a(last burst of command n - 1) + 1)
        a(k) = max(s(k), q(last beat of burst k - 1), c(k - 1), b(k - N) + 1)
        s(k) = p(n) + 2 for the first burst of command n, a(k - 1) + 2 for every other
        burst k is offered on memory.aw from a(k) + 1 on
        q(j) = max(q(j - 1) + 1, a(its burst) + 1, w(j - WRITE_FIFO_DEPTH) + 1)
        beat j is offered on memory.w from max(q(j) + BUFFER_READ_LATENCY + 1, w(j - 1) + 1) on
        done(n) = b(last burst of command n) + 1

    So a memory that is always ready gets a beat per cycle, if bursts have two beats or more, and
    the last of a command three.

    Members:
        commands: Store commands whose waits are over.
        memory: The write half of the bus. ``b`` is always ready.
        activation: Read port of a beat at the address of any element.
        abort: No burst is begun any more but one that the splitter already offers; bursts begun are
            completed.
        quiet: Nothing is on the bus, and with ``abort`` nothing will be.
        idle: All commands taken are done.
        done: Pulse: a command's bytes are in memory.
        error: Pulse, the cycle after a response that was not OKAY.
        activation_read, write_beat: Events, one a cycle.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        port = activation_port(config, config.bus_bytes // config.activation_bytes)
        super().__init__(
            {
                "commands": In(command_stream(Engine.STORE)),
                "memory": Out(MemoryWriter(config)),
                "activation": Out(port),
                "abort": In(1),
                "quiet": Out(1),
                "idle": Out(1),
                "done": Out(1),
                "error": Out(1),
                "activation_read": Out(1),
                "write_beat": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(config=self._config)
        # A record per burst that waits for its response: whether it ends the command.
        m.submodules.records = records = fifo.SyncFIFO(
            width=1, depth=self._config.outstanding_bursts
        )
        connect_transfers(m, self.commands, splitter.transfers)
        m.d.comb += splitter.hold.eq(self.abort)

        aw_free = self._address(m, splitter)
        reader_free = self._read(m, splitter)
        begin = splitter.bursts.valid & splitter.bursts.ready
        m.d.comb += [
            splitter.bursts.ready.eq(aw_free & reader_free & records.w_rdy),
            records.w_en.eq(begin),
            records.w_data.eq(splitter.bursts.payload.last),
        ]

        # Responses.
        b = self.memory.b
        m.d.comb += [
            b.ready.eq(1),
            records.r_en.eq(b.valid),
            self.quiet.eq(~splitter.bursts.valid & ~records.r_rdy),
            self.idle.eq(~splitter.busy & ~records.r_rdy & ~self.done),
        ]
        m.d.sync += [
            self.done.eq(b.valid & records.r_rdy & records.r_data),
            self.error.eq(b.valid & (b.payload.resp != 0)),
        ]
        return m

    def _address(self, m: Module, splitter: BurstSplitter) -> Value:
        """The register on the address channel; gives whether it can take a burst."""
        aw, bursts = self.memory.aw, splitter.bursts
        free = Signal(name="aw_free")
        m.d.comb += free.eq(~aw.valid | aw.ready)
        with m.If(free):
            m.d.sync += [
                aw.valid.eq(bursts.valid & bursts.ready),
                aw.payload.addr.eq(bursts.payload.address),
                aw.payload.len.eq(bursts.payload.length),
            ]
        return free

    def _read(self, m: Module, splitter: BurstSplitter) -> Value:
        """Read requests of the present burst; gives whether the next may begin."""
        elements, bursts = self._config.bus_bytes, splitter.bursts
        active = Signal()
        last = Signal()
        # Of the beat to be read next: known before its cycle, in which much follows from it.
        mask = Signal(elements)
        left = Signal(8)
        address = Signal(self._config.activation_address_bits)
        burst = Signal(burst_layout(self._config))
        credits = Signal(range(WRITE_FIFO_DEPTH + 1), init=WRITE_FIFO_DEPTH)
        request = Signal()
        free = Signal(name="reader_free")

        m.d.comb += [
            request.eq(active & (credits != 0)),
            free.eq(~active | (request & last)),
            self.activation.valid.eq(request),
            self.activation.address.eq(address),
            # Rows begin and end with whole elements.
            self.activation.mask.eq(Cat(list(mask)[:: self._config.activation_bytes])),
            self.activation_read.eq(request),
        ]
        with m.If(request):
            m.d.sync += [
                address.eq(address + elements),
                left.eq(left - 1),
                last.eq(left == 1),
                mask.eq(valid_lanes(elements, burst, first=Const(0), last=left == 1)),
                active.eq(~last),
            ]
        with m.If(bursts.valid & bursts.ready):
            begun, single = bursts.payload, bursts.payload.length == 0
            m.d.sync += [
                active.eq(1),
                last.eq(single),
                left.eq(begun.length),
                mask.eq(valid_lanes(elements, begun, first=Const(1), last=single)),
                address.eq(begun.buffer_address),
                burst.eq(begun),
            ]
        m.d.sync += credits.eq(credits - request + self.write_beat)
        self._write(m, request, mask, last)
        return free

    def _write(self, m: Module, request: Value, mask: Value, last: Value) -> None:
        """Data read, with the mask that travelled beside it, through the FIFO to the bus."""
        layout = write_channel(self._config)
        m.submodules.beats = beats = fifo.SyncFIFO(width=layout.size, depth=WRITE_FIFO_DEPTH)
        # One stage per stage of the buffer.
        here = Cat(request, mask, last)
        for stage in range(BUFFER_READ_LATENCY):
            before, here = here, Signal.like(here, name=f"travelling_{stage}")
            m.d.sync += here.eq(before)
        arriving, strobe, ends = here[0], here[1:-1], here[-1]

        entry = data.View(layout, beats.w_data)
        w = self.memory.w
        m.d.comb += [
            beats.w_en.eq(arriving),
            entry.data.eq(self.activation.data),
            entry.strb.eq(strobe),
            entry.last.eq(ends),
            w.valid.eq(beats.r_rdy),
            w.payload.eq(beats.r_data),
            beats.r_en.eq(w.ready),
            self.write_beat.eq(w.valid & w.ready),
        ]
