"""Writes what the docs take from the sources and from the tool itself: `make docs`.

Some pages are generated whole. In the pages that show sessions, each command of a ``console`` block
is run again, and what it prints replaces what stood below it. The pictures are drawn again.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.schedule import schedule_network
from compiler.support import support_page
from tilewright.architecture_page import architecture_page
from tilewright.cli import app
from tilewright.networks.page import networks_page
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network
from tilewright.pictures import Picture, draw
from tilewright.reference import command_reference, configuration_reference, register_reference

ROOT = Path(__file__).resolve().parent.parent

SHOWN_NETWORK = "mobilenet-v1"
"""Whose layers the docs' pictures show, on gemmini16."""

COLUMNS = 140
"""Width of the terminal in sessions."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that ``source`` says all of."""

    source: str
    write: Callable[[], str]

    def text(self) -> str:
        """The Markdown, with a last line that says where to change it."""
        return f"{self.write().rstrip()}\n\n*Written from `{self.source}` by `make docs`.*\n"


def cli_reference() -> str:
    """Markdown of every command and option."""
    command = typer.main.get_command(app)
    return get_docs_for_click(obj=command, ctx=typer.Context(command), name="tilewright")


PAGES: dict[str, Page] = {
    "registers.md": Page(source="arch/registers.py", write=register_reference),
    "commands.md": Page(source="arch/commands.py", write=command_reference),
    "configuration.md": Page(source="arch/config.py", write=configuration_reference),
    "operators.md": Page(source="compiler/support.py", write=support_page),
    "architectures.md": Page(source="arch/architectures.py", write=architecture_page),
    "networks.md": Page(source="tilewright/networks", write=networks_page),
    "cli.md": Page(source="tilewright/cli.py", write=cli_reference),
}
"""By file name in docs/."""

SESSIONS = ("README.md", "docs/tutorial.md", "docs/add-a-preset.md")
"""Pages whose console blocks are sessions."""

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_FILE = re.compile(r"^```\w+\n# ([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A command of a session, and what it prints, stderr included."""

    command: str
    output: str


def entries(markdown: str) -> Iterator[Entry]:
    """The commands in the console blocks of a page."""
    for block in _BLOCK.finditer(markdown):
        for entry in _ENTRY.finditer(block.group(1)):
            yield Entry(*entry.groups())


class Session:
    """A scratch checkout in ``folder`` for the commands of one page.

    It holds the examples and the files that the page gives: blocks that begin with a comment of
    a file name.
    """

    def __init__(self, markdown: str, folder: Path) -> None:
        self._folder = folder
        (folder / "examples").symlink_to(ROOT / "examples")
        for name, text in _FILE.findall(markdown):
            (folder / name).write_text(text, "utf-8")

    def run(self, command: str) -> str:
        """What ``command`` prints. `make` runs in the checkout itself."""
        bin_folder = Path(sys.executable).parent
        environment = {name: text for name, text in os.environ.items() if "MAKE" not in name}
        environment |= {
            "PATH": os.pathsep.join([str(bin_folder), environment.get("PATH", os.defpath)]),
            "COLUMNS": str(COLUMNS),
        }
        finished = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT if command.startswith("make ") else self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return "".join(f"{line.rstrip()}\n" for line in finished.stdout.splitlines())


def refreshed(markdown: str, run: Callable[[str], str]) -> str:
    """The page with each command's output replaced by what ``run`` gives for it."""

    def entry(match: re.Match[str]) -> str:
        return f"$ {match.group(1)}\n{run(match.group(1))}"

    def block(match: re.Match[str]) -> str:
        return f"```console\n{_ENTRY.sub(entry, match.group(1))}```"

    return _BLOCK.sub(block, markdown)


def draw_pictures(folder: Path) -> None:
    """Draw one digit on `small`, and the layers of a larger network."""
    model = ROOT / "examples" / "digits" / "digits_int8.onnx"
    digits = compile_file(model, PRESETS["small"]).schedule
    draw(Picture.TIMELINE, digits, folder / "timeline.png", "png")
    network = shape_network(build(SHOWN_NETWORK))
    shown = schedule_network(network, PRESETS["gemmini16"], timing_only=True)
    draw(Picture.UTILIZATION, shown, folder / "utilization.png", "png")
    draw(Picture.ROOFLINE, shown, folder / "roofline.png", "png")


def main() -> None:
    """Write every page that is out of date, and the pictures."""
    draw_pictures(ROOT / "docs")
    pages = {ROOT / "docs" / name: page.text() for name, page in PAGES.items()}
    for name in SESSIONS:
        old = (ROOT / name).read_text("utf-8")
        with tempfile.TemporaryDirectory() as folder:
            pages[ROOT / name] = refreshed(old, Session(old, Path(folder)).run)
    for path, text in pages.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
