"""Export: a run's best network as files that work without this project, and everything that keeps a
wrong one from appearing.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import random
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import nas.export.exporting as export_module
from nas.config.config import parse_config
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.evaluators.train import TrainEvaluator, save_weights
from nas.export import ExportError, export
from nas.export.formats import module_source
from nas.export.preprocessing import Preprocessing, classes_of, preprocessing_of
from nas.export.reader import read_safetensors
from nas.export.verify import Cases, cases, verify, vocabulary
from nas.export.weights import load_weights, read_weights
from nas.record.environment import environment
from nas.record.history import (
    Final,
    Finalist,
    Trial,
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    round_event,
)
from nas.record.journal import JournalError, create
from nas.search.run import final_seed, weights_file
from spaces import Architecture, Graph, GraphBuilder, Node, SearchSpace, Shapes
from spaces.build import source
from spaces.canonical import canonical_key
from spaces.load import SPACES, load_space
from spaces.operators import sample

SHAPES = Shapes((1, 8, 8), (10,))
CLASSES = ["zero", 'one"', *map(str, range(2, 10))]
METADATA = {
    "inputs": "uint8",
    "normalize": "[[0.3], [0.5]]",
    "metric": "accuracy",
    "classes": json.dumps(CLASSES),
}


def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    value = builder.node(
        "conv2d", value, out_channels=choose.one_of("channels", [4, 6]), kernel_size=3, padding=1
    )
    value = builder.node(
        choose.one_of("activation", ["relu", "tanh"]), builder.node("batch_norm2d", value)
    )
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=2))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def traced(choose):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, choose.one_of("width", [8, 16])), nn.Tanh(), nn.Linear(8, 10)
    )


SMALL = SearchSpace("small", define)
space = SMALL.for_shapes(SHAPES)


def architecture(channels: int = 4, activation: str = "relu") -> Architecture:
    return Architecture("small", (("channels", channels), ("activation", activation)))


def trained(space: SearchSpace, item: Architecture, seed: int) -> nn.Module:
    """A network whose weights and running statistics are not the initial ones."""
    torch.manual_seed(seed)
    network = space.build(item)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(
                    torch.rand_like(tensor) + 0.5
                    if name.endswith("running_var")
                    else tensor + 0.3 * torch.randn_like(tensor)
                )
    return network


def config_of(space_name: str, **changes) -> dict:
    settings = {
        "space": space_name,
        "task": "digits",
        "strategy": "random",
        "budget": 4,
        "seed": 3,
        "finalists": {"count": 2, "seeds": 2},
    }
    return parse_config({**settings, **changes}, "here").model_dump(mode="json")


def key_of(space_name: str, shapes: Shapes, item: Architecture) -> str:
    own = {"small": SMALL, "mine.py:traced": SearchSpace("traced", traced)}
    space = own.get(space_name) or load_space(space_name)
    return (
        canonical_key(space.for_shapes(shapes).graph(item))
        if space.name == item.space
        else item.key
    )


def a_run(
    directory: Path,
    items: list[Architecture],
    *,
    space_name: str = "small",
    finals: bool = True,
    shapes: Shapes = SHAPES,
    **changes,
) -> Path:
    """The journal of a run with these trials, the last of which has the best search score, and the
    first the best full trainings.
    """
    config = config_of(space_name, **changes)
    trials = [
        Trial(
            number,
            0,
            "search",
            item,
            "random",
            None,
            key_of(space_name, shapes, item),
            100 + number,
        )
        for number, item in enumerate(items)
    ]
    shown = {"shapes": {"input": list(shapes.input), "output": list(shapes.output)}}
    with create(directory, config, {**environment(), **shown}) as journal:
        journal.append([round_event(0, "search", trials)])
        journal.append(
            [
                outcome_event(trial.number, Observation(0.5 + trial.number / 100, 1.0))
                for trial in trials
            ]
        )
        if finals:
            parsed = parse_config(config, "here")
            journal.append(
                [
                    finalist_event(Finalist(trial.number, rank, "search"))
                    for rank, trial in enumerate(trials[:2], start=1)
                ]
            )
            for trial in trials[:2]:
                results = [
                    FinalResult(0.9 - trial.number / 10, 0.81),
                    FinalResult(0.95 - trial.number / 10, 0.83),
                ]
                journal.append(
                    [
                        final_event(Final(trial.number, final_seed(parsed, index), result))
                        for index, result in enumerate(results)
                    ]
                )
        journal.append([finished_event("the budget is used")])
    return directory


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """Two finalists with two full trainings each, and the weights of every training."""
    monkeypatch.setitem(SPACES, "small", "space_of_this_test:space")
    monkeypatch.setitem(sys.modules, "space_of_this_test", types.SimpleNamespace(space=SMALL))  # type: ignore[arg-type]
    items = [architecture(), architecture(6, "tanh")]
    directory = a_run(tmp_path / "run", items)
    for number, item in enumerate(items):
        save_weights(trained(space, item, number), weights_file(directory, number), METADATA)
        for index in range(2):
            save_weights(
                trained(space, item, 10 * number + index + 5),
                weights_file(directory, number, index),
                METADATA,
            )
    return directory


def load_model(folder: Path):
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def test_the_module_is_the_winner_s_best_full_training(run, tmp_path):
    exported = export(run, out=tmp_path / "out")
    assert exported.files == ("README.md", "architecture.json", "model.py", "model.safetensors")
    assert (exported.trial, exported.weights, exported.format) == (0, "final", "module")
    assert exported.largest_difference <= 1e-5
    assert exported.seed == final_seed(parse_config(config_of("small"), "here"), 1)
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
    seeds = [final_seed(parse_config(config_of("small"), "here"), index) for index in range(2)]
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


@pytest.fixture
def unverified(monkeypatch):
    """Leaves the fresh process out, for tests of other things: it takes seconds."""
    monkeypatch.setattr(export_module, "verify", lambda *_: 0.0)


def test_without_full_trainings_the_best_observed_trial_is_taken_with_its_search_weights(
    run, tmp_path, unverified
):
    directory = a_run(tmp_path / "other", [architecture(), architecture(6)], finals=False)
    save_weights(trained(space, architecture(6), 0), weights_file(directory, 1), METADATA)
    exported = export(directory, out=tmp_path / "out")
    assert (exported.trial, exported.weights, exported.seed) == (1, "search", 101)
    assert "short training during the search" in (tmp_path / "out" / "README.md").read_text()


def test_a_twin_s_weights_are_taken_with_the_twin_s_architecture(run, tmp_path, unverified):
    from dataclasses import replace

    directory = a_run(tmp_path / "other", [architecture()], finals=False)
    from nas.record.journal import open_for_writing

    with open_for_writing(directory) as journal:
        first = Trial(
            0,
            0,
            "search",
            architecture(),
            "random",
            None,
            key_of("small", SHAPES, architecture()),
            100,
        )
        journal.append([round_event(0, "random", [replace(first, number=1, arm="random", seed=7)])])
        journal.append([outcome_event(1, Observation(0.5, 1.0))])
    save_weights(trained(space, architecture(), 0), weights_file(directory, 0), METADATA)
    assert export(directory, trial=1, out=tmp_path / "out").trial == 1
    assert "They come from trial 0" in (tmp_path / "out" / "README.md").read_text()


def test_untrained_weights_are_those_that_training_began_with(run, tmp_path, unverified):
    from nas.seeds import derive

    exported = export(run, trial=0, out=tmp_path / "out", untrained=True)
    assert (exported.weights, exported.seed) == ("fresh", 100)
    torch.manual_seed(derive(100, "weights"))
    expected = space.build(architecture()).state_dict()
    given = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(expected[name], given[name]) for name in expected)
    assert "has not been trained" in (tmp_path / "out" / "README.md").read_text()
    assert not hasattr(load_model(tmp_path / "out"), "preprocess")


@torch.no_grad()
def test_a_traced_module_s_space(tmp_path):
    pytest.importorskip("spaces.trace")
    mine = SearchSpace("traced", traced).for_shapes(SHAPES)
    item = Architecture("traced", (("width", 8),))
    directory = a_run(tmp_path / "run", [item], space_name="mine.py:traced")
    network = trained(mine, item, 0)
    save_weights(
        network,
        weights_file(directory, 0, 0),
        {"inputs": "float32", "normalize": "null", "metric": "accuracy"},
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


def test_an_export_that_differs_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    real = export_module.write_module

    def tampering(folder, text, network):
        real(folder, text, network)
        state = load_file(folder / "model.safetensors")
        state["linear_1.bias"][3] += 0.01
        save_file(state, folder / "model.safetensors")

    monkeypatch.setattr(export_module, "write_module", tampering)
    with pytest.raises(
        ExportError, match=r"differ from the trained network's by 0\.0\d+ for a batch of 1"
    ):
        export(run, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_export_that_needs_this_project_fails(tmp_path):
    (tmp_path / "model.py").write_text("import spaces\n")
    batch = (torch.zeros(1, 1),)
    with pytest.raises(ExportError, match=r"does not run by itself.*spaces"):
        verify("module", tmp_path, Cases(batch, batch, batch))


def test_a_network_with_outputs_that_are_not_finite_is_refused(run, tmp_path):
    path = weights_file(run, 0, 1)
    state = load_file(path)
    state["linear_1.bias"][0] = float("nan")
    save_file(state, path, METADATA)
    with pytest.raises(ExportError, match="not finite"):
        export(run, out=tmp_path / "out")


def test_weights_that_are_cut_off_or_do_not_fit(run, tmp_path):
    path = weights_file(run, 0, 1)
    state, content = load_file(path), path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"final-00000-1.safetensors cannot be read"):
        export(run, out=tmp_path / "out")
    with pytest.raises(ValueError, match="is damaged"):
        read_safetensors(path)
    path.write_bytes(content[:40])
    with pytest.raises(ValueError, match="is not a safetensors file"):
        read_safetensors(path)
    network = space.build(architecture())
    with pytest.raises(
        ValueError,
        match=r"it lacks linear_1.bias; it has other, which the network has not\. Was the space changed",
    ):
        load_weights(
            network,
            {
                **{name: value for name, value in state.items() if name != "linear_1.bias"},
                "other": torch.zeros(1),
            },
            path,
        )
    with pytest.raises(
        ValueError, match=r"linear_1.bias is \(3,\) float32 and should be \(10,\) float32"
    ):
        load_weights(network, {**state, "linear_1.bias": torch.zeros(3)}, path)


def test_without_weights_the_sentence_says_what_to_do(run, tmp_path):
    for path in (run / "weights").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"holds no weights of trial 0; --untrained"):
        export(run, out=tmp_path / "out")
    table = {"name": "table", "path": "builtin:nasbench201", "score": "cifar10_valid_acc"}
    directory = a_run(tmp_path / "table", [architecture()], evaluator=table, task=None)
    with pytest.raises(ValueError, match=r"looked up in a table; --untrained"):
        export(directory, out=tmp_path / "out")
    kept = a_run(
        tmp_path / "kept",
        [architecture(), architecture(6), architecture(6, "tanh")],
        keep_weights="finalists",
    )
    with pytest.raises(
        ValueError,
        match=r"no weights of trial 2 \(keep_weights is finalists\); finalists are the trials 0, 1",
    ):
        export(kept, trial=2, out=tmp_path / "out")


def test_wrong_requests_are_sentences(run, tmp_path):
    with pytest.raises(ValueError, match="there is no trial 9"):
        export(run, trial=9, out=tmp_path / "out")
    with pytest.raises(ValueError, match="the formats are module, pt2, onnx"):
        export(run, format="jit", out=tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="is not a run"):
        export(tmp_path, out=tmp_path / "out")
    with pytest.raises(ValueError, match="is not empty"):
        export(run, out=run)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        export(run, out=tmp_path / "file")
    with pytest.raises(ExportError, match="could not be written"):
        export(run, out=tmp_path / "file" / "out")
    with pytest.raises(ValueError, match="belongs to the space 'small'"):
        export(run, out=tmp_path / "out", space=SearchSpace("else", define))
    with create(tmp_path / "new", config_of("small"), environment()) as journal:
        trial = Trial(0, 0, "search", architecture(), "random", None, "c", 0)
        journal.append(
            [round_event(0, "search", [trial]), outcome_event(0, Failed("exception", "it broke"))]
        )
    with pytest.raises(ValueError, match="has a score yet"):
        export(tmp_path / "new", out=tmp_path / "out")
    with pytest.raises(ValueError, match="does not say the shapes"):
        export(tmp_path / "new", trial=0, out=tmp_path / "out", untrained=True)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_sentence(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_module, "write_module", full)
    with pytest.raises(ExportError, match="the disk is full"):
        export(run, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_reader_agrees_with_safetensors_for_every_type(tmp_path):
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool]
    dtypes += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
    state = {
        str(number): (3 * torch.randn(5, number + 1)).to(dtype)
        for number, dtype in enumerate(dtypes)
    }
    state |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3)}
    save_file(state, tmp_path / "a.safetensors", {"some": "metadata"})
    given = read_safetensors(tmp_path / "a.safetensors")
    assert set(given) == set(state)
    for name, tensor in state.items():
        assert (given[name].dtype, given[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(given[name], tensor)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_preprocessing_is_that_of_the_training(dtype, tmp_path):
    from nas.tasks.task import Split, Task
    from nas.training.recipe import Recipe

    inputs = torch.randint(200, (6, 3, 8, 8)).to(dtype)
    split = Split(inputs, torch.zeros(6, dtype=torch.int64))
    task = Task(
        "t",
        split,
        split,
        split,
        Shapes((3, 8, 8), (10,)),
        normalize=((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
    )
    evaluator = TrainEvaluator(SMALL, task, Recipe(epochs=1, batch_size=4), device="cpu")
    if dtype != torch.int64:
        assert isinstance(
            evaluator.evaluate(architecture(), seed=0, weights=tmp_path / "w.safetensors"),
            Observation,
        )
        _, metadata = read_weights(tmp_path / "w.safetensors")
    else:
        metadata = {"inputs": "int64", "normalize": "null"}
    preprocessing = preprocessing_of(metadata)
    assert preprocessing is not None
    torch.testing.assert_close(preprocessing(inputs), task.prepare(inputs), rtol=0, atol=0)
    assert str(preprocessing)
    if not preprocessing.does_nothing:
        scope = {"torch": torch}
        exec(preprocessing.source(4), scope)
        torch.testing.assert_close(
            scope["preprocess"](inputs), task.prepare(inputs), rtol=0, atol=0
        )  # type: ignore[operator]


def test_malformed_preprocessing_is_a_sentence():
    assert preprocessing_of({}) is None
    with pytest.raises(ValueError, match="`normalize` is null or"):
        preprocessing_of({"inputs": "uint8", "normalize": "[1]"})
    with pytest.raises(ValueError, match="`normalize` is null or"):
        preprocessing_of({"inputs": "uint8", "normalize": "[[NaN], [1]]"})
    with pytest.raises(ValueError, match="`inputs` is uint8"):
        preprocessing_of({"inputs": "string"})
    with pytest.raises(ValueError, match="`classes` is a list of names"):
        classes_of({"classes": '[1, "two"]'})


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
