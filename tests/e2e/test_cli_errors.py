"""Whatever is wrong with what a user gives: one line on stderr, exit status 2, no file written."""

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from arch.presets import PRESETS
from compiler.integer_operators import INTEGER_OPERATORS
from compiler.support import OPERATORS
from tests.support.command_line import DIGITS, tilewright
from tests.support.qdq_graph import QdqGraph
from tilewright import images

INT8 = DIGITS / "digits_int8.onnx"
TEST = DIGITS / "test.npz"


@pytest.fixture(autouse=True)
def _in_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def assert_refused(message: str, *arguments: str | Path) -> None:
    """The command must fail with ``message`` alone, and leave the folder as it was."""
    before = files()
    outcome = tilewright(*arguments)
    assert outcome.err == f"tilewright: {message}\n"
    assert (outcome.status, outcome.out) == (2, "")
    assert files() == before


# Model files.

NOT_ONNX = "'m.onnx' is not an ONNX model, or is truncated; copy or export the file again"
SUPPORTED = ", ".join(sorted({*OPERATORS, *INTEGER_OPERATORS}))


def write_model(path: Path, graph: QdqGraph) -> None:
    path.write_bytes(graph.model().SerializeToString())


def external_data(path: Path) -> None:
    model = QdqGraph().qdq().conv().qdq().model()
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    path.write_bytes(model.SerializeToString())


def asymmetric_weights(path: Path) -> None:
    graph = QdqGraph().qdq()
    weights = graph.weights("w", np.ones((4, 3, 3, 3)), zero_point=3)
    write_model(path, graph.node("Conv", weights, name="conv").qdq())


def wide_layer(path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 1, 1100)).qdq()
    weights = graph.weights("w", np.ones((4, 3, 1, 1100)))
    write_model(path, graph.node("Conv", weights, name="conv").qdq())


MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (
        lambda _: None,
        "cannot read model file 'm.onnx': No such file or directory; give the path of an ONNX file",
    ),
    "folder": (Path.mkdir, "model file 'm.onnx' must be a regular file; give an ONNX file"),
    "empty": (lambda path: path.write_bytes(b""), NOT_ONNX),
    "text": (lambda path: path.write_text("hello\n"), NOT_ONNX),
    "truncated": (lambda path: path.write_bytes(INT8.read_bytes()[:-1000]), NOT_ONNX),
    "external data": (
        external_data,
        "tensor 'q0_scale' must be stored in the model file, got external data; "
        "save the model with onnx.save(model, path, save_as_external_data=False)",
    ),
    "unsupported operator": (
        lambda path: write_model(path, QdqGraph().qdq().conv().qdq().node("TopK", name="top")),
        "node 'top' (TopK): operator TopK is not supported; remove it from the model and "
        f"compute it on the host (supported: {SUPPORTED})",
    ),
    "unsupported attribute": (
        lambda path: write_model(path, QdqGraph().qdq().conv(fused="yes").qdq()),
        "node 'conv' (Conv): attribute 'fused' is not supported; remove it (supported: auto_pad, "
        "dilations, group, kernel_shape, pads, strides)",
    ),
    "float": (
        lambda path: path.write_bytes((DIGITS / "digits_float.onnx").read_bytes()),
        "the model must be quantised, got a float one; "
        "give images to calibrate it with: --calibrate IMAGES.npz",
    ),
    "weights with a zero point": (
        asymmetric_weights,
        "node 'conv' (Conv): the zero point of int8 and int16 weights must be 0, got 3; "
        "quantise with extra_options={'WeightSymmetric': True}",
    ),
    "a layer that fits no tiling": (
        wide_layer,
        "conv: 3 input channels of one output pixel must fit the activation buffer beside one bank "
        "of outputs: they take 3300 bytes, 3072 are there, short by 228; "
        "raise activation_buffer_bytes",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_model(case: str) -> None:
    make, message = MODELS[case]
    make(Path("m.onnx"))
    assert_refused(message, "compile", "m.onnx", "--config", "tiny", "--out", "image.bin")


# Images.

NOT_NPZ = (
    "'i.npz': images must be in an .npz archive of plain arrays, which this is not, or no longer; "
    "save it with numpy.savez(path, images=..., labels=...)"
)
LABELS = "'i.npz': `labels` must be integers [2], one for each image, got"


def saved(**arrays: Any) -> Callable[[Path], object]:
    return lambda path: np.savez(path, **arrays)


def zeros(*shape: int, dtype: type = np.float32) -> NDArray[np.generic]:
    return np.zeros(shape, dtype)


def with_value(value: float) -> NDArray[np.float32]:
    images = np.zeros((2, 1, 8, 8), np.float32)
    images[1, 0, 3, 3] = value
    return images


def bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, zeros(2, 1, 8, 8))


