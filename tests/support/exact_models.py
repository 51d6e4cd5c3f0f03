"""Models whose scales are powers of two: ONNX Runtime's float32 is exact, and must be equalled."""

from pathlib import Path

import numpy as np

from compiler.frontend import ImportedModel, read_network
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import golden_output, onnxruntime_output


def assert_exact(graph: QdqGraph, folder: Path, seed: int = 0) -> ImportedModel:
    """The model must give what ONNX Runtime gives for random images, to the byte."""
    path = graph.save(folder)
    model = read_network(path)
    rng = np.random.default_rng(seed)
    spread = 40 * float(model.network.input.scale)
    images = rng.normal(size=(5, *model.input.shape[1:]), scale=spread).astype(np.float32)
    expected = onnxruntime_output(path, images, integer=False)
    found = golden_output(model, images)
    assert found.shape == expected.shape
    assert len(np.unique(expected)) > 1, "a constant output shows nothing"
    differing = int(np.count_nonzero(found != expected))
    assert differing == 0, f"seed {seed}: {differing} of {expected.size} outputs differ"
    return model
