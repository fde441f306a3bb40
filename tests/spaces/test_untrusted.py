"""A graph from an untrusted file becomes a network or a ValueError: no text in it becomes code."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from spaces import Graph
from spaces.build import build, source
from spaces.ops import OPS

TEXTS = (
    "evil()",
    '1) or evil("',
    "'); evil('",
    '"); evil("',
    '"""\n    evil()\n    """',
    "\\'); evil() #",
    "\n        evil()",
    "x\revil()",
    "{evil}",
)
# Valid values of required attributes. Without them the node would be refused before the attribute
# under test is read.
REQUIRED_VALUES = {
    "dim": 1,
    "dims": (0, 1, 3, 2),
    "index": 0,
    "chunks": 2,
    "split_size": 4,
    "pad": (1, 1),
    "padding": 1,
    "value": 2.0,
    "shape": (8, 1, 1),
}


def chained(*nodes: list[Any], shape: Any = (8, 6, 6)) -> str:
    items = [["input", {"shape": shape}], *nodes, ["output", {}]]
    return json.dumps(
        {"nodes": items, "edges": [[place, place + 1, 0] for place in range(len(items) - 1)]}
    )


def called_names(text: str) -> set[str]:
    tree = ast.parse(text)
    return {item.id for item in ast.walk(tree) if isinstance(item, ast.Name)}


def assert_harmless(text: str) -> None:
    try:
        written = source(Graph.from_json(text))
    except ValueError:
        return
    assert called_names(written) <= {
        "torch",
        "nn",
        "super",
        "self",
        "float",
        "batch",
        "x",
        *(f"x{number}" for number in range(1, 9)),
    }


@pytest.mark.parametrize("text", TEXTS)
def test_no_attribute_of_any_operation_becomes_code(text: str) -> None:
    for op in OPS.values():
        given = {
            name: REQUIRED_VALUES.get(name, 2)
            for name, default in op.defaults.items()
            if not isinstance(default, int | float | str | type(None))
        }
        for name in (*op.defaults, "share", text):
            for value in (text, [text], [text, text], [1, text]):
                assert_harmless(chained([op.name, {**given, name: value}]))


@pytest.mark.parametrize("text", TEXTS)
def test_no_name_label_or_shape_becomes_code(text: str) -> None:
    for name in (
        text,
        f"nn.{text}",
        f"function:{text}",
        f"function:torch.roll({text})",
        f"nn.Linear{text}",
    ):
        assert_harmless(chained([name, {}]))
    for label in (text, f"{text}/a", f"a/{text}/b", f"a.{text}.b"):
        assert_harmless(
            chained(
                ["conv2d", {"out_channels": 8, "kernel_size": 1}, label],
                ["relu", {}, label],
                ["relu", {}, f"{label}/c"],
            )
        )
    for shape in ([text], [8, text], [8, 6, text], [text, 6, 6], text):
        for op, attributes in (
            ("mean", {"dim": 1}),
            ("linear", {"out_features": 2}),
            ("adaptive_avg_pool2d", {"output_size": 1}),
            ("relu", {}),
        ):
            assert_harmless(chained([op, attributes], shape=shape))
    for name, value in (("arg1", text), ("shifts", text), (text, 1), ("shifts", [text])):
        assert_harmless(chained(["function:torch.roll", {"dims": 1, name: value}]))


@pytest.mark.parametrize("shape", [[-1, 3], [0], [True], [3.0], ["3"], [[3]], [None]])
def test_an_invalid_shape_is_refused(shape: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers above 0, without the batch; got \("):
        build(Graph.from_json(chained(["flatten", {}], ["mean", {"dim": 1}], shape=shape)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "[" * 100_000,
        chained([5, {}]),
        chained([["relu"], {}]),
        chained(["relu", {}, 7]),
        chained(["relu", []]),
        chained(["relu"]),
        chained(["relu", {}, "label", "more"]),
        '{"nodes": [["input", {}], ["output", {}]], "edges": [[0, Infinity, 0]]}',
        '{"nodes": [["input", {}], ["output", {}]], "edges": [[0, null, 0]]}',
        chained(["relu", {"deep": 1}]).replace("1", "[" * 900 + "]" * 900, 1),
    ],
)
def test_malformed_json_is_reported_as_such(text: str) -> None:
    with pytest.raises(ValueError, match="a graph is a JSON object"):
        Graph.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    with pytest.raises(
        ValueError, match=r"'value' of the node 'mul_scalar' is -?(nan|inf).*write it as the text"
    ):
        Graph.from_json(chained(["mul_scalar", {"value": 17}]).replace("17", number))


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (["parameter", {"shape": 3}], "shape must be a tuple of sizes"),
        (["parameter", {"shape": [-1, 3]}], "shape must be a tuple of sizes"),
        (["parameter", {"shape": [8, 1, 1], "fill": "text"}], "fill must be a number"),
        (["buffer", {"shape": [8, 1, 1], "dtype": "float"}], "dtype must be one of float32"),
    ],
)
def test_a_tensor_that_cannot_be_made_is_refused(node: list[Any], sentence: str) -> None:
    nodes = [["input", {"shape": [8, 6, 6]}], node, ["add", {}], ["output", {}]]
    text = json.dumps({"nodes": nodes, "edges": [[0, 2, 0], [1, 2, 0], [2, 3, 0]]})
    with pytest.raises(ValueError, match=sentence):
        build(Graph.from_json(text))


@pytest.mark.parametrize(
    ("op", "attributes", "sentence"),
    [
        ("mul_scalar", {"value": "text"}, "value must be a number"),
        (
            "nn.TransformerEncoderLayer",
            {"d_model": 8, "nhead": 2, "activation": "os.system"},
            "activation should be",
        ),
        ("nn.Transformer", {"custom_encoder": "text"}, "cannot take"),
        ("function:torch.Tensor.register_hook", {"arg1": "text"}, "torch says"),
    ],
)
def test_an_error_of_torch_is_reported_with_the_node(
    op: str, attributes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=rf"node 1, .*{sentence}"):
        build(Graph.from_json(chained([op, attributes], shape=(6, 8))))
