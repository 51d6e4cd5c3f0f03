"""The docs keep their word: pages follow the sources, links lead somewhere, commands do what is
shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.test_house import our_files
from tilewright.cli import app
from tilewright.docs import PAGES, ROOT, SESSIONS, Session, entries, refreshed

MARKDOWN = [path for path in our_files(ROOT) if path.suffix == ".md"]
NAMES = [path.relative_to(ROOT).as_posix() for path in MARKDOWN]

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
VERB = re.compile(r"(?<![\w-])make ([a-z]+)\b(?! sure)")
CODE = re.compile(r"`([^`\n]+)`|^(?:    |\$ )(.*)$", re.MULTILINE)
TILEWRIGHT = re.compile(r"(?:^|[\s/;|])tilewright ((?:generate|compile|run|[a-z]+\b)[^|;>]*)")

# A command that needs the RTL built is left to `make docs`.
SLOW = re.compile(r"^make |--on rtl")
# What depends on the machine that the docs were written on.
SPEED = re.compile(r"((?:per second|per_second|seconds)\W+)[\d.,]+")
SPACE = re.compile(r"[ ─━]+")


def code(markdown: str) -> Iterator[str]:
    """The commands and names that a page shows: spans, indented lines, lines after a prompt."""
    for span, line in CODE.findall(markdown):
        yield span or line


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    """The relative links of ``page`` that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            found.append(link)
        elif fragment:
            headings = HEADING.findall(FENCE.sub("", target.read_text("utf-8")))
            if fragment not in map(anchor, headings):
                found.append(link)
    return found


def make_verbs() -> set[str]:
    """The targets that a user calls."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    return set(phony.group(1).split())


def unknown_words(command: str) -> list[str]:
    """Of ``command`` (without `tilewright`): the subcommand or options that do not exist."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    words = command.split()
    subcommand = group.commands.get(words[0])
    if subcommand is None:
        return words[:1]
    known = {name for option in subcommand.params for name in option.opts} | {"--help"}
    return [word for word in words[1:] if re.match(r"--?[a-z]", word) and word not in known]


def comparable(output: str) -> str:
    """``output`` without what may change from one machine to the next."""
    return SPACE.sub(" ", SPEED.sub(r"\1~", output))


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    shown = (ROOT / "docs" / name).read_text("utf-8")
    assert shown == PAGES[name].text(), f"docs/{name} is out of date: run make docs"


@pytest.mark.parametrize("name", NAMES)
def test_links_resolve(name: str) -> None:
    assert not broken_links(ROOT / name)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One heading, here\n")
    page = tmp_path / "a.md"
    page.write_text("[1](b.md) [2](c.md) [3](b.md#one-heading-here) [4](b.md#two) [5](#none)")
    assert broken_links(page) == ["c.md", "b.md#two", "#none"]


@pytest.mark.parametrize("name", NAMES)
def test_make_verbs_exist(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    named = {verb for text in code(page) for verb in VERB.findall(text)}
    assert named <= make_verbs()


@pytest.mark.parametrize("name", NAMES)
def test_tilewright_commands_exist(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    named = [found for text in code(page) for found in TILEWRIGHT.findall(text)]
    assert not [word for command in named for word in unknown_words(command)]


def test_an_unknown_command_is_found() -> None:
    assert unknown_words("run model.onnx --images a.npz") == []
    assert unknown_words("run model.onnx --image a.npz") == ["--image"]
    assert unknown_words("simulate model.onnx") == ["simulate"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(index))


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_print_what_they_show(name: str, tmp_path: Path) -> None:
    page = (ROOT / name).read_text("utf-8")
    session = Session(page, tmp_path)
    for entry in entries(page):
        if not SLOW.search(entry.command):
            found = session.run(entry.command)
            assert comparable(found) == comparable(entry.output), f"$ {entry.command}"


def test_a_session_is_refreshed_where_it_stands() -> None:
    page = "a\n```console\n$ one\nold\nlines\n$ two \\\n  parts\n```\nb\n```\n$ three\n```\n"
    assert [entry.command for entry in entries(page)] == ["one", "two \\\n  parts"]
    assert refreshed(page, lambda command: f"<{len(command)}>\n") == (
        "a\n```console\n$ one\n<3>\n$ two \\\n  parts\n<13>\n```\nb\n```\n$ three\n```\n"
    )


def test_speed_does_not_count() -> None:
    assert comparable("│ cycles per second │ 1,234 │") == comparable("│ cycles per second │ 9.5 │")
    assert comparable("│ cycles │ 1 │") != comparable("│ cycles │ 2 │")
