"""Banked on-chip buffer with vector accesses at the address of any element."""

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.interfaces import ReadPort, WritePort


@dataclass(frozen=True, kw_only=True)
class _Access:
    """Where a vector access goes: some lanes in one row, the others in the next.

    A row is one word of all lanes of a bank; its number is {bank, word}.
    """

    hits: list[Value]
    """For each bank, the lanes there that the access wants."""
    words: list[Value]
    """For each lane, the word wanted."""
    banks: tuple[Value, Value]
    """Banks of the two rows."""


def _rotated(value: Value, places: Value, size: int) -> Value:
    """``value``, zero-extended to ``size`` bits, rotated up by ``places`` bits."""
    wide = value << places
    return wide[:size] | wide[size : 2 * size]


def _clash(m: Module, accesses: list[_Access], name: str) -> Value:
    """Whether two of the accesses of the cycle before wanted the same lane of a bank."""
    clash: Value = Const(0)
    for bank, hits in enumerate(zip(*(access.hits for access in accesses), strict=True)):
        seen: Value = Const(0)
        for index, hit in enumerate(hits):
            # Registered: the wishes are known late in their cycle.
            was = Signal.like(hit, name=f"{name}{index}_bank{bank}_was")
            m.d.sync += was.eq(hit)
            clash, seen = clash | (seen & was).any(), seen | was
    return clash


