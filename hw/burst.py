"""Cuts the rows of a load or store into AXI4 bursts."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.timing import BURST_BOUNDARY_BYTES
from hw.interfaces import AXI_ADDRESS_BITS, command_layout

TRANSFER_FIELDS = (
    "dram_address",
    "dram_pitch",
    "row_bytes",
    "rows",
    "buffer_address",
    "buffer_pitch",
)
"""The fields that load and store commands share."""

transfer_layout = data.StructLayout(
    {name: command_layout(Engine.STORE)[name].shape for name in TRANSFER_FIELDS}
)
"""Rows of bytes to be moved between memory and a buffer."""

_BUFFER_BITS: int = transfer_layout["buffer_address"].width


def lane_bits(config: AcceleratorConfig) -> int:
    """Width of a byte's place in a bus beat."""
    return config.bus_bytes.bit_length() - 1


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One burst.

    ``address`` is that of its first beat, a multiple of the beat; ``length`` its beats - 1. Lane 0
    of the first beat belongs to ``buffer_address``, modulo 2^20; only the lanes from ``first_lane``
    on count there, and only those up to ``last_lane`` in the last beat. ``last`` marks the last
    burst of the transfer.
    """
    return data.StructLayout(
        {
            "address": AXI_ADDRESS_BITS,
            "length": 8,
            "buffer_address": _BUFFER_BITS,
            "first_lane": lane_bits(config),
            "last_lane": lane_bits(config),
            "last": 1,
        }
    )


def connect_transfers(m: Module, commands: stream.Interface, transfers: stream.Interface) -> None:
    """Hand the transfers of load or store commands to a splitter."""
    m.d.comb += [
        transfers.valid.eq(commands.valid),
        commands.ready.eq(transfers.ready),
        *(transfers.payload[name].eq(commands.payload[name]) for name in TRANSFER_FIELDS),
    ]


def valid_lanes(lanes: int, burst: data.View, *, first: Value, last: Value) -> Value:
    """Mask of the ``lanes`` of a beat that belong to its row, by the ``first_lane`` and
    ``last_lane`` of its burst, for a beat that is the ``first`` or the ``last`` of it."""
    return Cat(
        (~first | (lane >= burst.first_lane)) & (~last | (lane <= burst.last_lane))
        for lane in range(lanes)
    )


class BurstSplitter(wiring.Component):
    """Bursts of one transfer after the other.

    A burst ends where the row ends, at a multiple of 4 KiB, or after ``burst_beats`` beats, the
    first beat counted whole. A transfer taken in cycle p offers its first burst from p + 2 on; a
    burst taken in cycle a is followed by the next one from a + 2 on, in the same row or the next;
    the next transfer is taken from a + 1 on, a being the cycle in which the last burst was taken.

    Members:
        transfers: The rows; ``row_bytes`` is at least 1. Ready while no transfer is being cut.
        bursts: The bursts, in the order of rising addresses in a row, row after row.
        hold: Offers no burst but one that is already offered. Level.
        busy: A transfer is being cut.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "transfers": In(stream.Signature(transfer_layout)),
                "bursts": Out(stream.Signature(burst_layout(config))),
                "hold": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        lanes = lane_bits(self._config)
        # Its dram_address and buffer_address are those of the present row.
        transfer = Signal(transfer_layout, reset_less=True)
        next_row = Signal(AXI_ADDRESS_BITS, reset_less=True)
        next_row_buffer = Signal(_BUFFER_BITS, reset_less=True)

        # The present burst's first beat, and from there to the last byte of the row.
        beat = Signal(AXI_ADDRESS_BITS - lanes, reset_less=True)
        buffer = Signal(_BUFFER_BITS, reset_less=True)
        first_lane = Signal(lanes, reset_less=True)
        to_last = Signal(transfer_layout["row_bytes"].width + 1, reset_less=True)
        to_last_beat = to_last[lanes:]

        length = Signal(8, reset_less=True)
        advance = Signal(9, reset_less=True)
        ends_row = Signal(reset_less=True)

        def begin_row(address: Value, buffer_address: Value, row_bytes: Value) -> None:
            lane = address[:lanes]
            m.d.sync += [
                transfer.dram_address.eq(address),
                transfer.buffer_address.eq(buffer_address),
                beat.eq(address[lanes:]),
                buffer.eq(buffer_address - lane),
                first_lane.eq(lane),
                # The short difference first: one long carry chain, not two.
                to_last.eq((lane - 1) + row_bytes),
            ]

        payload = self.bursts.payload
        m.d.comb += [
            payload.address.eq(Cat(Const(0, lanes), beat)),
            payload.length.eq(length),
            payload.buffer_address.eq(buffer),
            payload.first_lane.eq(first_lane),
            payload.last_lane.eq(Mux(ends_row, to_last[:lanes], self._config.bus_bytes - 1)),
            payload.last.eq(ends_row & (transfer.rows == 0)),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.transfers.ready.eq(1)
                with m.If(self.transfers.valid):
                    given = self.transfers.payload
                    m.d.sync += transfer.eq(given)
                    begin_row(given.dram_address, given.buffer_address, given.row_bytes)
                    m.next = "SIZE"

            with m.State("SIZE"):
                m.d.comb += self.busy.eq(1)
                limit = self._limit(beat)
                fits = to_last_beat <= limit
                m.d.sync += [
                    ends_row.eq(fits),
                    length.eq(Mux(fits, to_last_beat, limit)),
                    advance.eq(limit + 1),
                    next_row.eq(transfer.dram_address + transfer.dram_pitch),
                    next_row_buffer.eq(transfer.buffer_address + transfer.buffer_pitch),
                ]
                with m.If(~self.hold):
                    m.next = "OFFER"

            with m.State("OFFER"):
                m.d.comb += [self.busy.eq(1), self.bursts.valid.eq(1)]
                with m.If(self.bursts.ready):
                    m.next = "SIZE"
                    with m.If(~ends_row):
                        m.d.sync += [
                            beat.eq(beat + advance),
                            buffer.eq(buffer + (advance << lanes)),
                            first_lane.eq(0),
                            to_last_beat.eq(to_last_beat - advance),
                        ]
                    with m.Else():
                        m.d.sync += transfer.rows.eq(transfer.rows - 1)
                        begin_row(next_row, next_row_buffer, transfer.row_bytes)
                        with m.If(transfer.rows == 0):
                            m.next = "IDLE"
        return m

    def _limit(self, beat: Value) -> Value:
        """Beats - 1 from the beat address ``beat`` to the longest burst's end."""
        page_bits = (BURST_BOUNDARY_BYTES // self._config.bus_bytes).bit_length() - 1
        burst_bits = self._config.burst_beats.bit_length() - 1
        to_boundary = ~beat[:page_bits]
        if burst_bits >= page_bits:
            return to_boundary
        # Both limits are powers of two less one: a comparison of the upper bits decides.
        boundary_first = beat[burst_bits:page_bits].all()
        return Mux(boundary_first, to_boundary[:burst_bits], self._config.burst_beats - 1)
