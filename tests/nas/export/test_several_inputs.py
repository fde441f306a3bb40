"""Exports of networks with several inputs or outputs, run in a process without this project."""

from __future__ import annotations

import importlib.util
import json
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.evaluators.weights import weights_metadata
from nas.export import verify_script
from nas.export.calling import call_text, plainly_called, shapes_text
from nas.export.formats import NEEDED, write_onnx, write_pt2
from nas.export.preprocessing import preprocessing_of
from nas.export.usage import usage
from nas.export.verify import Cases, cases
from nas.tasks.task import Split, Task
from spaces import Shapes
from spaces.trace import describe

NAMED = {"image": (3, 8, 8), "table": (6,)}
LISTED = tuple(NAMED.values())
Named = namedtuple("Named", ["main", "other"])


@dataclass
class Heads:
    main: Tensor
    other: Any = None


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense, self.head = nn.Conv2d(3, 4, 3), nn.Linear(6, 4), nn.Linear(8, 5)

    def of(self, image: Tensor, table: Tensor) -> Tensor:
        seen = self.conv(image).relu().mean((2, 3))
        return self.head(torch.cat([seen, self.dense(table)], 1))


class ByName(Branches):
    def forward(self, table: Tensor, image: Tensor) -> Tensor:
        return self.of(image, table)


class ByAnyName(Branches):
    def forward(self, **inputs: Tensor) -> Tensor:
        return self.of(inputs["image"], inputs["table"])


class InOrder(Branches):
    def forward(self, *inputs: Tensor) -> Tensor:
        return self.of(*inputs)


class Several(Branches):
    def forward(self, image: Tensor, table: Tensor) -> Any:
        outputs = self.of(image, table)
        return {"logits": outputs, "parts": (outputs * 2, [outputs.argmax(1)])}


class OfAClass(Branches):
    def forward(self, image: Tensor, table: Tensor) -> Any:
        outputs = self.of(image, table)
        return Heads(outputs, Named(outputs * 2, None))


class OneInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        return self.layer(x), self.layer(x).relu()


