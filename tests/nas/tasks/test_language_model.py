"""The task `language_model`: its windows, hidden tokens, and training on real text."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.proxies.batch import task_batch
from nas.tasks import load_task
from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.token_scores import IGNORED
from nas.tasks.tokens import MASK, UNKNOWN
from nas.training.loop import train
from nas.training.recipe import Recipe
from spaces import Architecture, Shapes
from tests.nas.tasks.texts import CPU, NEIGHBOURS, Mixing, save_poem, seeded


def test_a_text_is_cut_by_position_into_windows(tmp_path):
    text = "".join(chr(97 + place // 100) for place in range(1000))
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "t.txt", text),
        objective="causal",
        length=3,
        vocabulary=9,
        test_share=0.2,
    )
    # There are two special tokens, and seven letters in the training part.
    assert task.shapes == Shapes((3,), (3, 9), vocabulary=9)
    assert (len(task.train), len(task.validation), len(task.test)) == (699 // 3, 99 // 3, 199 // 3)
    letters = torch.arange(2, 9).repeat_interleave(100)
    assert torch.equal(task.train.inputs.flatten(), letters[: 3 * 233])
    assert torch.equal(task.train.targets.flatten(), letters[1 : 3 * 233 + 1])
    assert (task.validation.inputs == UNKNOWN).all()
    assert task.corrupt is None
    assert task.check == Causal(9)


def test_what_is_hidden_is_fixed_for_validation_and_drawn_anew_for_training(tmp_path):
    path = save_poem(tmp_path / "poem.txt")
    task, again, other = (
        load_task("language_model", path=path, length=20, vocabulary=60, seed=seed)
        for seed in (0, 0, 1)
    )
    assert task.check is None
    assert torch.equal(task.validation.inputs, again.validation.inputs)
    assert torch.equal(task.test.targets, again.test.targets)
    assert not torch.equal(task.validation.targets, other.validation.targets)
    assert torch.equal(task.train.inputs, task.train.targets)
    assert ((task.validation.targets != IGNORED).sum(1) == 3).all()
    assert task.corrupt is not None
    generator = torch.Generator().manual_seed(0)
    first, second = (
        task.corrupt(task.train.inputs, task.train.targets, generator) for _ in range(2)
    )
    assert not torch.equal(first[1], second[1])
    batch = task_batch(task, 8, seed=0)
    assert ((batch.targets != IGNORED).sum(1) == 3).all(), "a proxy's batch is corrupted too"


@given(st.integers(1, 40), st.integers(5, 60), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_targets_are_the_hidden_tokens_and_nothing_else_changes(length, vocabulary, seed):
    inputs = torch.randint(
        3, vocabulary, (4, length), generator=torch.Generator().manual_seed(seed)
    )
    corrupted, targets = Masking(vocabulary)(inputs, inputs, torch.Generator().manual_seed(seed))
    chosen = targets != IGNORED
    assert (chosen.sum(1) == max(1, round(0.15 * length))).all()
    assert torch.equal(targets[chosen], inputs[chosen])
    assert torch.equal(corrupted[~chosen], inputs[~chosen])
    assert ((corrupted == MASK) | ((corrupted > MASK) & (corrupted < vocabulary))).all()


def test_of_the_hidden_80_percent_are_the_mask_10_any_token_and_10_themselves():
    inputs = torch.randint(3, 1000, (2000, 100), generator=torch.Generator().manual_seed(0))
    corrupted, targets = Masking(1000)(inputs, inputs, torch.Generator().manual_seed(1))
    chosen = targets != IGNORED
    masked = (corrupted[chosen] == MASK).double().mean().item()
    kept = (corrupted[chosen] == inputs[chosen]).double().mean().item()
    assert chosen.double().mean() == 0.15
    # For 30,000 tokens the standard deviation is 0.0023 at 0.8 and 0.0017 at 0.1.
    assert masked == pytest.approx(0.8, abs=0.01)
    assert kept == pytest.approx(0.1, abs=0.008)
    assert 1 - masked - kept == pytest.approx(0.1, abs=0.008)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": 1}, "length is the number of tokens in a window, at least 2; got 1"),
        ({"validation_share": 0.5, "test_share": 0.5}, "together below 1"),
        ({"length": 5000}, "the training part of .* has .* tokens, too few for one window of 5000"),
        ({"objective": "both"}, "input should be 'masked' or 'causal'; got 'both'"),
        ({"vocabulary": 6}, "3 tokens are special: vocabulary is at least"),
    ],
)
def test_wrong_options_of_a_language_model_are_refused(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        load_task("language_model", path=save_poem(tmp_path / "p.txt"), **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_cuda_takes_the_same_path(tmp_path, objective, amp):
    task = load_task(
        "language_model",
        path=save_poem(tmp_path / "p.txt"),
        length=16,
        vocabulary=60,
        objective=objective,
    )
    size = task.shapes.output[1]
    trained = train(
        seeded(lambda: Mixing("causal attention", size)),
        task,
        Recipe(epochs=8, batch_size=8, amp=amp),
        seed=0,
        device=torch.device("cuda", 0),
    )
    assert trained.validation > -math.log(size)
    with pytest.raises(ValueError, match="objective: masked"):
        train(
            Mixing("attention", size).cuda(),
            replace(task, check=Causal(size)),
            Recipe(epochs=1),
            seed=0,
            device=torch.device("cuda", 0),
        )


def test_a_paused_and_resumed_training_with_masks_gives_the_same_results(tmp_path):
    task = load_task("language_model", path=save_poem(tmp_path / "p.txt"), length=16, vocabulary=60)
    size, recipe = task.shapes.output[1], Recipe(epochs=4, batch_size=16)
    whole = train(seeded(lambda: Mixing("attention", size)), task, recipe, seed=3, device=CPU)
    module = seeded(lambda: Mixing("attention", size))
    half = train(module, task, recipe, seed=3, device=CPU, until=2)
    assert train(module, task, recipe, seed=3, device=CPU, paused=half.paused).curve == whole.curve


def test_real_text_is_predicted(shared_data, tmp_path):
    slice_of_it = save_poem(
        tmp_path / "slice.txt", shared_data("text/tinyshakespeare.txt").read_text()[:60_000]
    )
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.01)
    unigram = {}
    for objective in ("masked", "causal"):
        task = load_task(
            "language_model", path=slice_of_it, objective=objective, length=32, vocabulary=128
        )
        evaluator = TrainEvaluator(NEIGHBOURS, task, recipe, device="cpu")
        observed = evaluator.evaluate(
            Architecture("neighbours", (("width", 32), ("causal", objective == "causal"))), seed=0
        )
        assert isinstance(observed, Observation)
        # Better than predicting by the frequencies of the tokens, which is better than chance.
        tokens, size = task.train.inputs.flatten(), task.shapes.output[1]
        counts = torch.bincount(tokens, minlength=size).double() + 1
        targets = task.validation.targets[task.validation.targets != IGNORED]
        unigram[objective] = (counts / counts.sum()).log()[targets].mean().item()
        assert observed.score > unigram[objective] + 0.2, objective
    with pytest.raises(ValueError, match="objective: masked"):
        TrainEvaluator(NEIGHBOURS, task, recipe, device="cpu").evaluate(
            Architecture("neighbours", (("width", 16), ("causal", False))), seed=0
        )


@pytest.mark.parametrize(("content", "says"), [(" \n \n\t\n", "only blanks"), ("", "it is empty")])
def test_a_text_of_blanks_is_refused(tmp_path, content, says):
    with pytest.raises(ValueError, match=f"p.txt holds no text, {says}"):
        load_task("language_model", path=save_poem(tmp_path / "p.txt", content))
