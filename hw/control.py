"""The run: from start to done, through errors and aborts, and the counts that order the engines."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.registers import Status
from hw.interfaces import counts_layout, dispatched_layout
from hw.queue import count_flags, engine_flags

ERRORS = {
    "illegal_command": Status.ILLEGAL_COMMAND,
    "read_error": Status.READ_ERROR,
    "write_error": Status.WRITE_ERROR,
    "bank_conflict": Status.BANK_CONFLICT,
    "abort_request": Status.ABORTED,
}
"""What ends a run early, and the error code; of several in one cycle the first here counts."""


class RunControl(wiring.Component):
    """Starts and ends runs.

    A run starts in the cycle in which ``start`` is 1 while ``busy`` is 0; ``restart`` is 1 in that
    same cycle. The next cycle, called cycle 0, is the first with ``busy``, and every count is 0
    then. The run ends in one of two ways:

    - All is done: with ``fetched``, not ``settling``, and as many commands completed as dispatched
      for every engine, in cycle e, ``busy`` is 0 from e + 1 on. So if the last completion comes in
      cycle d and nothing settles after it, counts show it in d + 1, and ``busy`` is 1 for the last
      time in d + 1: the run took d + 2 cycles. The run of an empty program takes 1 cycle.
    - An error (or ``abort_request``) in cycle e: ``abort`` is 1 from e + 1 on. With ``quiet`` 1 for
      the first time in cycle g >= e + 1, ``clear`` is 1 in g + 1 alone, and ``busy`` and ``abort``
      are 0 from g + 2 on. The first error gives the code. In the cycle in which all is done, an
      error counts.

    From the first cycle without ``busy`` on, ``done`` is 1 until the next run starts, and the
    interrupt is pending until ``clear_interrupt`` (if that comes in the last cycle of a run, it
    stays pending). ``start`` while busy, and errors and aborts while not, are ignored.

    Members:
        start, abort_request, clear_interrupt: strobes of the control register.
        interrupt_enable: lets the interrupt out.
        illegal_command, read_error, write_error, bank_conflict: errors in this cycle.
        fetched: every command of the program has been dispatched.
        quiet: nothing is outstanding on the memory bus, nor will be while ``abort`` is 1.
        settling: what completed commands have done is not in its place yet.
        dispatch: a command is dispatched to this engine in this cycle.
        counted: this count rises by one: of each engine, a command is completed.
        dispatched: commands dispatched to each engine in this run, modulo 2^16; new in the cycle
            after ``dispatch``.
        counts: ``counted`` in this run likewise.
        next_counts: ``counts`` of the next cycle, unless a run starts.
        restart: a run starts: fetch takes the program, counters go to 0.
        abort: start no bursts, dispatch no commands.
        clear: fetch, decoder, queues, engines and buffers are reset in the next cycle.
        busy, done, error: the run's state; ``error`` is ``OK`` from start on, until an error.
        interrupt_pending: a run has ended.
        interrupt: ``interrupt_pending`` and ``interrupt_enable``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "clear_interrupt": In(1),
                "interrupt_enable": In(1),
                **{name: In(1) for name in ERRORS},
                "fetched": In(1),
                "quiet": In(1),
                "settling": In(1),
                "dispatch": In(engine_flags),
                "counted": In(count_flags),
                "dispatched": Out(dispatched_layout),
                "counts": Out(counts_layout),
                "next_counts": Out(counts_layout),
                "restart": Out(1),
                "abort": Out(1),
                "clear": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(Status),
                "interrupt_pending": Out(1),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        next_dispatched = Signal(dispatched_layout)
        self._count(m, self.dispatch, self.dispatched, next_dispatched)
        self._count(m, self.counted, self.counts, self.next_counts)
        names = [engine.name.lower() for engine in Engine]
        completed = Cat(self.counts[name] == self.dispatched[name] for name in names).all()
        finished = Signal()
        m.d.comb += finished.eq(self.fetched & completed & ~self.settling)
        ending = Signal()
        self._run(m, finished, ending)

        with m.If(ending):
            m.d.sync += [self.done.eq(1), self.interrupt_pending.eq(1)]
        with m.Elif(self.clear_interrupt):
            m.d.sync += self.interrupt_pending.eq(0)
        m.d.comb += self.interrupt.eq(self.interrupt_pending & self.interrupt_enable)
        return m

    def _run(self, m: Module, finished: Signal, ending: Signal) -> None:
        """The states of a run; ``ending``: this is its last cycle."""
        failed = Cat(getattr(self, name) for name in ERRORS).any()
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.comb += self.restart.eq(1)
                    m.d.sync += [self.done.eq(0), self.error.eq(Status.OK)]
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(failed):
                    self._note_error(m)
                    m.next = "ABORT"
                with m.Elif(finished):
                    m.d.comb += ending.eq(1)
                    m.next = "IDLE"
            with m.State("ABORT"):
                m.d.comb += self.abort.eq(1)
                with m.If(self.quiet):
                    m.d.comb += self.clear.eq(1)
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += [self.abort.eq(1), ending.eq(1)]
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))

    def _note_error(self, m: Module) -> None:
        for name, status in reversed(ERRORS.items()):
            with m.If(getattr(self, name)):
                m.d.sync += self.error.eq(status)

    def _count(self, m: Module, pulses: data.View, counts: data.View, following: data.View) -> None:
        """Count ``pulses``; ``following``: ``counts`` of the next cycle of a run."""
        for name, _ in counts.shape():
            m.d.comb += following[name].eq(counts[name] + pulses[name])
            m.d.sync += counts[name].eq(Mux(self.restart, 0, following[name]))
