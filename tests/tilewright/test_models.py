"""Model files of the command line; what is refused of files stands in tests/e2e."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from arch.errors import CompileError, InputError
from arch.presets import PRESETS
from compiler.frontend import read_network
from compiler.input_shape import InputShape
from compiler.onnx_file import OPSETS
from compiler.words import check_words
from sim.network import AveragePool, Conv, MaxPool, Table
from tests.support.branching_models import random_branching_net
from tests.support.command_line import DIGITS
from tests.support.qdq_models import FloatNet
from tilewright import quantise
from tilewright.models import calibrated, parse_shape

SEED = 5


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x=1,3,224,224", InputShape(name="x", sizes=(1, 3, 224, 224))),
        ("input:0=1, 8", InputShape(name="input:0", sizes=(1, 8))),
        ("a=b=7", InputShape(name="a=b", sizes=(7,))),
    ],
)
def test_a_shape(text: str, shape: InputShape) -> None:
    assert parse_shape(text) == shape


def test_no_shape() -> None:
    assert parse_shape(None) is None


@pytest.mark.parametrize("text", ["", "x", "x=", "=1,2", "x=1,,2", "x=1x2", "x=-1", "x=²", "x=1e3"])
def test_no_shape_at_all(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_shape(text)
    assert str(error.value) == (
        f"--shape must be NAME=1,3,224,224, got '{text or '.'}'; "
        "give the input's name and a number for each dimension"
    )


def test_a_number_beyond_every_cap() -> None:
    with pytest.raises(InputError):
        parse_shape(f"x={'9' * 5000}")


@pytest.mark.parametrize("count", [1, 16, 64])
@pytest.mark.parametrize("place", [0, -1])
def test_every_image_counts(count: int, place: int, tmp_path: Path) -> None:
    """The range of the input is from its least to its greatest value, wherever that is."""
    images = np.zeros((count, 1, 8, 8), np.float32)
    images[place, 0, 3, 3] = 51
    np.savez(tmp_path / "i.npz", images=images)
    with calibrated(
        DIGITS / "digits_float.onnx", tmp_path / "i.npz", None, PRESETS["small"]
    ) as files:
        constants = {each.name: each for each in onnx.load(files.file).graph.initializer}
    assert numpy_helper.to_array(constants["images_scale"]) == np.float32(51 / 255)


def test_too_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quantise, "MAX_IMAGES", 2)
    np.savez("i.npz", images=np.zeros((3, 1, 8, 8), np.float32))
    with (
        pytest.raises(InputError) as error,
        calibrated(DIGITS / "digits_float.onnx", Path("i.npz"), None, PRESETS["small"]),
    ):
        pass
    assert str(error.value) == (
        "'i.npz': at most 2 images may calibrate a model, got 3; some hundred are enough"
    )


WORDS = {
    "8 bits": PRESETS["small"],
    "16 bits": PRESETS["small16"],
    "16 and 8 bits": PRESETS["small16"].model_copy(update={"weight_bits": 8}),
}


@pytest.mark.parametrize("words", WORDS)
def test_words(words: str, tmp_path: Path) -> None:
    """Activations and weights of the machine's widths; the model fits the machine and no other."""
    net = random_branching_net(np.random.default_rng(SEED))
    onnx.save(net.model(), tmp_path / "m.onnx")
    images = np.random.default_rng(1).normal(size=(4, *net.input_shape[1:])).astype(np.float32)
    np.savez(tmp_path / "i.npz", images=images)
    config = WORDS[words]
    with calibrated(tmp_path / "m.onnx", tmp_path / "i.npz", None, config) as files:
        network = read_network(files.file).network
    bits = {spec.bits for layer in network.layers for spec in (*layer.inputs, layer.output)}
    assert bits == {config.activation_bits}
    # Channels are shuffled by weights of 0 and 1, which are always of 8 bits.
    weights = [layer.weights for layer in network.layers if isinstance(layer, Conv)]
    assert {8 * each.itemsize for each in weights if each.max() > 1} == {config.weight_bits}
    for name, other in WORDS.items():
        fits = (
            other.activation_bits == config.activation_bits
            and other.weight_bits >= config.weight_bits
        )
        with nullcontext() if fits else pytest.raises(CompileError):
            check_words(network, other)
        assert fits or name != words


@pytest.mark.parametrize("words", ["8 bits", "16 bits"])
@pytest.mark.parametrize("opset", OPSETS)
def test_opsets(opset: int, words: str, tmp_path: Path) -> None:
    net = FloatNet(np.random.default_rng(0), (1, 3, 8, 8))
    net.conv(4, (3, 3)).batch_norm().add("HardSigmoid")
    net.add("MaxPool", kernel_shape=[2, 2]).add("GlobalAveragePool").infer()
    model = net.add("Flatten").infer().gemm(5).model(opset=opset)
    model.ir_version = max(model.ir_version, helper.find_min_ir_version_for(model.opset_import))
    onnx.save(model, tmp_path / "m.onnx")
    images = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "i.npz", images=images)
    with calibrated(tmp_path / "m.onnx", tmp_path / "i.npz", None, WORDS[words]) as files:
        kinds = [type(layer) for layer in read_network(files.file).network.layers]
    assert kinds == [Conv, Table, MaxPool, AveragePool, Conv]
