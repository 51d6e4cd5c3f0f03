"""The house rules that a linter does not know: file sizes, stray words, the lock."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

MAX_LINES = 500
SOURCE_SUFFIXES = {".py", ".v", ".sv", ".c", ".cpp", ".h", ".hpp", ".sh"}
# What a longer file says in its first lines, with the reason after it.
EXCUSE = re.compile(rf"\bOver {MAX_LINES} lines because \w+")
EXCUSE_WITHIN = 12

# Not the project's: outputs, caches, environments.
NOT_OURS = {"build", "sim_build", "__pycache__"}
HIDDEN_BUT_OURS = {".ci", ".gitignore"}

# One-letter classes keep a pattern from finding itself in this file.
STRAY = {
    "a folder of one machine": re.compile(r"(?<![\w.])/(?:[h]ome|[r]oot|[U]sers|[w]ork)/"),
    "a package registry's host": re.compile(r"[p]ypi\.org|[p]ythonhosted\.org"),
    "a test left out": re.compile(
        r"mark\.(?:[s]kip|[x]fail)|pytest\.(?:[s]kip|[x]fail)\(|[i]mportorskip"
    ),
    "a tracker's number, which explains nothing here": re.compile(r"\b[i]ssue #\d+"),
    "a merge left half done": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}
# Set-up reads these: where packages come from is the machine's choice.
HOSTLESS = ("pyproject.toml", "requirements.lock", "requirements-synth.lock", "Makefile", ".ci/run")


def our_files(folder: Path) -> Iterator[Path]:
    """Every file of the project under ``folder``."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in HIDDEN_BUT_OURS
        if hidden or path.name in NOT_OURS or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from our_files(path)
        else:
            yield path


def oversize(root: Path) -> list[str]:
    """Sources longer than the limit whose first lines give no reason."""
    found = []
    for path in our_files(root):
        if path.suffix in SOURCE_SUFFIXES:
            lines = path.read_text("utf-8").splitlines()
            if len(lines) > MAX_LINES and not EXCUSE.search("\n".join(lines[:EXCUSE_WITHIN])):
                found.append(
                    f"{path.relative_to(root)}: {len(lines)} lines, the limit is {MAX_LINES}"
                )
    return found


def stray(root: Path) -> list[str]:
    """``file:line: what`` for each text that has no place in the project."""
    found = []
    for path in our_files(root):
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # models, arrays and pictures
        for what, pattern in STRAY.items():
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(root)}:{line}: {what}: {match.group()}")
    return found


def lock(name: str = "requirements.lock") -> dict[str, str]:
    """Version by canonical name, as the lock pins them."""
    pins: dict[str, str] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            pins[canonicalize_name(name)] = version
    return pins


def test_no_file_is_too_long() -> None:
    found = oversize(ROOT)
    assert not found, "\n".join(found)


def test_a_long_file_is_named_unless_it_gives_a_reason(tmp_path: Path) -> None:
    body = "x = 1\n" * MAX_LINES
    (tmp_path / "fits.py").write_text(body)
    (tmp_path / "long.py").write_text(body + "y = 1\n")
    (tmp_path / "table.py").write_text(
        f'"""A table.\n\nOver {MAX_LINES} lines because it is one."""\n{body}'
    )
    (tmp_path / "late.py").write_text(f"{body}# Over {MAX_LINES} lines because it is one.\n")
    assert oversize(tmp_path) == [
        "late.py: 501 lines, the limit is 500",
        "long.py: 501 lines, the limit is 500",
    ]


def test_no_stray_text() -> None:
    found = stray(ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /" + "home/me/notes", "a folder of one machine: /" + "home/"),
        ("wheels from https://pypi." + "org", "a package registry's host: pypi." + "org"),
        ("@pytest.mark." + "skip", "a test left out: mark." + "skip"),
        ("<" * 7 + " ours", "a merge left half done: " + "<" * 7 + " "),
    ],
)
def test_stray_text_is_named(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(f"first line\n{text}\n")
    assert stray(tmp_path) == [f"docs/a.md:2: {what}"]


def test_relative_folders_are_not_stray(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "build/" + "work/x, ./" + "home/x, https://example.com/" + "home/x"
    )
    assert stray(tmp_path) == []


@pytest.mark.parametrize("name", HOSTLESS)
def test_set_up_names_no_host(name: str) -> None:
    assert not re.findall(
        r"\S*://\S*|--(?:extra-)?index-url|--find-links", (ROOT / name).read_text("utf-8")
    )


def test_the_lock_pins_every_dependency_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    pins = lock()
    for requirement in map(Requirement, declared):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"requirements.lock lacks {requirement.name}"
        assert requirement.specifier.contains(pin), f"{requirement} is locked at {pin}"


def test_the_lock_of_the_extra_pins_it_and_leaves_the_rest_to_the_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extra = [*map(Requirement, project["project"]["optional-dependencies"]["synth"])]
    pins = lock("requirements-synth.lock")
    assert pins.keys() == {canonicalize_name(requirement.name) for requirement in extra}
    assert not pins.keys() & lock().keys()
    for requirement in extra:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_lock_is_closed() -> None:
    # Set-up installs with --no-deps: what a pinned package needs must be pinned too.
    pins = lock()
    missing = [
        f"{name} needs {requirement}"
        for name in pins
        for requirement in map(Requirement, requires(name) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert not missing, "\n".join(missing)
