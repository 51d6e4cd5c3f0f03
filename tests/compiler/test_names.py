import time

import pytest

from compiler.names import SafeNames, node_label, printable


def test_safe_names_are_distinct_and_harmless() -> None:
    names = SafeNames()
    raw = [
        "conv1",
        "conv1",
        "CONV1",
        "/a/b.c",
        "../../etc/passwd",
        "",
        "9",
        "<script>",
        "ä\n\x1b[2J",
    ]
    made = [names.make(name) for name in raw]
    assert made == [
        "conv1",
        "conv1_2",
        "CONV1_3",
        "a_b.c",
        "etc_passwd",
        "n",
        "n9",
        "script",
        "n2J",
    ]


def test_safe_names_stay_short_when_they_collide() -> None:
    names = SafeNames()
    made = {names.make("x" * 10_000) for _ in range(11)}
    assert len(made) == 11
    assert max(map(len, made)) == 60


def test_many_equal_names_take_no_longer_each() -> None:
    names, started = SafeNames(), time.process_time()
    assert len({names.make("same") for _ in range(20_000)}) == 20_000
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("a b", "a b"), ("a\nb\x1b\u202e", "a?b??"), ("y" * 61, "y" * 57 + "...")],
)
def test_printable(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_a_nameless_node_is_called_by_its_output() -> None:
    assert node_label("Conv", "", ("y",)) == "node of output 'y' (Conv)"
    assert node_label("Conv", "c", ("y",)) == "node 'c' (Conv)"