def written(
    form: str, module: nn.Module, shapes: Any, folder: Path, preprocessing=None
) -> tuple[Cases, float]:
    missing = [name for name in NEEDED[form] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{form} needs {missing}")
    graph, vocabularies = describe(module, shapes), Shapes(shapes, (5,)).vocabularies
    batches = cases(module, graph, shapes, preprocessing, vocabularies)
    write = write_pt2 if form == "pt2" else write_onnx
    write(folder, module, batches.inputs[-1])
    return batches, compared(form, folder, batches)


def compared(form: str, folder: Path, batches: Cases) -> float:
    """What the script of a verification finds, run in this process, since a new one takes long."""
    stored = {name: list(values) for name, values in vars(batches).items()}
    torch.save(stored, folder / "cases.pt")
    verify_script.main(form, str(folder), str(folder / "cases.pt"), str(folder / "result.json"))
    return max(json.loads((folder / "result.json").read_text()))


@pytest.mark.parametrize(
    ("module", "shapes", "outputs"),
    [
        (ByName(), NAMED, ["outputs"]),
        (ByAnyName(), NAMED, ["outputs"]),
        (InOrder(), LISTED, ["outputs"]),
        (Several(), LISTED, ["logits", "parts_0", "parts_1_0"]),
        (OfAClass(), NAMED, ["main", "other_0"]),
        (OneInput(), (4,), ["outputs_0", "outputs_1"]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("form", ["pt2", "onnx"])
def test_networks_are_exported_with_all_inputs_and_outputs(
    form: str, module: nn.Module, shapes: Any, outputs: list[str], tmp_path: Path
) -> None:
    batches, difference = written(form, module, shapes, tmp_path)
    assert difference <= 1e-5
    assert list(batches.output_shapes) == outputs
    assert "forward" not in vars(module), "the module is as it was"
    if form == "onnx":
        import onnx

        graph = onnx.load(tmp_path / "model.onnx").graph
        expected = {1: ["inputs"]}.get(len(shapes), list(NAMED))
        if shapes is LISTED:
            expected = ["inputs_0", "inputs_1"]
        assert [item.name for item in graph.input] == expected
        assert [item.name for item in graph.output] == outputs
        sizes = [item.type.tensor_type.shape.dim[0].dim_param for item in graph.input]
        assert sizes == ["batch"] * len(expected)


def test_an_export_that_gives_something_else_is_refused(tmp_path: Path) -> None:
    batches, _ = written("pt2", Several(), LISTED, tmp_path)
    changed = [{**outputs, "logits": outputs["logits"] + 1e-3} for outputs in batches.expected]
    assert compared("pt2", tmp_path, Cases(batches.inputs, batches.raw, tuple(changed))) > 5e-4
    fewer = [outputs["logits"] for outputs in batches.expected]
    with pytest.raises(ValueError, match="its outputs are logits, parts_0, parts_1_0"):
        compared("pt2", tmp_path, Cases(batches.inputs, batches.raw, tuple(fewer)))


def two(structure: type, normalize: Any) -> Task:
    image = torch.randint(256, (4, 3, 8, 8)).byte()
    inputs = {"image": image, "table": torch.randn(4, 6)}
    given = inputs if structure is dict else tuple(inputs.values())
    split = Split(given, torch.zeros(4, dtype=torch.int64))
    shapes = Shapes(NAMED if structure is dict else LISTED, (5,))
    return Task("two", split, split, split, shapes, normalize=normalize)


STATISTICS = ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))


@pytest.mark.parametrize(
    ("structure", "normalize"),
    [
        (dict, None),
        (dict, {"table": None, "image": STATISTICS}),
        (tuple, (STATISTICS, ((0.5,) * 6, (2.0,) * 6))),
    ],
)
def test_the_preprocessing_of_each_input_travels(structure: type, normalize: Any) -> None:
    task = two(structure, normalize)
    preprocessing = preprocessing_of(weights_metadata(task))
    assert preprocessing is not None
    assert not preprocessing.does_nothing
    expected, inputs = task.prepare(task.test.inputs), task.test.inputs
    dimensions = {"image": 4, "table": 2} if structure is dict else (4, 2)
    scope: dict[str, Any] = {"torch": torch}
    exec(preprocessing.source(dimensions), scope)  # type: ignore[arg-type]
    for given in (preprocessing(inputs), scope["preprocess"](inputs)):
        for place in expected if structure is dict else range(2):
            torch.testing.assert_close(given[place], expected[place])
    told = json.loads(json.dumps(preprocessing.to_json()))
    first = told["image" if structure is dict else 0]
    assert first["inputs"] == "uint8"
    assert "divided by 255" in str(preprocessing)
    module = ByName() if structure is dict else InOrder()
    graph = describe(module, task.shapes.input)
    drawn = cases(module, graph, task.shapes.input, preprocessing, task.shapes.vocabularies)
    raw = drawn.raw[0]["image" if structure is dict else 0]
    assert raw.dtype == torch.uint8


def test_malformed_metadata_of_several_inputs_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="a list or mapping of types"):
        preprocessing_of({"inputs": '["uint8", "float32"]', "normalize": "[null]"})
    with pytest.raises(ValueError, match="`inputs` is uint8"):
        preprocessing_of({"inputs": '{"a": "string"}'})


@pytest.mark.parametrize("form", ["module", "pt2", "onnx"])
@pytest.mark.parametrize("shapes", [NAMED, LISTED])
def test_the_card_shows_a_call_that_is_python(form: Any, shapes: Any) -> None:
    text = usage(
        form,
        Shapes(shapes, (5,)),
        prepares=True,
        tokenizer=False,
        objective=None,
        outputs=("logits", "other"),
    )
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "(batch, 3, 8, 8)" in code
    assert "# outputs: logits, other" in code


def test_the_card_shows_the_tokenizer_for_the_input_of_tokens() -> None:
    shapes = Shapes({"text": (9,), "table": (6,)}, (5,), {"text": 50, "table": None})
    text = usage("pt2", shapes, prepares=False, tokenizer=True, objective=None)
    assert "text = torch.tensor([tokenizer.encode(text).ids" in text
    assert "outputs = network(**inputs)" in text


def test_calls_and_shapes_in_words() -> None:
    assert call_text(LISTED, "preprocess(inputs)") == "network(*preprocess(inputs))"
    assert call_text((3, 8, 8)) == "network(inputs)"
    assert shapes_text(NAMED, "inputs") == "image (batch, 3, 8, 8), table (batch, 6)"
    assert shapes_text((10,), "outputs") == "(batch, 10)"


def test_a_forward_of_the_instance_is_put_back() -> None:
    module = OneInput()
    own = module.forward
    module.forward = own  # As some libraries do.
    with plainly_called(module, torch.zeros(1, 4)):
        assert isinstance(module(torch.zeros(1, 4)), tuple)
    assert vars(module)["forward"] == own
