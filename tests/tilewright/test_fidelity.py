"""Signal-to-noise and accuracy, against figures computed in another way."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization.qdq_loss_debug import (
    collect_activations,
    compute_activation_error,
    create_activation_matching,
    modify_model_output_intermediate_tensors,
)

from arch.errors import InputError
from arch.presets import PRESETS
from compiler.frontend import read_network
from tests.support.branching_models import random_branching_net
from tests.support.qdq_models import FloatNet, Reader, golden_output
from tilewright.fidelity import Comparison, Fidelity
from tilewright.images import Images
from tilewright.models import Calibrated, calibrated

SEED = 4
SMALL = PRESETS["small"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    net = random_branching_net(np.random.default_rng(SEED))
    rng = np.random.default_rng(SEED + 1)
    return np.asarray(rng.normal(size=(12, *net.input_shape[1:])), np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, images: np.ndarray) -> tuple[Path, Path]:
    """A random float network, and its images."""
    folder = tmp_path_factory.mktemp("float")
    onnx.save(random_branching_net(np.random.default_rng(SEED)).model(), folder / "m.onnx")
    np.savez(folder / "i.npz", images=images)
    return folder / "m.onnx", folder / "i.npz"


def compared(files: Calibrated, images: Images) -> Fidelity:
    comparison = Comparison(files.float_file, files.file, read_network(files.file), images)
    assert len(list(comparison.run())) == len(images.images)
    return comparison.result()


def test_noise_is_that_of_onnxruntimes_tool(
    source: tuple[Path, Path], images: np.ndarray, tmp_path: Path
) -> None:
    """It runs the quantised model in float32 and takes the mean of the images' decibels."""
    with calibrated(*source, None, SMALL) as files:
        image = images[:1]
        result = compared(files, Images(images=image, labels=None))
        activations = []
        for index, path in enumerate((files.float_file, files.file)):
            augmented = tmp_path / f"{index}.onnx"
            modify_model_output_intermediate_tensors(path, augmented)
            activations.append(collect_activations(str(augmented), Reader(image)))
    theirs = compute_activation_error(create_activation_matching(activations[1], activations[0]))
    ours = {each.tensor: each for each in result.tensors}
    both = ours.keys() & theirs.keys()
    assert len(both) >= 8
    for name in both:
        assert ours[name].snr_db == pytest.approx(theirs[name]["xmodel_err"], abs=0.5), name


def test_noise_over_several_images(source: tuple[Path, Path], images: np.ndarray) -> None:
    """The sums run over all images: once more for the output, and its rounding."""
    with calibrated(*source, None, SMALL) as files:
        result = compared(files, Images(images=images, labels=None))
        model = read_network(files.file)
        session = onnxruntime.InferenceSession(files.float_file)
        real = np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])
        found = golden_output(model, images)
    noise = 10 * np.log10(
        np.sum(real.astype(float) ** 2) / np.sum((real - found.astype(float)) ** 2)
    )
    last = result.tensors[-1]
    assert last.snr_db == pytest.approx(noise, abs=1e-4)
    assert last.snr_db is not None
    assert last.rounding_snr_db is not None
    assert last.rounding_snr_db >= last.snr_db
    assert result.tensors[0].operator == "input"
    assert result.tensors[0].snr_db == result.tensors[0].rounding_snr_db
    assert result.float_accuracy is result.quantised_accuracy is result.accuracy_change is None


def test_accuracy(source: tuple[Path, Path], images: np.ndarray) -> None:
    """Labels are the classes in float, but for one; the machine's classes come from its bytes."""
    with calibrated(*source, None, SMALL) as files:
        session = onnxruntime.InferenceSession(files.float_file)
        labels = np.array([session.run(None, {"x": i[None]})[0].argmax() for i in images])
        size = session.run(None, {"x": images[:1]})[0].size
        labels[0] = (labels[0] + 1) % size
        result = compared(files, Images(images=images, labels=labels))
        found = golden_output(read_network(files.file), images).reshape(len(images), -1)
    right = int(np.count_nonzero(found.argmax(axis=1) == labels))
    assert result.float_accuracy == 11 / 12
    assert result.quantised_accuracy == right / 12
    assert result.accuracy_change == right / 12 - 11 / 12


def test_labels_that_are_no_classes(source: tuple[Path, Path], images: np.ndarray) -> None:
    labels = np.full(len(images), 10**6)
    with calibrated(*source, None, SMALL) as files, pytest.raises(InputError, match="got 1000000;"):
        compared(files, Images(images=images, labels=labels))


def test_silence_has_no_decibels(source: tuple[Path, Path], images: np.ndarray) -> None:
    with calibrated(*source, None, SMALL) as files:
        result = compared(files, Images(images=np.zeros_like(images[:1]), labels=None))
    assert result.tensors[0].snr_db is None


@pytest.mark.parametrize("last", ["LogSoftmax", "Softmax", "ArgMax"])
def test_what_the_host_computes_last_stays_in_float(last: str, tmp_path: Path) -> None:
    """Also LRN in between; the classes are the scores' own."""
    net = FloatNet(np.random.default_rng(3), (1, 3, 8, 8))
    net.conv(6, (3, 3)).add("Relu").add("LRN", size=3, alpha=0.1)
    net.conv(6, (3, 3)).add("GlobalAveragePool").infer()
    net.add("Flatten").infer().gemm(5)
    onnx.save(net.model(), tmp_path / "plain.onnx")
    model = net.add(last, axis=1).model()
    if last == "ArgMax":
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, tmp_path / "m.onnx")
    images = np.random.default_rng(4).normal(size=(6, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "i.npz", images=images)
    session = onnxruntime.InferenceSession(tmp_path / "plain.onnx")
    labels = np.array([session.run(None, {"x": image[None]})[0].argmax() for image in images])
    results = []
    for name in ("plain.onnx", "m.onnx"):
        with calibrated(tmp_path / name, tmp_path / "i.npz", None, SMALL) as files:
            quantisers = [
                n for n in onnx.load(files.file).graph.node if n.op_type == "QuantizeLinear"
            ]
            results.append((len(quantisers), compared(files, Images(images=images, labels=labels))))
    (plain_count, plain), (count, result) = results
    assert count == plain_count
    assert result.float_accuracy == plain.float_accuracy == 1
    assert result.quantised_accuracy == plain.quantised_accuracy
    assert "LRN" in [each.operator for each in result.tensors]
