"""An export is a network that works without this project, with a card and its architecture."""

from __future__ import annotations

import importlib.util
import json
import random

import pytest
import torch
from torch import nn

from nas.evaluators.weights import OWN, TRAINED, save_weights
from nas.export import export
from nas.export.formats import module_source
from nas.export.preprocessing import Preprocessing
from nas.export.verify import cases
from nas.record.files import weights_file
from nas.search.finalists import final_seed
from spaces import Architecture, Graph, GraphBuilder, Node, SearchSpace
from spaces.build import source
from spaces.operators import sample
from spaces.ops.tokens import vocabulary
from tests.nas.export.small_runs import (
    CLASSES,
    METADATA,
    SHAPES,
    a_run,
    architecture,
    config_of,
    load_model,
    space,
    traced,
    trained,
)


@torch.no_grad()
def test_the_module_is_the_winner_s_best_full_training(run, tmp_path):
    exported = export(run, out=tmp_path / "out")
    assert exported.files == ("README.md", "architecture.json", "model.py", "model.safetensors")
    assert (exported.trial, exported.weights, exported.format) == (0, "final", "module")
    assert exported.largest_difference <= 1e-5
    assert exported.seed == final_seed(config_of("small")["seed"], 1)
    model = load_model(tmp_path / "out")
    expected, network = trained(space, architecture(), 6).eval(), model.load()
    pixels = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(
        network(model.preprocess(pixels)), expected((pixels.float() / 255 - 0.3) / 0.5)
    )
    torch.testing.assert_close(
        model.load(str(tmp_path / "out" / "model.safetensors"))(torch.ones(1, 1, 8, 8)),
        expected(torch.ones(1, 1, 8, 8)),
    )
    assert not network.training
    assert model.CLASSES == CLASSES
    json.dumps(exported.to_dict())
    assert "trial 0" in str(exported)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_the_card_says_what_the_network_is_and_where_it_comes_from(run, tmp_path):
    export(run, out=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    seeds = [final_seed(config_of("small")["seed"], index) for index in range(2)]
    assert f"| seed {seeds[0]} | 0.9000 | 0.8100 |" in card
    assert f"| seed {seeds[1]} (these weights) | 0.9500 | 0.8300 |" in card
    assert "| mean ± standard deviation of 2 | 0.9250 ± 0.0354 | 0.8200 ± 0.0141 |" in card
    for words in (
        "The score is the accuracy",
        "(batch, 1, 8, 8)",
        "network(model.preprocess(inputs))",
        "mean 0.3, deviation 0.5",
        'zero, one", 2, 3',
    ):
        assert words in card
    assert "| `channels` | `4` |" in card
    described = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert Architecture.from_json(json.dumps(described)) == architecture()
    assert Graph.from_json(json.dumps(described["network"])) == space.network_graph(
        space.graph(architecture())
    )


@torch.no_grad()
def test_pt2(run, tmp_path):
    exported = export(run, trial=1, format="pt2", out=tmp_path / "out")
    assert exported.files == ("README.md", "architecture.json", "model.pt2")
    network = torch.export.load(tmp_path / "out" / "model.pt2").module()
    inputs = torch.randn(7, 1, 8, 8)
    torch.testing.assert_close(
        network(inputs), trained(space, architecture(6, "tanh"), 16).eval()(inputs)
    )


@torch.no_grad()
def test_onnx(run, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = export(run, format="onnx", out=tmp_path / "out")
    assert exported.files == ("README.md", "architecture.json", "model.onnx")
    session = runtime.InferenceSession(
        str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    inputs = torch.randn(7, 1, 8, 8)
    (given,) = session.run(None, {"inputs": inputs.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(given),
        trained(space, architecture(), 6).eval()(inputs),
        rtol=1e-4,
        atol=1e-5,
    )


def test_missing_onnx_packages_are_named(run, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "onnxscript" else real(name, *rest),
    )
    with pytest.raises(ValueError, match=r"needs onnxscript, .*pip install surrogate-nas\[onnx\]"):
        export(run, format="onnx", out=tmp_path / "out")


@torch.no_grad()
def test_a_traced_module_s_space(tmp_path):
    mine = SearchSpace("traced", traced).for_shapes(SHAPES)
    item = Architecture("traced", (("width", 8),))
    directory = a_run(tmp_path / "run", [item], space_name="mine.py:traced")
    network = trained(mine, item, 0)
    save_weights(
        network,
        weights_file(directory, 0, 0),
        {"inputs": "float32", "normalize": "null", "metric": "accuracy", TRAINED: OWN},
    )
    with pytest.raises(
        ValueError, match=r"code is not run because a run says so.*--space mine.py:traced"
    ):
        export(directory, out=tmp_path / "out")
    assert export(directory, out=tmp_path / "out", space=mine).trial == 0
    inputs = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(load_model(tmp_path / "out").load()(inputs), network.eval()(inputs))


@torch.no_grad()
@pytest.mark.parametrize("name", ["convnet", "nasbench201"])
def test_built_in_spaces(name, tmp_path, unverified):
    from spaces.load import load_space

    built_in = load_space(name).for_shapes(SHAPES)
    item = sample(built_in, random.Random(5))
    directory = a_run(tmp_path / "run", [item], space_name=name)
    network = trained(built_in, item, 0)
    save_weights(network, weights_file(directory, 0, 1), METADATA)
    export(directory, out=tmp_path / "out")
    inputs = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(load_model(tmp_path / "out").load()(inputs), network.eval()(inputs))


def test_the_text_that_a_run_directory_gives_cannot_become_code(tmp_path):
    graph = space.graph(architecture())
    text = module_source(
        graph,
        SHAPES.input,
        preprocessing=None,
        classes=('"]; raise SystemExit #',),
        title='"""\nraise SystemExit\n"""\\',
    )
    scope = {"__file__": str(tmp_path / "model.py"), "__name__": "model"}
    exec(text, scope)
    assert scope["CLASSES"] == ['"]; raise SystemExit #']


def test_tokens_are_drawn_from_the_network_s_vocabulary():
    builder = GraphBuilder()
    value = builder.node(
        "embedding",
        builder.node("identity", builder.input((4,))),
        num_embeddings=5,
        embedding_dim=3,
    )
    graph = builder.output(builder.node("flatten", value))
    assert vocabulary(graph) == 5
    assert vocabulary(space.graph(architecture())) is None
    drawn = cases(nn.Embedding(5, 3), graph, (4,), Preprocessing("int64"))
    assert all(batch.dtype == torch.int64 and batch.max() < 5 for batch in drawn.inputs)


def test_forward_is_divided_by_the_parts_that_labels_name():
    builder = GraphBuilder()
    value = builder.input((4,))
    for label in ("stem", "stage.1/fc1", "stage.1/fc2", "stage.1/a\nb/act", "head"):
        value = builder.add(Node("relu", label=label), value)
    comments = [
        line.strip()
        for line in source(builder.output(value)).splitlines()
        if line.strip().startswith("#")
    ]
    assert comments == ["# stage.1"]
