"""Eyeriss's run-length code, word by word: an oracle for its expected size."""

from collections.abc import Iterable, Sequence

Pair = tuple[int, int]


def encode(words: Iterable[int], longest_run: int) -> list[Pair]:
    """Pairs (zeros before it, a word); zeros at the end take a pair whose word is the last one."""
    pairs, run, pending = [], 0, False
    for word in words:
        pending = word == 0 and run < longest_run
        if pending:
            run += 1
            continue
        pairs.append((run, word))
        run = 0
    return [*pairs, (run - 1, 0)] if pending else pairs


def decode(pairs: Iterable[Pair]) -> list[int]:
    """The words that ``encode`` was given."""
    return [word for run, level in pairs for word in (*[0] * run, level)]


def packed(pairs: Sequence[Pair], per_word: int) -> int:
    """Packed words, of which the last may be part empty."""
    return -(-len(pairs) // per_word)
