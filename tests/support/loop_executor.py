"""Runs the loops of a mapping one by one, and counts what moves by the rules of docs/analytical.md.

An oracle for sim.analytical.counts: it knows no formula, only sets of words.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import prod

from arch.architecture import Architecture, DataType
from sim.analytical.mapping import Mapping
from sim.analytical.problem import RELEVANT, Dim, Problem

Point = tuple[int, ...]
Word = tuple[int, ...]
Span = tuple[int, int]
"""First element and number of elements."""


def parts(span: Span, count: int) -> list[Span]:
    """``span`` in ``count`` parts that differ by at most one, the larger first."""
    first, size = span
    sizes = [size // count + (index < size % count) for index in range(count)]
    return [(first + sum(sizes[:index]), each) for index, each in enumerate(sizes)]


def walk(trips: tuple[int, ...], order: tuple[Dim, ...]) -> Iterator[Point]:
    """Indices by ``Dim``, as loops in ``order`` give them."""
    for indices in product(*(range(trips[dim]) for dim in order)):
        by_dim = dict(zip(order, indices, strict=True))
        yield tuple(by_dim[dim] for dim in Dim)


def word_of(problem: Problem, data: DataType, point: Point) -> Word:
    """The word of ``data`` that the multiply-accumulate ``point`` uses."""
    n, g, m, c, p, q, r, s = point
    y, x = problem.axes
    match data:
        case DataType.IFMAP:
            return n, g, c, y.stride * p + y.dilation * r, x.stride * q + x.dilation * s
        case DataType.WEIGHT:
            return g, m, c, r, s
        case DataType.PSUM:
            return n, g, m, p, q


def words_in(problem: Problem, data: DataType, spans: list[Span]) -> set[Word]:
    """Words of ``data`` under a tile."""
    kept = [
        range(first, first + size) if dim in RELEVANT[data] else range(first, first + min(size, 1))
        for dim, (first, size) in zip(Dim, spans, strict=True)
    ]
    return {word_of(problem, data, point) for point in product(*kept)}


class _Watch:
    """Tells what happens to a storage's tile from one step of the loops above it to the next."""

    def __init__(self, problem: Problem, data: DataType, loops: list[tuple[Dim, int]]) -> None:
        self._problem = problem
        self._relevant = [
            (place, dim)
            for place, (dim, trips) in enumerate(loops)
            if dim in RELEVANT[data] and trips > 1
        ]
        self._before: tuple[int, ...] | None = None
        self.changed = False
        self.slides: Dim | None = None

    def step(self, indices: tuple[int, ...]) -> None:
        now = tuple(indices[place] for place, _ in self._relevant)
        before, self._before = self._before, now
        self.changed = now != before
        self.slides = None
        if before and now[:-1] == before[:-1] and now[-1] == before[-1] + 1:
            dim = self._relevant[-1][1]
            windowed = {each for axis in self._problem.axes for each in (axis.output, axis.kernel)}
            self.slides = dim if dim in windowed else None


