"""Who may import whom, read from the sources: packages by a table, files without circles."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Package: our packages that it may import, itself aside.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "arch": frozenset(),
    "hw": frozenset({"arch"}),
    "sim": frozenset({"arch"}),
    "compiler": frozenset({"arch", "sim"}),
    "boards": frozenset({"arch", "hw"}),
    "tilewright": frozenset({"arch", "hw", "sim", "compiler", "boards"}),
}
# What single folders may import on top: the RTL runner builds the hardware that it runs.
EXTRA: dict[str, frozenset[str]] = {"sim.rtl": frozenset({"hw"})}
# The shared vocabulary is plain data.
BANNED_LIBRARIES: dict[str, frozenset[str]] = {"arch": frozenset({"numpy", "amaranth"})}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One Python file: its dotted module name, its path from the root, its text."""

    name: str
    path: str
    text: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


def sources(root: Path) -> dict[str, Source]:
    """Every Python file of our packages under ``root``, by module name."""
    found = {}
    for package in MAY_IMPORT:
        for file in sorted((root / package).rglob("*.py")):
            path = file.relative_to(root)
            parts = path.parent.parts if path.stem == "__init__" else path.with_suffix("").parts
            source = Source(
                name=".".join(parts), path=path.as_posix(), text=file.read_text("utf-8")
            )
            found[source.name] = source
    return found


def imports(source: Source, modules: dict[str, Source]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted target of each import, wherever in the file it stands.

    ``from p import m`` counts as ``p.m`` where ``p.m`` is a file of ours.
    """
    for node in ast.walk(ast.parse(source.text, source.path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = Path(source.path).parent.parts
                parents = folder[: len(folder) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in modules else base


def allowed(name: str) -> frozenset[str]:
    """Our packages that the module ``name`` may import."""
    extra = (more for folder, more in EXTRA.items() if f"{name}.".startswith(f"{folder}."))
    package = name.partition(".")[0]
    return frozenset({package}).union(MAY_IMPORT[package], *extra)


def violations(root: Path) -> list[str]:
    """``file:line: rule`` for each import that the tables above forbid."""
    modules = sources(root)
    found = []
    for source in modules.values():
        banned = BANNED_LIBRARIES.get(source.package, frozenset())
        allowance = allowed(source.name)
        for line, target in imports(source, modules):
            top = target.partition(".")[0]
            if top in MAY_IMPORT and top not in allowance:
                permitted = ", ".join(sorted(allowance))
                found.append(f"{source.path}:{line}: imports {target}, may import only {permitted}")
            elif top in banned:
                found.append(f"{source.path}:{line}: {source.package} must not import {top}")
    return found


def circle(root: Path) -> list[str]:
    """The paths along one import circle between files, first and last equal; empty if none."""
    modules = sources(root)
    graph = {
        source.name: sorted({target for _, target in imports(source, modules) if target in modules})
        for source in modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib lists a circle from the imported to the importing.
        return [modules[name].path for name in reversed(error.args[1])]
    return []


def test_packages_import_only_what_they_may() -> None:
    found = violations(ROOT)
    assert not found, "\n".join(found)


def test_no_circles_between_files() -> None:
    found = circle(ROOT)
    assert not found, " imports ".join(found)


def test_every_package_is_looked_at() -> None:
    assert {source.package for source in sources(ROOT).values()} == set(MAY_IMPORT)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("arch/a.py", "import numpy as np", "arch/a.py:1: arch must not import numpy"),
        ("arch/a.py", "from amaranth.hdl import C", "arch/a.py:1: arch must not import amaranth"),
        ("arch/a.py", "import sim", "arch/a.py:1: imports sim, may import only arch"),
        ("hw/a.py", "\nimport sim.x", "hw/a.py:2: imports sim.x, may import only arch, hw"),
        ("sim/a.py", "from hw import x", "sim/a.py:1: imports hw, may import only arch, sim"),
        ("sim/rtlx.py", "import hw", "sim/rtlx.py:1: imports hw, may import only arch, sim"),
        (
            "compiler/a/b.py",
            "def f():\n    from hw.c import g",
            "compiler/a/b.py:2: imports hw.c, may import only arch, compiler, sim",
        ),
        (
            "boards/a.py",
            "from tilewright import cli",
            "boards/a.py:1: imports tilewright, may import only arch, boards, hw",
        ),
        (
            "compiler/a/b.py",
            "from ...hw import x",
            "compiler/a/b.py:1: imports hw, may import only arch, compiler, sim",
        ),
    ],
)
def test_a_forbidden_import_is_named(tmp_path: Path, path: str, text: str, message: str) -> None:
    write(tmp_path, {path: text})
    assert violations(tmp_path) == [message]


def test_permitted_imports_pass(tmp_path: Path) -> None:
    files = {
        "sim/rtl/a.py": "import hw.x\nimport numpy",
        "sim/rtl/__init__.py": "from hw import x",
        "tilewright/a.py": "import arch, hw, sim, compiler, boards, numpy",
        "arch/a.py": "import dataclasses\nfrom . import b\nfrom arch.b import c",
    }
    write(tmp_path, files)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"arch/a.py": "import arch.b", "arch/b.py": "from arch.a import f"}, {"a", "b"}),
        ({"arch/a.py": "from arch import b", "arch/b.py": "from . import a"}, {"a", "b"}),
        (
            {
                "arch/a.py": "import arch.b",
                "arch/b.py": "import arch.c",
                "arch/c.py": "def f():\n    import arch.a",
            },
            {"a", "b", "c"},
        ),
        (
            {"arch/__init__.py": "from arch.a import f", "arch/a.py": "import arch"},
            {"__init__", "a"},
        ),
    ],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], expected: set[str]) -> None:
    write(tmp_path, files)
    found = circle(tmp_path)
    assert {Path(path).stem for path in found} == expected
    assert found[0] == found[-1]


def test_a_circle_is_told_from_importing_to_imported(tmp_path: Path) -> None:
    files = {
        "arch/a.py": "import arch.b",
        "arch/b.py": "import arch.c",
        "arch/c.py": "import arch.a",
    }
    write(tmp_path, files)
    assert set(pairwise(circle(tmp_path))) == {
        ("arch/a.py", "arch/b.py"),
        ("arch/b.py", "arch/c.py"),
        ("arch/c.py", "arch/a.py"),
    }


def test_a_chain_is_no_circle(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"arch/a.py": "import arch.b, arch.c", "arch/b.py": "import arch.c", "arch/c.py": ""},
    )
    assert circle(tmp_path) == []