class BankedBuffer(wiring.Component):
    """A buffer of ``banks`` x ``words`` x ``lanes`` elements of ``width`` bits.

    Byte address = {bank, word, lane, byte of the element}; the last part, which elements of 8 bits
    do not have, does not count. Element e of an access lies e elements after that at its address,
    modulo the buffer. Each bank has one
    read and one write port in each lane; accesses that share no (bank, lane) go on side by side,
    also within one bank.

    Reading takes BUFFER_READ_LATENCY = 3 cycles (memory, output register, rotation), writing
    BUFFER_WRITE_LATENCY = 2 (rotation, memory); both take a new access in every cycle. An
    element that is requested one cycle after the request that overwrites it may read as anything
    (in simulation as the older one): block RAMs differ there, and nothing here depends on it.

    The sizes are not checked here: AcceleratorConfig has seen to them.

    Args:
        width: bits of an element; 8 times a power of two.
        lanes: elements in a word; a power of two, at least 2.
        words: words in a bank; a power of two, at least 2.
        banks: a power of two.
        readers: elements of each read port, at most ``lanes``.
        writers: elements of each write port, at most ``lanes``.

    Members:
        read0, read1, ...: read ports.
        write0, write1, ...: write ports.
        conflict: two readers wanted one (bank, lane) two cycles ago, or two writers three cycles
            ago; masked elements want nothing. What they read or wrote there is arbitrary.
    """

    def __init__(
        self,
        *,
        width: int = 8,
        lanes: int,
        words: int,
        banks: int,
        readers: tuple[int, ...],
        writers: tuple[int, ...],
    ) -> None:
        self.width, self.lanes, self.words, self.banks = width, lanes, words, banks
        self.readers, self.writers = readers, writers
        # Low bits of an address that name a byte of an element.
        self._byte_bits = (width // 8).bit_length() - 1
        self.address_bits = (lanes * words * banks).bit_length() - 1 + self._byte_bits
        self._lane_bits = lanes.bit_length() - 1
        self._word_bits = words.bit_length() - 1
        bits = self.address_bits
        reads = {
            f"read{index}": In(ReadPort(address_bits=bits, elements=elements, width=width))
            for index, elements in enumerate(readers)
        }
        writes = {
            f"write{index}": In(WritePort(address_bits=bits, elements=elements, width=width))
            for index, elements in enumerate(writers)
        }
        super().__init__({**reads, **writes, "conflict": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        memories = [
            [
                Memory(shape=self.width, depth=self.words, init=[], attrs={"no_rw_check": 1})
                for _ in range(self.lanes)
            ]
            for _ in range(self.banks)
        ]
        for bank, row in enumerate(memories):
            for lane, memory in enumerate(row):
                m.submodules[f"bank{bank}_lane{lane}"] = memory
        reads = self._read(m, memories)
        writes = self._write(m, memories)
        m.d.sync += self.conflict.eq(_clash(m, reads, "read") | _clash(m, writes, "write"))
        return m

    def _bit(self, lane: Value) -> Value:
        """The first bit of a lane in a word."""
        return Cat(Const(0, self.width.bit_length() - 1), lane)

    def _locate(self, m: Module, lanes: Value, address: Value, name: str) -> _Access:
        """The rows of an access at the element ``address`` that wants ``lanes`` in them."""
        low, first = address[: self._lane_bits], address[self._lane_bits :]
        word, bank_of = first[: self._word_bits], first[self._word_bits :]
        next_word = Signal.like(word, name=f"{name}_next_word")
        # Not from a carry: banks decide on the way to the memories' addresses. No signal: that of a
        # single bank would have no bits, which Verilog cannot say.
        next_bank = (bank_of + word.all())[: len(bank_of)]
        wraps = Signal(self.lanes, name=f"{name}_wraps")
        m.d.comb += [
            next_word.eq(word + 1),
            wraps.eq(~(Const((1 << self.lanes) - 1) << low)),
        ]
        hits, words = [], []
        for bank in range(self.banks):
            hit = Signal(self.lanes, name=f"{name}_bank{bank}")
            in_first = Mux(bank_of == bank, lanes & ~wraps, 0)
            m.d.comb += hit.eq(in_first | Mux(next_bank == bank, lanes & wraps, 0))
            hits.append(hit)
        for lane in range(self.lanes):
            words.append(Signal.like(next_word, name=f"{name}_word{lane}"))
            m.d.comb += words[-1].eq(Mux(wraps[lane], next_word, word))
        return _Access(hits=hits, words=words, banks=(bank_of, next_bank))

    def _read(self, m: Module, memories: list[list[Memory]]) -> list[_Access]:
        ports = [getattr(self, f"read{index}") for index in range(len(self.readers))]
        accesses = []
        for index, port in enumerate(ports):
            address = port.address[self._byte_bits :]
            low = address[: self._lane_bits]
            lanes = Signal(self.lanes, name=f"read{index}_lanes")
            m.d.comb += lanes.eq(Mux(port.valid, _rotated(port.mask, low, self.lanes), 0))
            accesses.append(self._locate(m, lanes, address, f"read{index}"))
        rows = []
        for bank, row in enumerate(memories):
            outputs = []
            for lane, memory in enumerate(row):
                port = memory.read_port()
                address = accesses[0].words[lane]
                for access in accesses[1:]:
                    address = Mux(access.hits[bank][lane], access.words[lane], address)
                m.d.comb += [port.addr.eq(address), port.en.eq(1)]
                outputs.append(port.data)
            # Second stage: an output register for each memory.
            held = Signal(self.width * self.lanes, name=f"bank{bank}_row", reset_less=True)
            m.d.sync += held.eq(Cat(outputs))
            rows.append(held)
        for index, (port, access) in enumerate(zip(ports, accesses, strict=True)):
            self._collect(m, port, access, rows, f"read{index}")
        return accesses

    def _collect(
        self, m: Module, port: wiring.PureInterface, access: _Access, rows: list[Value], name: str
    ) -> None:
        """Third stage: take the two rows of ``access`` and rotate them to its elements."""
        low = port.address[self._byte_bits :][: self._lane_bits]
        selected = Cat(low, *access.banks)
        for stage in range(2):
            held = Signal(len(selected), name=f"{name}_select{stage}", reset_less=True)
            m.d.sync += held.eq(selected)
            selected = held
        bank_bits = len(access.banks[0])
        low = selected[: self._lane_bits]
        first, second = (
            Array(rows)[selected[self._lane_bits + start :][:bank_bits]] for start in (0, bank_bits)
        )
        data = Signal.like(port.data, name=f"{name}_data", reset_less=True)
        m.d.sync += data.eq(Cat(first, second) >> self._bit(low))
        m.d.comb += port.data.eq(data)

    def _write(self, m: Module, memories: list[list[Memory]]) -> list[_Access]:
        accesses, rotated = [], []
        for index in range(len(self.writers)):
            # First stage: mask and data rotated to the lanes.
            port, name = getattr(self, f"write{index}"), f"write{index}"
            wanted = port.address[self._byte_bits :]
            low = wanted[: self._lane_bits]
            lanes = Signal(self.lanes, name=f"{name}_lanes")
            address = Signal(len(wanted), name=f"{name}_address", reset_less=True)
            data = Signal(self.width * self.lanes, name=f"{name}_data", reset_less=True)
            m.d.sync += [
                lanes.eq(Mux(port.valid, _rotated(port.mask, low, self.lanes), 0)),
                address.eq(wanted),
                data.eq(_rotated(port.data, self._bit(low), self.width * self.lanes)),
            ]
            accesses.append(self._locate(m, lanes, address, name))
            rotated.append(data)
        for bank, row in enumerate(memories):
            for lane, memory in enumerate(row):
                port = memory.write_port()
                enable: Value = Const(0)
                address, data = accesses[0].words[lane], rotated[0].word_select(lane, self.width)
                for index, access in enumerate(accesses):
                    hit = access.hits[bank][lane]
                    enable = enable | hit
                    if index:
                        address = Mux(hit, access.words[lane], address)
                        data = Mux(hit, rotated[index].word_select(lane, self.width), data)
                m.d.comb += [port.addr.eq(address), port.data.eq(data), port.en.eq(enable)]
        return accesses
