"""Train, export and quantise the digits example: ``python examples/digits/train.py``.

Writes beside itself ``digits_float.onnx``, ``digits_int8.onnx``, ``test.npz`` (the held-out third:
``images`` float32 [599, 1, 8, 8] in 0..1, ``labels`` int64 [599]) and ``calibration.npz`` (256
images of the other two thirds). Needs extra ``train``.
All seeds are fixed; another CPU or library version may still round its way to other weights.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
FLOAT_FILE = HERE / "digits_float.onnx"
INT8_FILE = HERE / "digits_int8.onnx"
TEST_FILE = HERE / "test.npz"
CALIBRATION_FILE = HERE / "calibration.npz"

SEED = 2
EPOCHS = 60
BATCH = 32
HELD_OUT = 599
CALIBRATION_IMAGES = 256

# (out channels, stride) of each 3x3 convolution, padding 1. The counts are no multiples of a
# power-of-two array, as in many real networks.
CONVOLUTIONS = ((12, 1), (20, 2), (30, 1))
CLASSES = 10

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def load_split() -> tuple[Images, Labels, Images, Labels]:
    """Training images and labels, then held-out images and labels: stratified, fixed seed."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    return train_images, train_labels, test_images, test_labels


class DigitsNet(nn.Module):
    """Three 3x3 convolutions with batch-norm and ReLU, 2x2 max pooling, a fully connected head."""

    def __init__(self) -> None:
        super().__init__()
        channels = (1, *(count for count, _ in CONVOLUTIONS))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
            for before, (after, stride) in zip(channels, CONVOLUTIONS, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count, _ in CONVOLUTIONS)
        self.head = nn.Linear(channels[-1] * 2 * 2, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10] of images [N, 1, 8, 8]."""
        maps = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            maps = torch.relu(norm(convolution(maps)))
        logits: torch.Tensor = self.head(torch.max_pool2d(maps, 2).flatten(1))
        return logits


def shifted(images: torch.Tensor) -> torch.Tensor:
    """The images moved by up to one pixel each way, all alike: cheap augmentation."""
    dy, dx = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(images, (dy, dx), dims=(2, 3))


def train(images: Images, labels: Labels) -> DigitsNet:
    """A network trained on the given images, in inference mode."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    model = DigitsNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(shifted(x[batch])), y[batch]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    return model


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Images, Images]:
    """Weights and bias of the one convolution that equals convolution, then batch-norm."""
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weights = convolution.weight * gain[:, None, None, None]
    bias = norm.bias - norm.running_mean * gain
    return weights.detach().numpy(), bias.detach().numpy()


def export(model: DigitsNet, path: Path) -> None:
    """Write the network as a plain ONNX graph, batch-norm folded."""
    nodes, initializers = [], []
    tensor = "images"
    pairs = zip(model.convolutions, model.norms, strict=True)
    for index, (convolution, norm) in enumerate(pairs, start=1):
        name, stride = f"conv{index}", CONVOLUTIONS[index - 1][1]
        weights, bias = folded(convolution, norm)
        initializers.append(numpy_helper.from_array(weights, f"{name}.weight"))
        initializers.append(numpy_helper.from_array(bias, f"{name}.bias"))
        nodes.append(
            helper.make_node(
                "Conv",
                [tensor, f"{name}.weight", f"{name}.bias"],
                [f"{name}_out"],
                name=name,
                kernel_shape=[3, 3],
                strides=[stride, stride],
                pads=[1, 1, 1, 1],
            )
        )
        nodes.append(
            helper.make_node("Relu", [f"{name}_out"], [f"relu{index}_out"], f"relu{index}")
        )
        tensor = f"relu{index}_out"
    nodes.append(
        helper.make_node(
            "MaxPool", [tensor], ["pool_out"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        )
    )
    nodes.append(helper.make_node("Flatten", ["pool_out"], ["vector"], name="flatten"))
    head = model.head
    initializers.append(numpy_helper.from_array(head.weight.detach().numpy(), "head.weight"))
    initializers.append(numpy_helper.from_array(head.bias.detach().numpy(), "head.bias"))
    nodes.append(
        helper.make_node(
            "Gemm", ["vector", "head.weight", "head.bias"], ["logits"], name="head", transB=1
        )
    )
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", CLASSES])],
        initializers,
    )
    onnx_model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="digits"
    )
    onnx.checker.check_model(onnx_model, full_check=True)
    onnx.save(onnx_model, path)


class ImageReader(CalibrationDataReader):
    """Feeds calibration images one by one."""

    def __init__(self, images: Images) -> None:
        self._feeds: Iterator[dict[str, Images]] = ({"images": image[None]} for image in images)

    def get_next(self) -> dict[str, Images] | None:
        """The next input of the model, None at the end."""
        return next(self._feeds, None)


def quantise(source: Path, target: Path, calibration: Images) -> None:
    """Write the QDQ model: int8 activations with zero points, int8 weights per channel."""
    quantize_static(
        source,
        target,
        ImageReader(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )


def accuracy(path: Path, images: Images, labels: Labels) -> float:
    """Share of images that ONNX Runtime classifies correctly."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images})
    return float(np.mean(logits.argmax(axis=1) == labels))


def main() -> None:
    """Train, export, quantise, and print both accuracies on the held-out third."""
    train_images, train_labels, test_images, test_labels = load_split()
    export(train(train_images, train_labels), FLOAT_FILE)
    calibration = train_images[:CALIBRATION_IMAGES]
    quantise(FLOAT_FILE, INT8_FILE, calibration)
    np.savez_compressed(CALIBRATION_FILE, images=calibration)
    np.savez_compressed(TEST_FILE, images=test_images, labels=test_labels)
    for path in (FLOAT_FILE, INT8_FILE):
        print(f"{path.name}: {accuracy(path, test_images, test_labels):.2%} of {HELD_OUT} images")


if __name__ == "__main__":
    main()
