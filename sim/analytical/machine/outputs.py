"""Where outputs lie on chip, and which commands touched them there.

A post command writes a rectangle of outputs, a store reads one, or a row of it. Each touches all
bytes from the first of its rectangle to the last; where a store and a post command touch the same,
the later one waits. In a slot, a tile lies without gaps. In a map that stays on chip, tiles side by
side lie interleaved, and so do ranges of channels; rows of tiles are apart.
"""

from collections import deque
from collections.abc import Hashable, Iterator

from arch.commands import Engine
from sim.analytical.machine.inputs import Channels
from sim.analytical.machine.order import Conflict, Use
from sim.analytical.machine.tiling import Area, Span, Tiling

Bytes = tuple[int, int]
"""The first byte and the one after the last, from the first of a slot or of a row of tiles on."""


class OutputBytes:
    """Which bytes commands touch, for a ``tile`` of outputs and a range of ``channels``."""

    def __init__(self, tiling: Tiling) -> None:
        self._element = tiling.config.activation_bytes
        self._on_chip = tiling.layer.output_home.on_chip
        self._pitches = tiling.output_pitches
        self._all = tiling.layer.ofmap.channels

    def written(self, tile: Area, part: Area, channels: Channels) -> Bytes:
        """By a post command for ``part``: it touches all channels that are there."""
        there = Channels(0, self._all if self._on_chip else channels.number)
        return self._bytes(tile, part, there, channels.number)

    def read(self, tile: Area, channels: Channels, stores: int) -> list[Bytes]:
        """By each of so many ``stores``: the tile, or else row by row."""
        (y, height), columns = tile
        stored = channels if self._on_chip else Channels(0, channels.number)
        rows: list[Span] = [(y, height)]
        if stores > 1:
            rows = [(y + row, 1) for row in range(height)]
        return [self._bytes(tile, (each, columns), stored, channels.number) for each in rows]

    def _bytes(self, tile: Area, part: Area, channels: Channels, in_slot: int) -> Bytes:
        """``channels`` of ``part``; a slot has ``in_slot`` channels."""
        ((top, _), (left, width)), ((y, height), (x, size)) = tile, part
        pixel, row = self._pitches
        if not self._on_chip:
            pixel = in_slot * self._element
            row, x = width * pixel, x - left
        first = (y - top) * row + x * pixel + channels.first * self._element
        last = first + (height - 1) * row + (size - 1) * pixel
        return first, last + channels.number * self._element


class _Touched:
    """The commands that touched some bytes, the newest last."""

    def __init__(self) -> None:
        self.all: list[tuple[Bytes, int]] = []

    def add(self, new: Bytes, number: int) -> None:
        """Command ``number`` touches ``new``; those that touched nothing else matter no more."""
        start, stop = new
        self.all = [each for each in self.all if each[0][0] < start or stop < each[0][1]]
        self.all.append((new, number))

    def newest(self, touched: Bytes) -> int:
        """The last command that touched some of these bytes, or 0."""
        start, stop = touched
        for (first, end), number in reversed(self.all):
            if first < stop and start < end:
                return number
        return 0

    def forget(self, done: int) -> None:
        """Commands up to number ``done`` matter no more."""
        self.all = [each for each in self.all if each[1] > done]


class Outputs:
    """The commands that touched outputs that are stored: ``slots`` slots that tiles take in turn,
    or, of a map that stays on chip, so many rows of tiles."""

    def __init__(self, slots: int, *, on_chip: bool) -> None:
        self._on_chip = on_chip
        self._row: Span | None = None
        self._stores = deque(_Touched() for _ in range(slots))
        """Of each slot, the one in use last."""
        self._posts = _Touched()
        """Of the tile in work."""

    def begin(self, tile: Area) -> None:
        """Go on to the outputs of ``tile``, or of more of its channels."""
        row, _ = tile
        if not self._on_chip or row != self._row:
            self._stores.rotate(-1)
        self._row = row
        self._posts = _Touched()

    def skip_to(self, tile: Area) -> None:
        """Leave out whole periods, the last tile of which is ``tile``."""
        self._row, _ = tile

    def before_writing(self, written: Bytes) -> Conflict:
        """What a post command waits for."""
        return Engine.STORE, self._stores[-1].newest(written)

    def write(self, written: Bytes, number: int) -> None:
        """It is post command ``number``."""
        self._posts.add(written, number)

    def before_reading(self, read: Bytes) -> Conflict:
        """What a store waits for."""
        return Engine.POST, self._posts.newest(read)

    def read(self, read: Bytes, number: int) -> None:
        """It is store ``number``."""
        self._stores[-1].add(read, number)

    def forget(self, stores: int, posts: int) -> None:
        """Stores up to number ``stores`` are not waited for any more, nor posts up to ``posts``."""
        self._posts.forget(posts)
        for touched in self._stores:
            touched.forget(stores)

    def layout(self) -> Hashable:
        """The bytes of all commands that matter, in the order of ``uses``."""
        slots = enumerate((*self._stores, self._posts))
        return tuple((slot, each) for slot, touched in slots for each, _ in touched.all)

    def uses(self) -> Iterator[Use]:
        """Who may wait for which of them."""
        for touched in self._stores:
            for _, number in touched.all:
                yield Engine.POST, Engine.STORE, number
        for _, number in self._posts.all:
            yield Engine.STORE, Engine.POST, number
