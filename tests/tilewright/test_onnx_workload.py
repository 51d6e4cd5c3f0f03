"""ONNX files as workloads: the loops of every convolution and product, and what is not priced."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arch.errors import ModelError, TilewrightError
from sim.analytical.problem import Problem
from tests.support.command_line import DIGITS, tilewright
from tests.support.fuzz_seeds import write_seeds
from tests.support.mutate_models import mutated
from tilewright.networks.emit_onnx import float_model, quantised_model
from tilewright.networks.nodes import Role, Weighted
from tilewright.networks.registry import build
from tilewright.networks.synthetic import synthesise
from tilewright.onnx_workload import from_file
from tilewright.workload import Workload

DAMAGED = 300


def read(model: onnx.ModelProto, folder: Path, batch: int = 1) -> Workload:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return from_file(path, None, batch)


def model(
    *nodes: onnx.NodeProto, shape: tuple[int, ...], **constants: tuple[int, ...]
) -> onnx.ModelProto:
    """From ``x`` of ``shape`` to ``y``; constants by their shapes."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(s, np.float32), name) for name, s in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(operator: str, *inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


def loops(problem: Problem) -> tuple[object, ...]:
    return problem.bounds, problem.axes


@pytest.mark.parametrize("emit", [float_model, quantised_model])
@pytest.mark.parametrize("name", ["lenet-5", "mobilenet-v2", "shufflenet-v2", "resnet-18"])
def test_a_built_in_network_comes_back_from_its_file(name: str, emit: Any, tmp_path: Path) -> None:
    size = None if name == "lenet-5" else (64, 64)
    graph = build(name, size=size)
    expected = [
        loops(Problem.conv("", each.shape, batch=3))
        for each in graph.nodes
        if isinstance(each, Weighted) and each.role is not Role.SCALE
    ]
    found = read(emit(synthesise(graph)), tmp_path, batch=3)
    assert [loops(problem) for _, _, problem in found.layers] == expected


@pytest.mark.parametrize(
    ("nodes", "shape", "constants", "bounds"),
    [
        # Rows of a constant matrix: those of all images together.
        ([node("MatMul", "x", "w")], (1, 5, 6), {"w": (6, 7)}, (10, 1, 7, 6, 1, 1, 1, 1)),
        ([node("Gemm", "x", "w", transB=1)], (1, 6), {"w": (7, 6)}, (2, 1, 7, 6, 1, 1, 1, 1)),
        # A constant stack: a group for each matrix.
        ([node("MatMul", "x", "w")], (1, 3, 5, 6), {"w": (3, 6, 7)}, (10, 3, 7, 6, 1, 1, 1, 1)),
        # Activations by activations: a group for each matrix of each image.
        (
            [
                node("Transpose", "x", output="t", perm=[0, 1, 3, 2]),
                node("MatMul", "x", "t"),
            ],
            (1, 3, 5, 6),
            {},
            (5, 6, 5, 6, 1, 1, 1, 1),
        ),
        # A line is a map of one row.
        (
            [node("Conv", "x", "w", strides=[2], pads=[1, 1])],
            (1, 4, 9),
            {"w": (8, 4, 3)},
            (2, 1, 8, 4, 1, 5, 1, 3),
        ),
        (
            [node("Conv", "x", "w", group=2)],
            (1, 4, 9, 5),
            {"w": (8, 2, 3, 1)},
            (2, 2, 4, 2, 7, 5, 3, 1),
        ),
    ],
)
def test_two_images_as_loops(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...],
    constants: dict[str, tuple[int, ...]],
    bounds: tuple[int, ...],
    tmp_path: Path,
) -> None:
    (layer,) = read(model(*nodes, shape=shape, **constants), tmp_path, batch=2).layers
    assert layer[2].bounds == bounds


def test_what_is_not_priced_is_told(tmp_path: Path) -> None:
    given = model(
        node("Conv", "x", "w", output="a"),
        node("LayerNormalization", "a", "s", output="b"),
        node("Relu", "b", output="c"),
        node("Conv", "c", "v"),
        shape=(1, 3, 6, 6),
        w=(4, 3, 3, 3),
        v=(2, 4, 1, 1),
        s=(4,),
    )
    found = read(given, tmp_path)
    assert len(found.layers) == 2
    assert found.unpriced == {"LayerNormalization": 1, "Relu": 1}


def test_the_command_line_tells_too() -> None:
    outcome = tilewright("estimate", DIGITS / "digits_float.onnx", "--layer", "head")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "not priced: 3 Relu, 1 MaxPool, 1 Flatten"


def test_a_file_is_no_built_in_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called, and its graph."""
    given = model(node("Conv", "x", "w"), shape=(1, 3, 6, 6), w=(4, 3, 3, 3))
    given.graph.name = "alexnet"
    monkeypatch.chdir(tmp_path)
    path = Path("alexnet.onnx")
    path.write_bytes(given.SerializeToString())
    assert from_file(path, None, 1).network == str(path)
    outcome = tilewright("estimate", path, "--arch", "gemmini16")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == (
        f"tilewright: NETWORK must be a built-in one for machine, got '{path}'; give --dataflow "
        "free, or see tilewright compile for the cycles of a model's layers"
    )


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [node("Relu", "x")],
            "a model must have a convolution or a matrix product to be priced, got none",
        ),
        (
            [node("Relu", "x", output="w"), node("Conv", "x", "w", output="y", kernel_shape=[3])],
            "Conv",
        ),
    ],
)
def test_refusals(nodes: list[onnx.NodeProto], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read(model(*nodes, shape=(1, 3, 6, 6)), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("alexnetz",),
            "NETWORK must be an ONNX file or a built-in network, got 'alexnetz'; "
            "`tilewright networks` lists them",
        ),
        (
            ("alexnet", "--shape", "x=1,3,9,9"),
            "--shape goes with an ONNX file, got the built-in network alexnet; leave it out",
        ),
        (
            ("none.onnx",),
            "cannot read model file 'none.onnx': No such file or directory; give the path of an "
            "ONNX file",
        ),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    outcome = tilewright("estimate", *arguments)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == f"tilewright: {message}"


def test_damaged_models_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Replay: by the case that the message gives."""
    seeds = [path.read_bytes() for path in write_seeds(tmp_path)]
    path, refusals = tmp_path / "m.onnx", {}
    for case in range(DAMAGED):
        chance = random.Random(case)
        path.write_bytes(mutated(chance.choice(seeds), chance))
        try:
            from_file(path, None, 1)
        except TilewrightError as error:
            refusals[case] = str(error)
    assert not [case for case, message in refusals.items() if not message.isprintable()]
    assert DAMAGED / 20 < len(refusals) < DAMAGED
