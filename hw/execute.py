"""The execute engine: weights and activations through the array into the accumulators."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.post_timing import execute_done_latency
from arch.timing import BUFFER_READ_LATENCY, array_latency, execute_latency
from hw.accumulators import Accumulators
from hw.delay import delayed
from hw.interfaces import activation_port, command_layout, command_stream, weight_port
from hw.post import DrainPort
from hw.systolic import WeightStationaryArray
from hw.vector_streamer import VectorStreamer
from hw.weight_walker import WeightWalker


class ExecuteEngine(wiring.Component):
    """Runs execute commands; the weights of a command load while the former one streams.

    The timing is static. Let a command be taken in cycle p, have K tiles of weights and M vectors
    for each, and let D = max(M, rows, MINIMUM_STEP). Row 0 of tile k is requested in cycle T_k, the
    first vector of its step is issued in cycle t_k; `former` are those of the command before:

        p   = first cycle >= max(former T_(K-1) + rows, former s + 1) with a command at hand
        T_0 = max(p + 1, former t_(K-1) + 1)
        s   = max(p + 1, former t_(K-1) + former D - 1)
        t_0 = max(T_0, s) + 1
        t_k = t_0 + k * D
        T_k = max(T_0 + k * rows, t_(k-1) + 1)

    Vector m of step k is issued, and requested from the activation buffer unless all of it is
    padding, in cycle t_k + m. A drain request ``execute_latency`` cycles after the last vector, or
    later, sees every sum. ``done`` comes ``execute_done_latency`` cycles after it: nothing more is
    read from the buffers, and a post command that is taken in the next cycle drains in time.

    No accumulator entry may be added to within ACCUMULATE_LATENCY cycles of its last psums. Steps
    of one command keep to this if M is at most accumulator_half_entries, and so do commands in a
    row with the same entries in the same order.

    Args:
        config: gives sizes and widths.

    Members:
        commands: commands whose waits are over.
        activation: read port of the activation buffer.
        weight: read port of the weight buffer.
        drain: the post-processor's read port of the accumulators.
        conflict: an entry's half was drained and added to at once; what was read is arbitrary.
        done: pulse: a command is done, see above.
        settling: it is, and some of its sums are not in.
        vector_issued: event: a vector was issued, padding or not.
        activation_read, weight_read, accumulator_read, accumulator_write: events: accesses.
        stepping: a command is streamed, but no vector was issued in this cycle.
        taking: a command has been taken and waits for the one before to end.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        events = (
            *("vector_issued", "activation_read", "weight_read", "accumulator_read"),
            *("accumulator_write", "stepping", "taking"),
        )
        super().__init__(
            {
                "commands": In(command_stream(Engine.EXECUTE)),
                "activation": Out(activation_port(config, config.rows)),
                "weight": Out(weight_port(config)),
                "drain": In(DrainPort(config)),
                "conflict": Out(1),
                "done": Out(1),
                "settling": Out(1),
                **{event: Out(1) for event in events},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.walker = walker = WeightWalker(config=self.config)
        m.submodules.streamer = streamer = VectorStreamer(config=self.config)
        m.submodules.array = array = WeightStationaryArray(config=self.config)
        m.submodules.accumulators = accumulators = Accumulators(config=self.config)
        wiring.connect(m, walker.port, wiring.flipped(self.weight))
        wiring.connect(m, streamer.port, wiring.flipped(self.activation))
        wiring.connect(m, accumulators.drain, wiring.flipped(self.drain))
        self._take(m, walker, streamer)
        self._feed(m, walker, streamer, array)
        self._collect(m, streamer, array, accumulators)
        m.d.comb += [
            self.vector_issued.eq(streamer.issue),
            self.activation_read.eq(self.activation.valid),
            self.weight_read.eq(self.weight.valid),
            self.accumulator_read.eq(accumulators.read),
            self.accumulator_write.eq(accumulators.write),
            self.stepping.eq(streamer.active & ~streamer.issue),
            self.taking.eq(streamer.pending_valid),
        ]
        return m

    def _take(self, m: Module, walker: WeightWalker, streamer: VectorStreamer) -> None:
        """A command goes to the walker at once, and into the streamer's pending slot."""
        pending_valid, pending = Signal(), Signal(command_layout(Engine.EXECUTE))
        taken = self.commands.valid & self.commands.ready
        # The shadow registers hold, or are getting, a tile whose step has not begun.
        claimed, next_claimed = Signal(), Signal()
        m.d.comb += [
            self.commands.ready.eq(walker.idle & ~pending_valid),
            walker.load.eq(taken),
            walker.command.eq(self.commands.payload),
            walker.free.eq(~claimed),
            streamer.pending_valid.eq(pending_valid),
            streamer.pending.eq(pending),
            next_claimed.eq(walker.begin | claimed & ~streamer.swap),
            streamer.next_loaded.eq(next_claimed),
        ]
        m.d.sync += claimed.eq(next_claimed)
        with m.If(taken):
            m.d.sync += [pending_valid.eq(1), pending.eq(self.commands.payload)]
        with m.Elif(streamer.take):
            m.d.sync += pending_valid.eq(0)

    def _feed(
        self,
        m: Module,
        walker: WeightWalker,
        streamer: VectorStreamer,
        array: WeightStationaryArray,
    ) -> None:
        """What the buffers answer goes into the array."""
        stages = BUFFER_READ_LATENCY
        bits = self.config.activation_bits
        lanes = delayed(m, streamer.lanes, stages=stages)
        padding = delayed(m, streamer.command.padding[:bits], stages=stages)
        flip = delayed(m, streamer.command.unsigned, stages=stages) << bits - 1
        m.d.comb += [
            array.weight_valid.eq(delayed(m, walker.port.valid, stages=stages)),
            array.weight_row.eq(delayed(m, walker.row, stages=stages)),
            array.weights.as_value().eq(self.weight.data),
            array.swap.eq(delayed(m, streamer.swap, stages=stages)),
            array.activations.as_value().eq(
                Cat(
                    Mux(lanes[lane], self.activation.data.word_select(lane, bits), padding) ^ flip
                    for lane in range(self.config.rows)
                )
            ),
        ]

    def _collect(
        self,
        m: Module,
        streamer: VectorStreamer,
        array: WeightStationaryArray,
        accumulators: Accumulators,
    ) -> None:
        """What the array gives goes into the accumulators, to the entry that went along."""
        stages = BUFFER_READ_LATENCY + array_latency(self.config)
        layout = data.StructLayout({"entry": streamer.entry.shape(), "overwrite": 1})
        along = Signal(layout.size, reset_less=True)
        m.d.comb += along.eq(Cat(streamer.entry, streamer.overwrite))
        arrived = data.View(layout, delayed(m, along, stages=stages))
        ended = execute_done_latency(self.config)
        finals = _line(m, streamer.final, execute_latency(self.config), "finals")
        m.d.comb += [
            accumulators.valid.eq(_line(m, streamer.issue, stages, "issued")[-1]),
            accumulators.address.eq(arrived.entry),
            accumulators.first.eq(arrived.overwrite),
            accumulators.psums.eq(array.psums),
            self.done.eq(finals[ended - 1]),
            self.settling.eq(finals[ended:].any()),
            self.conflict.eq(accumulators.conflict),
        ]


def _line(m: Module, bit: Value, stages: int, name: str) -> Value:
    """A shift register: ``bit`` as it was 1 to ``stages`` cycles ago."""
    line = Signal(stages, name=name)
    m.d.sync += line.eq(Cat(bit, line))
    return line
