"""The evaluators: the table finds what it should and says what it lacks; training saves, retries
and keeps the test split unread.
"""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import numpy
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nas.evaluators import train as training_module
from nas.evaluators.evaluator import FinalResult, Observation
from nas.evaluators.table import table_evaluator
from nas.evaluators.train import TrainEvaluator, is_out_of_memory, save_weights
from nas.tasks import load_task
from nas.tasks.task import accuracy
from nas.training.loop import NotFinite, evaluate_split
from nas.training.recipe import Recipe
from spaces import Architecture, GraphBuilder, SearchSpace
from spaces.canonical import canonical_key
from spaces.load import load_space
from spaces.operators import sample
from tests.contracts.evaluator_contract import check_evaluator, check_failure

NASBENCH201 = load_space("nasbench201")
COLUMNS = {"score": "c100_val_200", "test": "c100_test_200"}


def cell(*operations):
    names = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    return Architecture("nasbench201", tuple(zip(names, operations, strict=True)))


@pytest.fixture(scope="module")
def table():
    return table_evaluator(
        NASBENCH201,
        "builtin:nasbench201",
        **COLUMNS,
        seconds="c100_epoch_seconds",
        epochs=200,
        metrics={"parameters": "c100_params"},
    )


@pytest.fixture(scope="module")
def part_of_the_table(table, tmp_path_factory):
    """The rows whose first operation is a convolution, as a file."""
    with numpy.load(str(files("nas") / "data" / "nasbench201.npz")) as columns:
        kept = numpy.isin(columns["arch"][:, 0], (2, 3))
        path = tmp_path_factory.mktemp("table") / "part.npz"
        numpy.savez(
            path,
            **{name: columns[name][kept] for name in ("arch", "c100_val_200", "c100_test_200")},
        )
    return path


# Tables


def test_the_table_keeps_the_contract(table, tmp_path):
    source = random.Random(0)
    check_evaluator(table, [sample(NASBENCH201, source) for _ in range(20)], tmp_path)


def test_the_table_knows_the_best_cell(table):
    """NAS-Bench-201's best on CIFAR-100: 73.51 % test accuracy."""
    best = int(numpy.argmax(table.test))
    final = table.finalize(table.architectures[best], seed=0)
    assert isinstance(final, FinalResult)
    assert final.test == pytest.approx(73.5133, abs=1e-3)
    assert final.validation == pytest.approx(float(table.scores[best]))
    observed = table.evaluate(table.architectures[best], seed=0)
    assert isinstance(observed, Observation)
    assert 200 * 5 < observed.seconds == final.seconds < 200 * 40
    assert dict(observed.metrics)["parameters"] > 5e4