def zipped(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


def with_header(path: Path, header: str) -> None:
    """An array of no data behind ``header``."""
    text = f"{header:117}\n".encode()
    zipped(path, "images.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def huge(path: Path) -> None:
    with_header(
        path, "{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944, 1, 8, 8), }"
    )


IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (
        lambda _: None,
        "'i.npz': images must be in an .npz file that can be read: No such file or directory; "
        "give the path of one",
    ),
    "folder": (Path.mkdir, "'i.npz': images must be in a regular file; give an .npz file"),
    "pipe": (os.mkfifo, "'i.npz': images must be in a regular file; give an .npz file"),
    "empty": (lambda path: path.write_bytes(b""), NOT_NPZ),
    "text": (lambda path: path.write_text("hello\n"), NOT_NPZ),
    "truncated": (lambda path: path.write_bytes(TEST.read_bytes()[:-100]), NOT_NPZ),
    "a bare array": (bare_array, NOT_NPZ),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2])), NOT_NPZ),
    "pickled arrays": (saved(images=np.array([None, {}])), NOT_NPZ),
    "an array that claims 64 terabytes": (huge, NOT_NPZ),
    "a header cut off": (lambda path: with_header(path, "{'descr': '<f4', 'shape': (1,"), NOT_NPZ),
    "no array `images`": (
        saved(x=zeros(2, 1, 8, 8), y=zeros(2)),
        "'i.npz': an image file must hold an array `images`, got x, y; "
        "save it with numpy.savez(path, images=..., labels=...)",
    ),
    "files that are no arrays": (
        lambda path: zipped(path, "images.npy", b"\x93NUMPE and so on"),
        "'i.npz': an image file must hold an array `images`, got nothing; "
        "save it with numpy.savez(path, images=..., labels=...)",
    ),
    "no array": (
        saved(),
        "'i.npz': an image file must hold an array `images`, got nothing; "
        "save it with numpy.savez(path, images=..., labels=...)",
    ),
    "a number": (
        saved(images=np.float32(1)),
        "'i.npz': `images` must have shape [N, ...] without zeros, got []; "
        "save the images one after the other along axis 0",
    ),
    "no image": (
        saved(images=zeros(0, 1, 8, 8)),
        "'i.npz': `images` must have shape [N, ...] without zeros, got [0, 1, 8, 8]; "
        "save the images one after the other along axis 0",
    ),
    "another shape": (
        saved(images=zeros(2, 8, 8)),
        "images must be float32 [N, 1, 8, 8], got float32 [2, 8, 8]; convert and reshape them",
    ),
    "bytes": (
        saved(images=zeros(2, 1, 8, 8, dtype=np.uint8)),
        "'i.npz': `images` must be float32, got uint8; convert them and scale them as in training",
    ),
    "doubles": (
        saved(images=zeros(2, 1, 8, 8, dtype=np.float64)),
        "'i.npz': `images` must be float32, got float64; convert them and scale them as in "
        "training",
    ),
    "not a number": (
        saved(images=with_value(np.nan)),
        "images must be finite, got nan; remove such values",
    ),
    "infinite": (
        saved(images=with_value(-np.inf)),
        "images must be finite, got -inf; remove such values",
    ),
    "too few labels": (
        saved(images=zeros(2, 1, 8, 8), labels=np.zeros(1, np.int64)),
        f"{LABELS} int64 [1]; save the numbers of the classes",
    ),
    "one-hot labels": (
        saved(images=zeros(2, 1, 8, 8), labels=np.zeros((2, 10), np.int64)),
        f"{LABELS} int64 [2, 10]; save the numbers of the classes",
    ),
    "labels that are no integers": (
        saved(images=zeros(2, 1, 8, 8), labels=zeros(2)),
        f"{LABELS} float32 [2]; save the numbers of the classes",
    ),
    "labels that are no classes": (
        saved(images=zeros(2, 1, 8, 8), labels=np.array([0, 10])),
        "`labels` must be in 0..9, the classes of the model, got 10; "
        "number the classes from 0, or leave the labels out",
    ),
    "negative labels": (
        saved(images=zeros(2, 1, 8, 8), labels=np.array([-1, 1])),
        "`labels` must be in 0..9, the classes of the model, got -1; "
        "number the classes from 0, or leave the labels out",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images(case: str) -> None:
    make, message = IMAGES[case]
    make(Path("i.npz"))
    outputs = ("--timeline", "t.json", "--plot", "t.png")
    assert_refused(message, "run", INT8, "--images", "i.npz", *outputs)


def test_images_that_unpack_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10_000)
    np.savez_compressed("i.npz", images=zeros(50, 1, 8, 8))
    size = 128 + 50 * 64 * 4
    assert_refused(
        f"'i.npz': an image file may hold at most 10000 bytes unpacked, got {size}; split it",
        *("run", INT8, "--images", "i.npz"),
    )