class Executor:
    """Runs one mapping; ``counts`` by (level, "hops" or "cycles"; data type; reads or writes)."""

    def __init__(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> None:
        self.architecture, self.problem, self.mapping = architecture, problem, mapping
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._lanes = mapping.lanes
        self._pe_tile = [
            -(-bound // (outer * inner * lanes))
            for bound, outer, inner, lanes in zip(
                problem.bounds, mapping.outer, mapping.inner, self._lanes, strict=True
            )
        ]
        outer_loops = [(dim, mapping.outer[dim]) for dim in mapping.outer_order]
        inner_loops = [(dim, mapping.inner[dim]) for dim in mapping.inner_order]
        self._buffers = {d: _Watch(problem, d, outer_loops) for d in DataType}
        self._spads = {d: _Watch(problem, d, outer_loops + inner_loops) for d in DataType}
        self._buffer_words: dict[DataType, set[Word]] = {d: set() for d in DataType}
        self._held: dict[DataType, dict[Point, set[Word]]] = {d: {} for d in DataType}
        self._begun: dict[str, set[Word]] = {"memory": set(), "buffer": set()}

    def run(self) -> Counter[tuple[str, str, str]]:
        mapping = self.mapping
        whole = [(0, bound) for bound in self.problem.bounds]
        for outer in walk(mapping.outer, mapping.outer_order):
            tile = [parts(whole[d], mapping.outer[d])[outer[d]] for d in Dim]
            self._fill_buffers(tuple(outer[d] for d in mapping.outer_order), tile)
            for inner in walk(mapping.inner, mapping.inner_order):
                array = [parts(tile[d], mapping.inner[d])[inner[d]] for d in Dim]
                indices = [outer[d] for d in mapping.outer_order]
                indices += [inner[d] for d in mapping.inner_order]
                self._run_array(tuple(indices), array)
        self._drain_spads()
        self._drain_buffer()
        return +self.counts

    def _add(self, level: str, data: DataType, kind: str, amount: int) -> None:
        self.counts[level, data.value, kind] += amount

    def _parent(self, data: DataType) -> str:
        return "buffer" if self.architecture.buffer_of(data) else "memory"

    def _fill_buffers(self, indices: tuple[int, ...], tile: list[Span]) -> None:
        for data in DataType:
            if not self.architecture.buffer_of(data):
                continue
            watch = self._buffers[data]
            watch.step(indices)
            if not watch.changed:
                continue
            words = words_in(self.problem, data, tile)
            if data is DataType.PSUM:
                # What PEs still hold belongs to the tile that leaves.
                self._drain_spads()
                self._drain_buffer()
                loaded = len(words & self._begun["memory"])
            else:
                old = self._buffer_words[data] if watch.slides is not None else set()
                loaded = len(words - old)
            self._buffer_words[data] = words
            self._add("memory", data, "reads", loaded)
            self._add("buffer", data, "writes", loaded)

    def _drain_buffer(self) -> None:
        if not self.architecture.buffer_of(DataType.PSUM):
            return
        words = self._buffer_words[DataType.PSUM]
        self._add("buffer", DataType.PSUM, "reads", len(words))
        self._add("memory", DataType.PSUM, "writes", len(words))
        self._begun["memory"] |= words
        self._buffer_words[DataType.PSUM] = set()

    def _run_array(self, indices: tuple[int, ...], array: list[Span]) -> None:
        shares = [parts(array[d], self._lanes[d]) for d in Dim]
        pes = {
            place: [shares[d][place[d]] for d in Dim]
            for place in product(*(range(lanes) for lanes in self._lanes))
            if all(shares[d][place[d]][1] for d in Dim)
        }
        for data in DataType:
            if self.architecture.spad_of(data):
                self._fill_spads(data, indices, pes)
        local = [-(-array[d][1] // self._lanes[d]) for d in Dim]
        self._add("cycles", DataType.PSUM, "reads", prod(local))
        for step in product(*(range(each) for each in local)):
            points = [
                tuple(first + index for (first, _), index in zip(spans, step, strict=True))
                for spans in pes.values()
                if all(index < size for (_, size), index in zip(spans, step, strict=True))
            ]
            self._step(points)

    def _fill_spads(
        self, data: DataType, indices: tuple[int, ...], pes: dict[Point, list[Span]]
    ) -> None:
        watch, held = self._spads[data], self._held[data]
        watch.step(indices)
        if data is DataType.PSUM and watch.changed:
            self._drain_spads()
        loaded: set[Word] = set()
        for place, spans in pes.items():
            if not watch.changed and place in held:
                continue
            words = words_in(self.problem, data, spans)
            if data is DataType.PSUM:
                held[place] = words
                loaded |= words & self._begun[self._parent(data)]
                continue
            old = held.get(place, set()) if self._slides(watch.slides) else set()
            held[place] = words
            loaded |= words - old
            self._add("spad", data, "writes", len(words - old))
            self._add("hops", data, "reads", len(words - old))
        self._add(self._parent(data), data, "reads", len(loaded))
        if data is DataType.PSUM:
            self._add("spad", data, "writes", len(loaded))

    def _slides(self, dim: Dim | None) -> bool:
        """Whether PEs keep what neighbouring tiles along ``dim`` share: not if others have it."""
        return dim is not None and all(
            self._lanes[axis.output] == self._lanes[axis.kernel] == 1
            for axis in self.problem.axes
            if dim in (axis.output, axis.kernel)
        )

    def _drain_spads(self) -> None:
        data = DataType.PSUM
        held = self._held[data]
        if not self.architecture.spad_of(data):
            return
        words = set().union(*held.values())
        copies = sum(map(len, held.values()))
        parent = self._parent(data)
        self._add("spad", data, "reads", copies)
        self._add("hops", data, "reads", copies - len(words))
        self._add(parent, data, "writes", len(words))
        self._begun[parent] |= words
        self._begun["buffer"] |= words
        held.clear()

    def _step(self, points: list[Point]) -> None:
        for data in DataType:
            if self.architecture.spad_of(data):
                self._add("spad", data, "reads", len(points))
                if data is DataType.PSUM:
                    self._add("spad", data, "writes", len(points))
                continue
            words = {self._sent_as(data, point) for point in points}
            parent = self._parent(data)
            self._add("hops", data, "reads", len(points))
            if data is not DataType.PSUM:
                self._add(parent, data, "reads", len(words))
                continue
            self._add("hops", data, "reads", -len(words))
            self._add(parent, data, "reads", len(words & self._begun[parent]))
            self._add(parent, data, "writes", len(words))
            self._begun[parent] |= words
            self._begun["buffer"] |= words

    def _sent_as(self, data: DataType, point: Point) -> Word:
        """What PEs must agree in to be sent a word together: the word, and off the diagonals the
        output and tap."""
        word = word_of(self.problem, data, point)
        if data is not DataType.IFMAP:
            return word
        for axis in self.problem.axes:
            if self._pe_tile[axis.output] > 1 or self._pe_tile[axis.kernel] > 1:
                word += (point[axis.output], point[axis.kernel])
        return word
