"""The code on the card of an exported text model works on raw text, without this project."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch

from nas.config.loading import parse_config
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.evaluators.weights import read_weights
from nas.export import export, exporting
from nas.export.preprocessing import objective_of, tokenizer_of
from nas.export.weights import load_weights
from nas.record.environment import environment
from nas.record.events import finished_event, outcome_event, round_event
from nas.record.files import weights_file
from nas.record.journal import create
from nas.record.shapes import shapes_to_json
from nas.record.trials import Trial
from nas.tasks import load_task
from nas.tasks.tokens import MASK, PADDING, encode_each
from nas.training.recipe import Recipe
from spaces import Architecture
from spaces.canonical import canonical_key
from tests.nas.tasks.texts import CLASSIFIERS, NEIGHBOURS, Tokenizer, save_poem, save_texts


def run_of_one(directory, space, task, item):
    """Writes a finished run of one trial, and returns the trial's trained network."""
    settings = {
        "space": f"mine.py:{space.name}",
        "task": "digits",
        "strategy": "random",
        "finalists": {"count": 0},
    }
    config, space = (
        parse_config(settings, "here").model_dump(mode="json"),
        space.for_shapes(task.shapes),
    )
    trial = Trial(0, 0, "search", item, "random", None, canonical_key(space.graph(item)), 7)
    with create(
        directory, config, {**environment(), "shapes": shapes_to_json(task.shapes)}
    ) as journal:
        weights = weights_file(directory, 0)
        observed = TrainEvaluator(
            space, task, Recipe(epochs=2, batch_size=8), device="cpu"
        ).evaluate(item, seed=7, weights=weights)
        assert isinstance(observed, Observation)
        journal.append(
            [
                round_event(0, "search", [trial]),
                outcome_event(0, observed),
                finished_event("the budget is used"),
            ]
        )
    module = space.build(item).eval()
    load_weights(module, read_weights(weights)[0], weights)
    return module


def card_says(folder, *replacements, then=""):
    """The output of all code blocks of the card, run in order in a process without this project."""
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    code = (
        "import sys\nsys.path.insert(0, '.')\nfor name in ('nas', 'spaces', 'predictors'): "
        "sys.modules[name] = None\n" + "".join(blocks) + then
    )
    for old, new in replacements:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    said = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.fixture
def unchecked(monkeypatch):
    """Leaves out the check of every export, which takes seconds.

    These tests run the example on the card instead.
    """
    monkeypatch.setattr(exporting, "verify", lambda *_: 0.0)


def skip_without_packages_for(format_name):
    if format_name == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")


@pytest.mark.parametrize("format_name", ["module", "onnx"])
@pytest.mark.usefixtures("unchecked")
def test_the_code_of_the_card_reads_raw_text_in_a_process_without_this_project(
    tmp_path, format_name
):
    skip_without_packages_for(format_name)
    task = load_task("text", path=save_texts(tmp_path / "a.tsv"), length=8, vocabulary=50)
    module = run_of_one(tmp_path / "run", CLASSIFIERS, task, Architecture("bags", (("width", 8),)))
    exported = export(tmp_path / "run", out=tmp_path / "out", space=CLASSIFIERS, format=format_name)
    assert "tokenizer.json" in exported.files
    card = (tmp_path / "out" / "README.md").read_text()
    assert "text to tokens (int64) by `tokenizer.json`" in card
    assert "hidden" not in card
    texts = ["the music and the film good", "slow"]
    said = card_says(
        tmp_path / "out",
        ('["a text of yours"]', repr(texts)),
        then="import json\nprint(json.dumps(outputs.tolist()))",
    )
    with torch.no_grad():
        expected = module(encode_each(Tokenizer.from_str(task.tokenizer), texts))
    torch.testing.assert_close(torch.tensor(json.loads(said)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("format_name", ["module", "pt2", "onnx"])
@pytest.mark.parametrize("objective", ["masked", "causal"])
@pytest.mark.usefixtures("unchecked")
def test_the_card_of_a_language_model_predicts_hidden_and_next_tokens(
    tmp_path, objective, format_name
):
    skip_without_packages_for(format_name)
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "p.txt"),
        length=8,
        vocabulary=60,
        objective=objective,
    )
    module = run_of_one(
        tmp_path / "run",
        NEIGHBOURS,
        task,
        Architecture("neighbours", (("width", 16), ("causal", objective == "causal"))),
    )
    export(tmp_path / "run", out=tmp_path / "out", space=NEIGHBOURS, format=format_name)
    tokenizer, poem = Tokenizer.from_str(task.tokenizer), (tmp_path / "p.txt").read_text()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # Both are longer than the network's eight tokens, so the card has to cut them.
    before, after = poem[:60], poem[60:120]

    def outputs_of(*windows):
        with torch.no_grad():
            return module(torch.tensor(windows))[0]

    if objective == "masked":
        left, right = tokenizer.encode(before).ids[-4:], tokenizer.encode(after).ids[:3]
        best = outputs_of([*left, MASK, *right])[4].topk(5).indices.tolist()
        expected = repr([tokenizer.decode([token]) for token in best])
        replacements = ('"the text before"', repr(before)), ('"the text after"', repr(after))
    else:
        tokens = tokenizer.encode(before[:6]).ids
        assert len(tokens) < 8, "the first windows are padded"
        for _ in range(20):
            window = tokens[-8:]
            padded = [*window, *[PADDING] * (8 - len(window))]
            tokens.append(int(outputs_of(padded)[len(window) - 1].argmax()))
        expected = tokenizer.decode(tokens)
        replacements = [('"the text so far"', repr(before[:6]))]
    assert card_says(tmp_path / "out", *replacements).removesuffix("\n") == expected


def test_an_unknown_objective_is_refused():
    assert objective_of({}) is None
    with pytest.raises(
        ValueError, match="a weights file's `objective` is masked or causal; got 'both'"
    ):
        objective_of({"objective": "both"})


def test_what_is_not_a_tokenizer_is_refused():
    assert tokenizer_of({}) is None
    for wrong in ("import os", "[1]", '{"other": 1}'):
        with pytest.raises(
            ValueError, match="a weights file's `tokenizer` is the JSON of a tokenizer"
        ):
            tokenizer_of({"tokenizer": wrong})