def test_the_table_imports_no_torch():
    code = (
        "import sys\nfrom nas.evaluators.table import table_evaluator\nfrom spaces.load import "
        "load_space\n"
        "table = table_evaluator(load_space('nasbench201'), 'builtin:nasbench201', "
        "score='c100_val_200', test='c100_test_200')\n"
        "table.evaluate(table.architectures[3], seed=0)\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_isomorphic_row_stands_in_for_one_that_is_missing(part_of_the_table):
    part = table_evaluator(NASBENCH201, part_of_the_table, **COLUMNS)
    # Nothing comes over 0->1 in the one, and nothing goes on from it in the other.
    twin, present = (
        cell("none", *["nor_conv_3x3"] * 5),
        cell("nor_conv_3x3", "nor_conv_3x3", "none", "nor_conv_3x3", "none", "nor_conv_3x3"),
    )
    key = canonical_key(NASBENCH201.graph(twin))
    assert canonical_key(NASBENCH201.graph(present)) == key
    first = next(row for row in part.architectures if canonical_key(NASBENCH201.graph(row)) == key)
    assert part.evaluate(twin, seed=0) == part.evaluate(first, seed=0)
    only = cell("skip_connect", *["nor_conv_3x3"] * 5)
    check_failure(
        part.evaluate(only, seed=0),
        "missing",
        "has no score for the architecture edge_0_1=skip_connect",
    )
    check_failure(part.finalize(only, seed=0), "missing", "has no test score")


def test_a_number_that_is_not_there_is_a_failure(table):
    sparse = table_evaluator(NASBENCH201, "builtin:nasbench201", score="c10_val_200")
    results = [sparse.evaluate(architecture, seed=0) for architecture in sparse.architectures]
    assert sum(isinstance(result, Observation) for result in results) == 725
    check_failure(results[0], "missing", "builtin:nasbench201 has no score")
    check_failure(
        sparse.finalize(sparse.architectures[0], seed=0), "missing", "without a test column"
    )
    with pytest.raises(
        ValueError,
        match=r"scores of the fidelities 1 alone; got 0\.5\. Name a column for it in evaluator\.fidelities",
    ):
        table.evaluate(table.architectures[0], seed=0, fidelity=0.5)


def test_columns_give_lower_fidelities():
    table = table_evaluator(
        NASBENCH201,
        "builtin:nasbench201",
        **COLUMNS,
        seconds="c100_epoch_seconds",
        epochs=200,
        fidelities={0.06: "c100_val_12"},
    )
    whole, early = (
        table.evaluate(table.architectures[7], seed=0, fidelity=fidelity)
        for fidelity in (1.0, 12 / 200)
    )
    assert isinstance(whole, Observation)
    assert isinstance(early, Observation)
    assert early.score == table.fidelities[0.06][7] != whole.score == table.scores[7]
    assert early.seconds == pytest.approx(0.06 * whole.seconds)
    assert table.evaluate(table.architectures[7], seed=0, fidelity=0.0605) == replace(
        early, seconds=pytest.approx(0.0605 * whole.seconds)
    )
    with pytest.raises(ValueError, match=r"scores of the fidelities 0\.06, 1 alone; got 0\.062"):
        table.evaluate(table.architectures[7], seed=0, fidelity=0.062)


@pytest.mark.parametrize(
    ("path", "changes", "says"),
    [
        ("missing.npz", {}, "there is no file missing.npz"),
        ("builtin:nasbench404", {}, "no shipped table 'nasbench404'; there is nasbench201"),
        (
            "builtin:nasbench201",
            {"score": "accuracy"},
            "no column 'accuracy'; it has arch, c10_val_12",
        ),
        ("builtin:nasbench201", {"test": "c100_val_200"}, "the search would see the test scores"),
        (
            "builtin:nasbench201",
            {"metrics": {"peek": "c100_test_200"}},
            "the search would see the test scores",
        ),
        (
            "builtin:nasbench201",
            {"fidelities": {0.06: "c100_test_200"}},
            "the search would see the test scores",
        ),
        (
            "builtin:nasbench201",
            {"fidelities": {1.0: "c100_val_12"}},
            "fidelities are shares of the epochs, more than 0 and less than 1",
        ),
        ("builtin:nasbench201", {"fidelities": {0.06: "c100_val_13"}}, "no column 'c100_val_13'"),
        (
            "builtin:nasbench201",
            {"seconds": "arch"},
            "'arch' of .* should be 15625 numbers, one a row",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(path, changes, says):
    with pytest.raises(ValueError, match=says):
        table_evaluator(NASBENCH201, path, **{**COLUMNS, **changes})


def test_a_table_of_another_space_is_refused(tmp_path):
    numpy.savez(tmp_path / "t.npz", c100_val_200=numpy.zeros(3))
    with pytest.raises(
        ValueError,
        match="no column 'arch', which the space 'nasbench201' reads; it has c100_val_200",
    ):
        table_evaluator(NASBENCH201, tmp_path / "t.npz", score="c100_val_200")
    with pytest.raises(ValueError, match="the space 'small' has no `rows`"):
        table_evaluator(SMALL, tmp_path / "t.npz", score="c100_val_200")


def test_the_shipped_table_is_the_published_one(shared_data, table):
    with (
        numpy.load(shared_data("nasbench201.npz")) as source,
        numpy.load(str(files("nas") / "data" / "nasbench201.npz")) as shipped,
    ):
        for name in shipped.files:
            assert shipped[name].dtype == source[name].dtype
            numpy.testing.assert_array_equal(shipped[name], source[name])
    described = (files("nas") / "data" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in described for name in ("arch", "c100_val_200", "c10_params"))
    assert "MIT" in described


# Training


def small(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    width = choose.one_of("width", (4, 8))
    value = builder.node("conv2d", value, out_channels=width, kernel_size=3, stride=2, padding=1)
    value = builder.node("relu", builder.node("batch_norm2d", value))
    value = builder.node(
        "flatten",
        builder.node("adaptive_avg_pool2d", value, output_size=choose.one_of("pool", (1, 2))),
    )
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


SMALL = SearchSpace("small", small)
FIRST, SECOND = (Architecture("small", (("width", width), ("pool", 2))) for width in (4, 8))
RECIPE = Recipe(epochs=2, batch_size=128, optimizer="adamw", learning_rate=0.01)


@pytest.fixture(scope="module")
def digits():
    return load_task("digits")


@pytest.fixture
def evaluator(digits):
    return TrainEvaluator(SMALL, digits, RECIPE, replace(RECIPE, epochs=3), device="cpu")


def test_training_keeps_the_contract(evaluator, tmp_path):
    check_evaluator(evaluator, [FIRST, SECOND], tmp_path)


def test_an_observation_tells_curve_costs_and_time(evaluator, digits):
    told = []
    observed = replace(
        evaluator, on_epoch=lambda epoch, score: told.append((epoch, score))
    ).evaluate(FIRST, seed=0)
    assert isinstance(observed, Observation)
    assert len(observed.curve) == 2
    assert told == list(enumerate(observed.curve, start=1))
    assert observed.seconds > 0
    network = SMALL.for_shapes(digits.shapes).build(FIRST)
    metrics = dict(observed.metrics)
    assert metrics["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert metrics["multiply_adds"] >= 4 * 9 * 16 + 16 * 10
    assert metrics["batch_size"] == 128
    short = evaluator.evaluate(FIRST, seed=0, fidelity=0.5)
    assert isinstance(short, Observation)
    assert len(short.curve) == 1


def test_the_weights_written_give_the_score_again(evaluator, digits, tmp_path):
    path = tmp_path / "new folder" / "weights.safetensors"
    observed = evaluator.evaluate(SECOND, seed=4, weights=path)
    assert isinstance(observed, Observation)
    network = SMALL.for_shapes(digits.shapes).build(SECOND)
    network.load_state_dict(load_file(path))
    assert (
        evaluate_split(network, digits.validation, digits, 64, torch.device("cpu"))
        == observed.score
    )
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]


def test_tied_and_channels_last_weights_are_written(tmp_path):
    tied = nn.ModuleDict(
        {
            "a": nn.Linear(3, 3),
            "b": nn.Linear(3, 3),
            "c": nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last),
        }
    )
    tied["b"].weight = tied["a"].weight
    save_weights(tied, tmp_path / "w.safetensors")
    torch.testing.assert_close(load_file(tmp_path / "w.safetensors"), dict(tied.state_dict()))


def test_the_test_split_is_read_once_and_by_finalize_only(digits):
    read = []

    def metric(outputs, targets):
        read.append(len(targets))
        return accuracy(outputs, targets)

    # The splits of the digits are equally long, so the test split is shortened to be recognised.
    task = replace(
        digits,
        metric=metric,
        test=replace(digits.test, inputs=digits.test.inputs[:77], targets=digits.test.targets[:77]),
    )
    evaluator = TrainEvaluator(SMALL, task, RECIPE, replace(RECIPE, epochs=3), device="cpu")
    evaluator.evaluate(FIRST, seed=0)
    assert read == [359] * 2
    read.clear()
    final = evaluator.finalize(FIRST, seed=0)
    assert read == [359] * 3 + [77]
    assert isinstance(final, FinalResult)
    assert len(final.curve) == 3
    assert final.validation == final.curve[-1]


def failing(monkeypatch, *errors):
    """Lets the first trainings fail with these errors; returns the recipes that were tried."""
    tried, real, left = [], training_module.train, list(errors)

    def train(module, task, recipe, **rest):
        tried.append(recipe)
        if left:
            raise left.pop(0)
        return real(module, task, recipe, **rest)

    monkeypatch.setattr(training_module, "train", train)
    return tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you "
            "tried to allocate 9 bytes."
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_out_of_memory_is_tried_again_with_half_the_batch(evaluator, monkeypatch, error):
    assert is_out_of_memory(error)
    tried = failing(monkeypatch, error)
    observed = evaluator.evaluate(FIRST, seed=0)
    assert isinstance(observed, Observation)
    assert dict(observed.metrics)["batch_size"] == 64
    assert [recipe.batch_size for recipe in tried] == [128, 64]
    assert tried[1].learning_rate == pytest.approx(0.01 / 2**0.5)


@pytest.mark.parametrize("method", ["evaluate", "finalize"])
def test_out_of_memory_twice_is_a_failure(evaluator, monkeypatch, method):
    tried = failing(monkeypatch, MemoryError(), MemoryError("again"))
    result = getattr(evaluator, method)(FIRST, seed=0)
    check_failure(result, "out of memory", "batches of 128, nor of 64")
    assert "again" in result.detail
    assert len(tried) == 2


@pytest.mark.parametrize("method", ["evaluate", "finalize"])
def test_numbers_that_are_not_finite_are_a_failure(evaluator, monkeypatch, method):
    failing(monkeypatch, NotFinite("the loss was not finite in epoch 1 of 2"))
    check_failure(getattr(evaluator, method)(FIRST, seed=0), "not finite", "in epoch 1 of 2")


def test_a_real_explosion_is_a_failure(evaluator):
    wild = replace(
        evaluator, recipe=Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=1e30)
    )
    check_failure(wild.evaluate(FIRST, seed=0), "not finite", "lower the learning rate")


def test_other_errors_are_passed_on(evaluator, monkeypatch):
    failing(monkeypatch, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        evaluator.evaluate(FIRST, seed=0)


def test_a_published_cell_trains_on_real_images(shared_data, tmp_path):
    task = load_task(
        "cifar10",
        path=str(shared_data("cifar10_small.npz")),
        limit=160,
        test_limit=50,
        validation_share=0.2,
    )
    evaluator = TrainEvaluator(NASBENCH201, task, Recipe(epochs=1, batch_size=64), device="cpu")
    observed = evaluator.evaluate(
        cell(*["nor_conv_3x3", "skip_connect"] * 3), seed=0, weights=tmp_path / "w.safetensors"
    )
    assert isinstance(observed, Observation)
    assert 0 <= observed.score <= 1
    assert (tmp_path / "w.safetensors").stat().st_size > 4 * dict(observed.metrics)["parameters"]
