"""What the command line says of steps of the host: what runs where, and what it moves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from tests.support.command_line import tilewright
from tests.support.host_models import random_host_model
from tests.support.qdq_graph import QdqGraph

CLASSES, IMAGES = 6, 8
NORM = {
    "name": "norm",
    "kind": "LRN",
    "output": "6x5x6",
    "layers_before": 1,
    "read_bytes": 180,
    "written_bytes": 180,
}


def classifier(*end: str) -> QdqGraph:
    """A convolution, LRN, global pooling, and what is to follow; scales are powers of 2."""
    graph = QdqGraph().qdq(2.0**-4)
    values = np.random.default_rng(5).integers(-60, 60, (CLASSES, 3, 1, 1))
    graph.node("Conv", graph.weights("w", values, scale=2.0**-5), name="conv").qdq(2.0**-4)
    graph.node("LRN", name="norm", size=3, alpha=0.1).qdq(2.0**-5)
    graph.node("GlobalAveragePool", name="pool").qdq(2.0**-7).node("Flatten")
    for operator in end:
        graph.node(operator, name=operator.lower(), axis=1)
    if "ArgMax" in end:
        graph.elements = TensorProto.INT64
    return graph


def saved(folder: Path, graph: QdqGraph) -> tuple[str, str]:
    """The paths of the model and of images whose labels are what it gives."""
    model, images = graph.save(folder), folder / "images.npz"
    values = np.random.default_rng(6).normal(size=(IMAGES, 3, 6, 5)).astype(np.float32)
    np.savez(images, images=values)
    return str(model), str(images)


def report(*arguments: str) -> Any:
    outcome = tilewright(*arguments, "--json")
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def rows(text: str) -> list[list[str]]:
    return [line.replace("│", " ").split() for line in text.splitlines()]


def test_the_compile_report(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, classifier("Softmax"))
    softmax = {
        "name": "softmax_out",
        "kind": "Softmax",
        "output": "1x6",
        "layers_before": 2,
        "read_bytes": 6,
        "written_bytes": 0,
    }
    found = report("compile", model, "-c", "tiny")
    assert found["host"] == [NORM, softmax]
    assert len(found["programs"]) == 2
    assert [each["name"] for each in found["layers"]] == ["conv", "pool"]
    table = rows(tilewright("compile", model, "-c", "tiny").out)
    names = [row[0] for row in table if row]
    order = ["conv", "norm", "pool", "softmax_out", "sum", "host"]
    assert [name for name in names if name in order] == order
    assert ["norm", "LRN", "6x5x6", "host", *"-----", "host", "-", "360"] in table
    assert ["host", "366"] in table


def test_a_model_without_the_host_says_nothing_of_it(tmp_path: Path) -> None:
    model = str(QdqGraph().qdq().conv().qdq().save(tmp_path))
    assert report("compile", model)["host"] == []
    assert "host" not in tilewright("compile", model).out
    assert "host" not in tilewright("run", model, "--timing-only").out


def test_timing_claims_no_cycles_for_the_host(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, classifier())
    found = report("run", model, "-c", "tiny", "--timing-only")
    assert found["host"] == [NORM]
    assert [each["name"] for each in found["layers"]] == ["conv", "pool"]
    # Each of the two programs ends two cycles after its last command is done.
    assert found["cycles"] == sum(each["cycles"] for each in found["layers"]) + 4
    assert found["cycles"] == found["counters"]["cycles"]
    table = rows(tilewright("run", model, "-c", "tiny", "--timing-only").out)
    # Neither cycles nor utilization nor bounds.
    assert ["norm", "LRN", "6x5x6", "host", *"----", "180", "180"] in table
    assert ["host", "180", "180"] in table


@pytest.mark.parametrize("end", [("Softmax",), ("LogSoftmax",), ("ArgMax",), ("Softmax", "ArgMax")])
def test_accuracy_is_that_of_the_plain_scores(end: tuple[str, ...], tmp_path: Path) -> None:
    model, images = saved(tmp_path, classifier())
    values = np.load(images)["images"]
    # Some labels are met, some are not.
    np.savez(images, images=values, labels=np.arange(IMAGES) % CLASSES)
    plain = report("run", model, "-i", images, "-c", "tiny")
    model = str(classifier(*end).save(tmp_path))
    found = report("run", model, "-i", images, "-c", "tiny")
    assert found["correct"] == plain["correct"]
    assert found["mismatching_bytes"] == 0
    assert [each["kind"] for each in found["host"]] == ["LRN", " ".join(end)]
    assert len(found["parts"]) == 2
    counters = found["counters"]
    assert counters == {name: sum(part[name] for part in found["parts"]) for name in counters}
    assert found["cycles_per_image"] == counters["cycles"] == plain["counters"]["cycles"]


def test_the_table_of_a_run(tmp_path: Path) -> None:
    model, images = saved(tmp_path, classifier("ArgMax"))
    table = rows(tilewright("run", model, "-i", images, "-c", "tiny", "--on", "golden").out)
    for name, kind, read, written in (("norm", "LRN", 180, 180), ("argmax_out", "ArgMax", 6, 0)):
        said = f"{name} ({kind}) on the host, {read} bytes read, {written} written"
        assert said.split() in table


def test_labels_need_one_class(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().qdq().node("ArgMax", axis=1)
    graph.elements = TensorProto.INT64
    model, images = saved(tmp_path, graph)
    np.savez(images, images=np.load(images)["images"], labels=np.zeros(IMAGES, np.int64))
    outcome = tilewright("run", model, "-i", images)
    assert outcome.status == 2
    assert outcome.err == (
        "tilewright: `labels` need a model whose first output is one class, got indices "
        "[1, 1, 4, 3]; leave the labels out\n"
    )


def test_labels_beyond_the_range_of_an_argmax(tmp_path: Path) -> None:
    model, images = saved(tmp_path, classifier("ArgMax"))
    np.savez(images, images=np.load(images)["images"], labels=np.full(IMAGES, CLASSES))
    outcome = tilewright("run", model, "-i", images)
    assert outcome.status == 2
    assert "`labels` must be in 0..5, the classes of the model, got 6" in outcome.err


def test_the_trace_and_the_picture(tmp_path: Path) -> None:
    model, images = saved(tmp_path, classifier("Softmax"))
    trace, picture = tmp_path / "trace.json", tmp_path / "picture.svg"
    found = report(
        "run", model, "-i", images, "-n", "1", "-c", "tiny",
        "--timeline", str(trace), "--plot", str(picture),
    )  # fmt: skip
    events = json.loads(trace.read_text())["traceEvents"]
    first, second = (part["cycles"] for part in found["parts"])
    host = [event for event in events if event["ph"] == "i"]
    assert [(event["name"], event["ts"], event["args"]) for event in host] == [
        ("norm (LRN)", first, {"read_bytes": 180, "written_bytes": 180}),
        ("softmax_out (Softmax)", first + second, {"read_bytes": 6, "written_bytes": 0}),
    ]
    (thread,) = {event["tid"] for event in host}
    named = {event["tid"]: event["args"] for event in events if event["name"] == "thread_name"}
    assert named[thread] == {"name": "host"}
    work = [event for event in events if event["ph"] == "X"]
    assert {event["cat"] for event in work if event["ts"] < first} == {"conv"}
    assert {event["cat"] for event in work if event["ts"] >= first} == {"pool"}
    assert max(event["ts"] + event["dur"] for event in work) <= first + second
    text = picture.read_text()
    assert "norm (LRN)" in text
    assert ">host<" in text


def test_the_image_holds_every_program(tmp_path: Path) -> None:
    drawn = random_host_model(5, tmp_path)
    out = tmp_path / "image.bin"
    found = report("compile", str(drawn.path), "-c", "tiny", "--out", str(out))
    data = out.read_bytes()
    assert len(data) == found["image_bytes"]
    ends = [each["address"] + 64 * each["commands"] for each in found["programs"]]
    assert max(ends) <= len(data)
    assert all(any(data[each["address"] : each["address"] + 64]) for each in found["programs"])