@pytest.mark.parametrize("count", [0, -1, 600])
def test_count(count: int) -> None:
    assert_refused(
        f"--count must be in 1..599, the images in '{TEST}', got {count}; leave it out to run all",
        *("run", INT8, "--images", TEST, "--count", str(count)),
    )


# Configurations.


def toml(old: str = "", new: str = "") -> Callable[[Path], object]:
    text = PRESETS["tiny"].to_toml()
    assert old in text
    return lambda path: path.write_text(text.replace(old, new))


CONFIGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (
        lambda _: None,
        "a configuration must be a preset's name or a readable TOML file: "
        "c.toml: No such file or directory",
    ),
    "folder": (
        Path.mkdir,
        "a configuration must be a preset's name or a readable TOML file: c.toml: Is a directory",
    ),
    "no TOML": (
        lambda path: path.write_text("rows: 4\n"),
        "a configuration must be valid TOML: "
        "Expected '=' after a key in a key/value pair (at line 1, column 5)",
    ),
    "no text": (
        lambda path: path.write_bytes(b"\xff\xfe"),
        "a configuration must be UTF-8 text: c.toml is not",
    ),
    "unknown field": (
        toml("rows = 4", "rowz = 4\nrows = 4"),
        "rowz is not a field of a configuration, got 4; did you mean rows?",
    ),
    "missing field": (toml("cols = 4\n"), "cols must be given, got no value"),
    "value out of range": (
        toml("rows = 4", "rows = 400"),
        "rows must be less than or equal to 64, got 400",
    ),
    "value of another type": (
        toml("rows = 4", 'rows = "four"'),
        "rows must be a valid integer, unable to parse string as an integer, got 'four'",
    ),
    "value that breaks a rule": (
        toml("burst_beats = 16", "burst_beats = 12"),
        "burst_beats must be a power of two, got 12",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_config(case: str) -> None:
    make, message = CONFIGS[case]
    make(Path("c.toml"))
    assert_refused(message, "generate", "--config", "c.toml", "--out", "out")
    assert_refused(message, "compile", INT8, "--config", "c.toml", "--out", "image.bin")
    assert_refused(message, "run", INT8, "-i", TEST, "--config", "c.toml", "--timeline", "t.json")


def test_unknown_preset() -> None:
    assert_refused(
        "a configuration must be a preset (tiny, small, small16, ecp5_85f, gemmini16) or a .toml "
        "file, got 'smal'",
        *("generate", "--config", "smal", "--out", "out"),
    )


# Where to write.


def refusal(option: str, path: str, reason: str) -> str:
    return f"{option} must be a file that can be written, got '{path}': {reason}; choose another"


@pytest.mark.parametrize("option", ["--timeline", "--plot", "--vcd"])
def test_output_of_a_run(option: str) -> None:
    command = ("run", INT8, "--images", TEST, "--on", "rtl", option)
    assert_refused(refusal(option, "no/t.png", "there is no folder 'no'"), *command, "no/t.png")
    Path("d.png").mkdir()
    assert_refused(refusal(option, "d.png", "it is no regular file"), *command, "d.png")
    Path("file").touch()
    message = refusal(option, "file/t.png", "there is no folder 'file'")
    assert_refused(message, *command, "file/t.png")
    long = f"{'x' * 300}.png"
    assert_refused(refusal(option, long, "File name too long"), *command, long)


def test_output_of_compile() -> None:
    command = ("compile", INT8, "--out")
    assert_refused(refusal("--out", "no/i", "there is no folder 'no'"), *command, "no/i")
    assert_refused(refusal("--out", "/dev/null", "it is no regular file"), *command, "/dev/null")


def test_output_of_generate() -> None:
    Path("file").touch()
    assert_refused(
        "--out must be a folder that can be written, got 'file': File exists; choose another",
        *("generate", "--config", "tiny", "--out", "file"),
    )
    Path("out/tiny.toml").mkdir(parents=True)
    assert_refused(
        refusal("--out", "out/tiny.toml", "it is no regular file"),
        *("generate", "--config", "tiny", "--out", "out"),
    )


def test_a_plot_of_another_kind() -> None:
    assert_refused(
        "--plot must end in .png or .svg, got 't.pdf'; rename it",
        *("run", INT8, "--images", TEST, "--plot", "t.pdf"),
    )


@pytest.mark.parametrize("on", ["golden", "command"])
def test_a_waveform_of_no_rtl(on: str) -> None:
    assert_refused(
        f"--vcd needs --on rtl, got --on {on}; only the RTL has waveforms",
        *("run", INT8, "--images", TEST, "--on", on, "--vcd", "w.vcd"),
    )


# The command itself.

USAGE = {
    ("frob",): "No such command 'frob'; see tilewright --help",
    ("run",): "Missing argument 'MODEL'; see tilewright run --help",
    ("run", "m"): "--images must be given, got no value; or only time it: --timing-only",
    ("run", "m", "n"): "Got unexpected extra argument(s) (n); see tilewright run --help",
    ("run", "m", "-i", "i", "n"): "Got unexpected extra argument(s) (n); see tilewright run --help",
    ("compile", "m", "--jsn"): (
        "No such option: --jsn (Possible options: --json); see tilewright compile --help"
    ),
    ("generate",): "Missing option '--out' / '-o'; see tilewright generate --help",
    ("run", "m", "-i", "i", "--on", "gpu"): (
        "Invalid value for '--on': 'gpu' is not one of 'golden', 'command', 'rtl'; "
        "see tilewright run --help"
    ),
    ("run", "m", "-i", "i", "--count", "all"): (
        "Invalid value for '--count' / '-n': Input should be a valid integer, unable to parse "
        "string as an integer; see tilewright run --help"
    ),
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage(arguments: tuple[str, ...]) -> None:
    assert_refused(USAGE[arguments], *arguments)


def test_no_command_shows_the_help() -> None:
    outcome = tilewright()
    assert (outcome.status, outcome.err) == (2, "")
    assert "Usage: tilewright" in outcome.out
    assert all(name in outcome.out for name in ("generate", "compile", "run"))


# In a process of its own.


def process(
    *arguments: str | Path, stdout: int | IO[str] = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "tilewright.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": root, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )


def test_a_missing_compiler() -> None:
    done = process(
        *("run", INT8, "--images", TEST, "--config", "tiny", "--on", "rtl", "--vcd", "w.vcd"),
        PATH=str(Path.cwd()),
    )
    assert done.stderr.splitlines() == [
        "generating and building the RTL (about a minute the first time)",
        "tilewright: g++, the C++ compiler, must be on PATH, got none: install it "
        "(Debian, Ubuntu: apt-get install g++)",
    ]
    assert (done.returncode, done.stdout) == (2, "")
    assert files() == set()


def test_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        done = process("compile", INT8, stdout=full)
    assert done.stderr == (
        "tilewright: a file could not be read or written: [Errno 28] No space left on device\n"
    )
    assert done.returncode == 2


def test_a_reader_that_leaves_early() -> None:
    read, write = os.pipe()
    os.close(read)
    done = process("compile", INT8, "--json", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
