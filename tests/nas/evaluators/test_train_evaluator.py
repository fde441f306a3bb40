"""The train evaluator writes weights, retries after a lack of memory, and tests only once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nas.evaluators import train as training_module
from nas.evaluators.evaluator import FinalResult, Observation
from nas.evaluators.train import TrainEvaluator, is_out_of_memory
from nas.evaluators.weights import save_weights
from nas.tasks import load_task
from nas.tasks.task import accuracy
from nas.training import loop
from nas.training.recipe import Recipe
from nas.training.scoring import NotFinite, evaluate_split
from spaces import Architecture
from tests.contracts.evaluator_contract import check_evaluator, check_failure
from tests.nas.evaluators.spaces import NASBENCH201, SMALL, cell

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


def test_an_observation_has_curve_costs_and_time(evaluator, digits):
    epochs = []
    listening = replace(evaluator, on_epoch=lambda *epoch_and_score: epochs.append(epoch_and_score))
    observed = listening.evaluate(FIRST, seed=0)
    assert isinstance(observed, Observation)
    assert len(observed.curve) == 2
    assert epochs == list(enumerate(observed.curve, start=1))
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
    score = evaluate_split(network, digits.validation, digits, 64, torch.device("cpu"))
    assert score == observed.score
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

    # The validation and test splits have one length, so the test split is shortened to be
    # recognised.
    test = replace(digits.test, inputs=digits.test.inputs[:77], targets=digits.test.targets[:77])
    task = replace(digits, metric=metric, test=test)
    evaluator = TrainEvaluator(SMALL, task, RECIPE, replace(RECIPE, epochs=3), device="cpu")
    evaluator.evaluate(FIRST, seed=0)
    assert read == [359] * 2
    read.clear()
    final = evaluator.finalize(FIRST, seed=0)
    assert read == [359] * 3 + [77]
    assert isinstance(final, FinalResult)
    assert len(final.curve) == 3
    assert final.validation == final.curve[-1]


def test_a_hopeless_training_says_after_how_many_epochs_it_ended(evaluator):
    # The weights hardly move, so that the loss stays above that of the frequencies.
    recipe = replace(RECIPE, epochs=4, learning_rate=1e-9, hopeless=0.5)
    observed = replace(evaluator, recipe=recipe).evaluate(FIRST, seed=0)
    assert isinstance(observed, Observation)
    assert len(observed.curve) == 2
    assert dict(observed.metrics)["stopped_after"] == 2
    whole = evaluator.evaluate(FIRST, seed=0)
    assert isinstance(whole, Observation)
    assert "stopped_after" not in dict(whole.metrics)


def test_the_averaged_weights_are_validated_tested_and_written(evaluator, digits, tmp_path):
    averaged = replace(evaluator, recipe=replace(RECIPE, ema=0.9), final_recipe=None)
    final = averaged.finalize(SECOND, seed=4, weights=tmp_path / "w.safetensors")
    assert isinstance(final, FinalResult)
    network = SMALL.for_shapes(digits.shapes).build(SECOND)
    network.load_state_dict(load_file(tmp_path / "w.safetensors"))
    splits = (digits.validation, digits.test)
    scores = [evaluate_split(network, split, digits, 64, torch.device("cpu")) for split in splits]
    assert scores == [final.validation, final.test]
    plain = replace(evaluator, final_recipe=None).finalize(SECOND, seed=4)
    assert isinstance(plain, FinalResult)
    assert plain.validation != final.validation


@pytest.mark.parametrize("amp", [True, False])
def test_validation_and_test_have_one_precision_and_one_batch_size(evaluator, monkeypatch, amp):
    seen, real = [], evaluate_split

    def watched(module, split, task, batch_size, device, *, amp=False):
        seen.append((batch_size, amp))
        return real(module, split, task, batch_size, device, amp=amp)

    monkeypatch.setattr(training_module, "evaluate_split", watched)
    monkeypatch.setattr(loop, "evaluate_split", watched)
    recipe = replace(RECIPE, amp=amp, accumulate=4)
    replace(evaluator, final_recipe=recipe).finalize(FIRST, seed=0)
    assert seen == [(32, amp)] * 3


def test_only_finalists_are_compiled_and_a_failure_is_a_warning(evaluator, monkeypatch):
    def broken(module):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    compiling = replace(evaluator, recipe=replace(RECIPE, compile=True), final_recipe=None)
    plain = evaluator.evaluate(FIRST, seed=0)
    searched = compiling.evaluate(FIRST, seed=0)
    assert isinstance(searched, Observation)
    assert replace(searched, seconds=0.0) == replace(plain, seconds=0.0)
    with pytest.warns(UserWarning, match="torch.compile failed .*no compiler here"):
        final = compiling.finalize(FIRST, seed=0)
    assert isinstance(final, FinalResult)
    assert final.curve == searched.curve


def failing(monkeypatch, *errors):
    """Makes the first trainings fail with these errors; returns the list of the recipes tried."""
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
