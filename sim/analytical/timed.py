"""The search if cycles matter: every choice says how many PEs share it."""

import numpy as np
from numpy.typing import NDArray

from sim.analytical.bounds import Choices, Pattern
from sim.analytical.choices import undominated_columns
from sim.analytical.descent import Descent, Progress, State, hold, words_under
from sim.analytical.problem import Dim
from sim.analytical.tiles import Whole
from sim.analytical.timed_space import TimedSpace


class TimedDescent(Descent):
    """Under one pattern; steps of partial choices are exact, of the rest the fewest that fit."""

    _space: TimedSpace

    def __init__(self, space: TimedSpace, pattern: Pattern) -> None:
        super().__init__(space, pattern)

    def _tile_words(self, group: Choices) -> Whole:
        assert group.lanes is not None
        return words_under(self._space.problem, group, group.tiles * group.lanes, macs=True)

    def _hold(self, array: Whole) -> NDArray[np.bool_]:
        architecture = self._space.architecture
        return hold(architecture, architecture.spads, array)

    def _narrow(self, limit: float) -> None:
        super()._narrow(limit)
        if self.least < limit:
            self._set_choices([self._undominated(place) for place in range(len(self._choices))])

    def _undominated(self, place: int) -> Choices:
        """The choices of a group but those that another one equals or betters in every factor, in
        words to hold and in PEs: whatever the other groups choose, that one costs no more."""
        group = self._choices[place]
        assert group.lanes is not None
        criteria = self._factors[place], self._buffer[place], self._array[place][:-1], group.lanes
        return group.only(undominated_columns(np.concatenate(criteria)))

    def _bounds_with(self, place: int, others: Whole) -> Whole:
        steps = self._space.steps_with[place][self._choices[place].numbers]
        value, _ = self._bound(others[:, None], self._factors[place], steps)
        return np.asarray(value[0])

    def _bounds_after(self, state: State, level: int) -> tuple[Whole, Whole]:
        picks = [
            group.numbers[each] for group, each in zip(self._choices, state.picks, strict=False)
        ]
        after = self._space.steps.after(picks, level, self._choices[level].numbers)
        left = state.products * self._rest[level + 1][:, None]
        return self._bound(left, self._factors[level], state.products[-1][:, None] * after)

    def _price_block(self, state: State, progress: Progress) -> None:
        outer, tiles, lanes = (np.empty((len(Dim), len(state))) for _ in range(3))
        for group, picks in zip(self._choices, state.picks, strict=True):
            assert group.lanes is not None
            for place, dim in enumerate(group.dims):
                outer[dim], tiles[dim] = group.outer[place, picks], group.tiles[place, picks]
                lanes[dim] = group.lanes[place, picks]
        self._price_batch(outer, tiles, lanes, progress)
