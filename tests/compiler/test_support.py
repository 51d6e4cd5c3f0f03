"""The table of operators: what is not in it, and the page that it gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from arch.errors import ModelError
from compiler.frontend import read_network
from compiler.integer_operators import INTEGER_OPERATORS
from compiler.onnx_file import OPSETS
from compiler.support import OPERATORS, rule_text, support_page
from tests.support.qdq_graph import QdqGraph

DIGITS = Path(__file__).parents[2] / "examples/digits"


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def start() -> QdqGraph:
    return QdqGraph().qdq()


def test_a_float_model_is_told_what_to_run() -> None:
    with pytest.raises(ModelError) as error:
        read_network(DIGITS / "digits_float.onnx")
    assert str(error.value) == (
        "the model must be quantised, got a float one; "
        "give images to calibrate it with: --calibrate IMAGES.npz"
    )


SUPPORTED = f"(supported: {', '.join(sorted({*OPERATORS, *INTEGER_OPERATORS}))})"


@pytest.mark.parametrize(
    ("operator", "remedy"),
    [
        ("TopK", "remove it from the model and compute it on the host"),
        ("ArgMin", "use a Neg and an ArgMax"),
        ("Pad", "give the padding to the pads of the Conv or pooling that follows"),
        ("Loop", "replace or remove it"),
        ("ConvInteger", "quantise the float model with `tilewright quantise`"),
        ("Bad\n\x1b[31m", "replace or remove it"),
    ],
)
def test_unsupported_operators(operator: str, remedy: str, tmp_path: Path) -> None:
    shown = operator.replace("\n", "?").replace("\x1b", "?")
    assert refusal(start().node(operator, name="odd").qdq(), tmp_path) == (
        f"node 'odd' ({shown}): operator {shown} is not supported; {remedy} {SUPPORTED}"
    )


def test_unsupported_attributes(tmp_path: Path) -> None:
    assert refusal(start().conv(transposed=1).qdq(), tmp_path) == (
        "node 'conv' (Conv): attribute 'transposed' is not supported; remove it "
        "(supported: auto_pad, dilations, group, kernel_shape, pads, strides)"
    )


def test_other_domains(tmp_path: Path) -> None:
    graph = start().conv().qdq()
    graph.nodes[3].domain = "com.microsoft"
    assert refusal(graph, tmp_path) == (
        "node 'conv' (Conv): operators must come from the domain ai.onnx, got 'com.microsoft'; "
        "quantise the float model with `tilewright quantise`"
    )


def test_constants_of_strange_types(tmp_path: Path) -> None:
    graph = start()
    half = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float16), "half")
    graph.nodes.append(helper.make_node("Constant", [], ["w"], name="c", value=half))
    assert refusal(graph.node("Conv", "w", name="conv").qdq(), tmp_path).startswith(
        "the model's shapes do not fit together"
    )


def test_every_rule_states_what_must_hold_and_what_to_do() -> None:
    for operator in OPERATORS.values():
        for rule in operator.rules:
            must, remedy = rule_text(rule)
            assert " must " in must or " may " in must, rule
            assert remedy, rule


def test_the_support_page_states_the_opsets() -> None:
    assert f"opsets) {OPSETS.start} to {OPSETS.stop - 1}," in support_page()


def test_the_support_page_lists_every_operator_and_rule() -> None:
    page = support_page()
    for name, integer in INTEGER_OPERATORS.items():
        assert f"| {name} | {integer.domain or 'ai.onnx'} | {integer.operator} |" in page
        assert integer.operator in OPERATORS
    for name, operator in OPERATORS.items():
        assert f"## {name}\n" in page
        for rule in operator.rules:
            assert f"- {' '.join((rule.__doc__ or '').split())}\n" in page


def test_supported_attributes_exist_in_onnx() -> None:
    for name, operator in OPERATORS.items():
        schemas = [onnx.defs.get_schema(name, opset) for opset in (17, 23) if is_known(name, opset)]
        known = {attribute for schema in schemas for attribute in schema.attributes}
        assert operator.attributes <= known | {"saturate"}


def is_known(operator: str, opset: int) -> bool:
    return any(
        schema.name == operator and schema.domain == "" and schema.since_version <= opset
        for schema in onnx.defs.get_all_schemas_with_history()
    )
