"""Float models from the command line: calibrated, compared with float, run on every simulator."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arch.presets import PRESETS
from compiler.driver import compile_file
from tests.support.agreement import Case, assert_agreement
from tests.support.command_line import DIGITS, tilewright
from tests.support.machines import rtl_machine
from tests.support.qdq_models import FloatNet, onnxruntime_output
from tilewright.images import load_images

FLOAT = DIGITS / "digits_float.onnx"
TEST = DIGITS / "test.npz"
CALIBRATION = DIGITS / "calibration.npz"
RTL_IMAGES = 3
# Measured on the 599 held-out images: 596 right in float, 595 quantised.
ACCURACY_LOST = 1 / 599


@pytest.fixture(autouse=True)
def _in_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fifty_images() -> None:
    """``c.npz``, to calibrate with."""
    np.savez("c.npz", images=load_images(CALIBRATION, 50).images)


@pytest.mark.parametrize(("config", "decibels"), [("small", 25), ("small16", 40)])
def test_the_digits_network_stays_accurate_and_every_simulator_agrees(
    config: str, decibels: float
) -> None:
    """With 16 bits, the noise is of values that the images to calibrate with did not take."""
    fifty_images()
    machine = ("--config", config)
    command = ("quantise", FLOAT, "--calibrate", "c.npz", "--images", TEST, "--out", "q.onnx")
    outcome = tilewright(*command, *machine, "--json")
    assert outcome.err == "calibrating on 50 images\ncomparing layer by layer\n"
    assert outcome.status == 0
    result = json.loads(outcome.out)
    assert (result["model"], result["images"]) == ("digits", 599)
    assert [each["layer"] for each in result["tensors"]] == [
        "images", "relu1", "relu2", "relu3", "pool", "head",
    ]  # fmt: skip
    assert all(each["snr_db"] > decibels for each in result["tensors"])
    assert result["float_accuracy"] > 0.99
    assert abs(result["accuracy_change"]) <= ACCURACY_LOST
    assert result["accuracy_change"] == result["quantised_accuracy"] - result["float_accuracy"]

    ran = json.loads(tilewright("run", "q.onnx", "--images", TEST, *machine, "--json").out)
    assert ran["accuracy"] == result["quantised_accuracy"]
    assert ran["mismatching_bytes"] == 0

    compiled = compile_file(Path("q.onnx"), PRESETS[config])
    images = load_images(TEST, RTL_IMAGES).images
    for image in compiled.model.input.quantise(images):
        assert_agreement(rtl_machine(config), Case(program=compiled.program, image=image))


def test_sixteen_bits_hold_what_they_were_calibrated_for() -> None:
    """13 bits (6.02 dB each) at every layer, of images that no layer has to clip."""
    fifty_images()
    command = ("quantise", FLOAT, "--calibrate", "c.npz", "--out", "q.onnx", "--json")
    result = json.loads(tilewright(*command, "--config", "small16").out)
    assert all(each["snr_db"] > 6.02 * 13 for each in result["tensors"])


def test_the_committed_file_is_what_calibrating_gives() -> None:
    tilewright("compile", DIGITS / "digits_int8.onnx", "--out", "theirs.bin")
    tilewright("compile", FLOAT, "--calibrate", CALIBRATION, "--out", "ours.bin")
    assert Path("ours.bin").read_bytes() == Path("theirs.bin").read_bytes()


def test_calibrating_on_the_way_gives_the_same_bytes() -> None:
    fifty_images()
    tilewright("quantise", FLOAT, "--calibrate", "c.npz", "--out", "q.onnx")
    tilewright("compile", "q.onnx", "--out", "two.bin")
    outcome = tilewright("compile", FLOAT, "--calibrate", "c.npz", "--out", "one.bin")
    assert (outcome.status, outcome.err) == (0, "calibrating on 50 images\n")
    assert Path("one.bin").read_bytes() == Path("two.bin").read_bytes()
    shape = ("--shape", "images=1,1,8,8")
    for options in (("--timing-only",), ("--images", TEST, "--count", "2")):
        run = ("run", FLOAT, "--calibrate", "c.npz", *shape, *options)
        assert tilewright(*run).status == 0, options


def test_the_file_runs_in_onnxruntime_with_equal_bytes() -> None:
    fifty_images()
    tilewright("quantise", FLOAT, "--calibrate", "c.npz", "--out", "q.onnx")
    test = load_images(TEST, None)
    logits = onnxruntime_output(Path("q.onnx"), test.images)
    right = int(np.count_nonzero(logits.argmax(axis=1) == test.labels))
    outcome = tilewright("run", "q.onnx", "--images", TEST, "--on", "golden", "--json")
    assert json.loads(outcome.out)["correct"] == right


def test_tables_for_eyes() -> None:
    fifty_images()
    outcome = tilewright("quantise", FLOAT, "--calibrate", "c.npz", "--out", "q.onnx")
    assert "digits, signal-to-noise" in outcome.out
    assert "accuracy in float  │  -" in outcome.out


def test_the_terminal_stays_clean() -> None:
    """Also of what libraries write to the file descriptors, and of their folders."""
    net = FloatNet(np.random.default_rng(0), (1, 3, 8, 8))
    net.conv(4, (3, 3)).batch_norm().add("HardSwish").add("GlobalAveragePool").infer()
    net.add("Flatten").infer().gemm(5)
    model = net.model(batch="N")
    unused = numpy_helper.from_array(np.ones(3, np.float32), "unused")
    model.graph.initializer.append(unused)  # ONNX Runtime warns of it
    onnx.save(model, "m.onnx")
    np.savez("i.npz", images=np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32))
    Path("tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tilewright.cli", "quantise", "m.onnx",
         "--calibrate", "i.npz", "--out", "q.onnx", "--json"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": "tmp"},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stderr == "calibrating on 4 images\ncomparing layer by layer\n"
    assert json.loads(done.stdout)["images"] == 4
    assert list(Path("tmp").iterdir()) == []


def test_an_open_image_size() -> None:
    net = FloatNet(np.random.default_rng(0), (1, 3, 8, 8)).conv(4, (3, 3))
    model = net.model()
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for axis, name in ((0, "N"), (2, "height"), (3, "width")):
        dims[axis].dim_param = name
    onnx.save(model, "m.onnx")
    images = np.random.default_rng(1).normal(size=(4, 3, 9, 12)).astype(np.float32)
    np.savez("i.npz", images=images)
    command = ("quantise", "m.onnx", "--calibrate", "i.npz", "--out", "q.onnx")
    outcome = tilewright(*command)
    assert outcome.err == (
        "tilewright: input 'x' must have a fixed shape, got [N, 3, height, width]; give it one, "
        "such as --shape x=1,3,224,224\n"
    )
    assert tilewright(*command, "--shape", "x=1,3,9,12").status == 0
    assert tilewright("run", "q.onnx", "--images", "i.npz").status == 0


# What is refused.


def saved(**arrays: Any) -> Callable[[], object]:
    return lambda: np.savez("i.npz", **arrays)


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


IMAGES: dict[str, tuple[Callable[[], object], str]] = {
    "no file": (
        lambda: None,
        "'i.npz': images must be in an .npz file that can be read: No such file or directory; "
        "give the path of one",
    ),
    "an empty archive": (
        saved(),
        "'i.npz': an image file must hold an array `images`, got nothing; "
        "save it with numpy.savez(path, images=..., labels=...)",
    ),
    "no images": (
        saved(images=zeros(0, 1, 8, 8)),
        "'i.npz': `images` must have shape [N, ...] without zeros, got [0, 1, 8, 8]; "
        "save the images one after the other along axis 0",
    ),
    "another shape": (
        saved(images=zeros(2, 1, 9, 8)),
        "images must be float32 [N, 1, 8, 8], got float32 [2, 1, 9, 8]; convert and reshape them",
    ),
    "another type": (
        saved(images=zeros(2, 1, 8, 8, dtype=np.uint8)),
        "'i.npz': `images` must be float32, got uint8; convert them and scale them as in training",
    ),
    "not a number": (
        saved(images=np.full((2, 1, 8, 8), np.nan, np.float32)),
        "images must be finite, got nan; remove such values",
    ),
    "labels of other images": (
        saved(images=zeros(2, 1, 8, 8), labels=np.zeros(3, np.int64)),
        "'i.npz': `labels` must be integers [2], one for each image, got int64 [3]; "
        "save the numbers of the classes",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
@pytest.mark.parametrize("verb", ["quantise", "compile"])
def test_images_that_are_refused(case: str, verb: str) -> None:
    make, message = IMAGES[case]
    make()
    before = sorted(Path().iterdir())
    outcome = tilewright(verb, FLOAT, "--calibrate", "i.npz", "--out", "out")
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"tilewright: {message}\n")
    assert sorted(Path().iterdir()) == before


def test_labels_that_are_no_classes() -> None:
    fifty_images()
    np.savez("l.npz", images=zeros(2, 1, 8, 8), labels=np.array([0, 10]))
    command = ("quantise", FLOAT, "--calibrate", "c.npz", "--images", "l.npz", "--out", "q.onnx")
    outcome = tilewright(*command)
    assert outcome.err.splitlines() == [
        "calibrating on 50 images",
        "tilewright: `labels` must be in 0..9, the classes of the model, got 10; "
        "number the classes from 0, or leave the labels out",
    ]
    assert outcome.status == 2
    assert not Path("q.onnx").exists()


def test_calibrating_a_built_in_network() -> None:
    outcome = tilewright("run", "lenet-5", "--timing-only", "--calibrate", "i.npz")
    assert outcome.err == (
        "tilewright: --calibrate and --shape go with an ONNX file, got the built-in network "
        "lenet-5; leave them out\n"
    )
    assert outcome.status == 2


@pytest.mark.parametrize("verb", ["compile", "quantise", "run"])
def test_the_name_of_a_built_in_network(verb: str) -> None:
    options = {"compile": (), "quantise": ("--calibrate", TEST, "--out", "q"), "run": ("-i", TEST)}
    outcome = tilewright(verb, "lenet-5", *options[verb])
    assert outcome.err == (
        "tilewright: MODEL must be an ONNX file here, got the built-in network lenet-5, which is "
        "shapes only; time it: tilewright run lenet-5 --timing-only\n"
    )
    assert (outcome.status, list(Path().iterdir())) == (2, [])


def test_weights_that_are_no_numbers() -> None:
    """The quantiser meets what no check before foresaw: still one line."""
    fifty_images()
    model = onnx.load(FLOAT)
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights.fill(np.nan)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(weights, model.graph.initializer[0].name)
    )
    onnx.save(model, "m.onnx")
    outcome = tilewright("quantise", "m.onnx", "--calibrate", "c.npz", "--out", "q.onnx")
    *_, last = outcome.err.splitlines()
    assert outcome.status == 2
    assert last.startswith("tilewright: "), outcome.err
    assert len(outcome.err.splitlines()) == 2
    assert not Path("q.onnx").exists()


def test_an_operator_that_is_not_supported() -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 8, 8]) for n in "xy")
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], "norm")
    constants = [numpy_helper.from_array(np.ones(1, np.float32), name) for name in "sb"]
    graph = helper.make_graph([node], "g", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "m.onnx")
    np.savez("i.npz", images=zeros(2, 1, 8, 8))
    outcome = tilewright("quantise", "m.onnx", "--calibrate", "i.npz", "--out", "q.onnx")
    assert outcome.err.startswith(
        "tilewright: node 'norm' (InstanceNormalization): operator InstanceNormalization is not "
        "supported; train with BatchNormalization, which needs no run-time statistics (supported:"
    )
