"""Files that take long to build, kept under the hash of all that they are made from."""

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.toolchain import cache_folder, tool_versions


def cached_file(name: str, ingredients: object, build: Callable[[Path], Path]) -> Path:
    """The file ``name`` made from ``ingredients`` (anything that JSON can write) and from the tools
    in their present versions.

    Unless it is in the cache, ``build`` makes it in the scratch folder that it is given, and
    returns its path. Safe for several processes at once: the first builds, the others wait. An
    exception of ``build`` leaves nothing behind.
    """
    text = json.dumps([ingredients, tool_versions()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = cache_folder() / "rtl"
    folder.mkdir(exist_ok=True)
    path = folder / f"{digest}-{name}"
    if path.exists():
        return path
    with _locked(folder / f"{digest}.lock"), tempfile.TemporaryDirectory(dir=folder) as scratch:
        if not path.exists():  # another process may have built it while this one waited
            # Renaming is atomic: no one ever sees half a file.
            build(Path(scratch)).replace(path)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds ``path`` locked; the system unlocks it when the process ends, however that happens."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
