"""Losses and metrics of tokens: their values, batch by batch, and their checks."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.record.shapes import shapes_from_json, shapes_to_json, with_shapes
from nas.tasks.task import Split
from nas.tasks.token_scores import (
    IGNORED,
    Mean,
    negative_nats_per_token,
    token_accuracy,
    token_cross_entropy,
)
from nas.training.scoring import NotFinite, evaluate_split
from spaces import Shapes
from tests.nas.tasks.texts import CLASSIFIERS, CPU, seeded, token_task


def test_scores_of_tokens_are_those_written_out():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 5, 7, generator=generator)
    targets = torch.randint(7, (4, 5), generator=generator)
    targets[:, ::2] = IGNORED
    right, nats = [], []
    for row, place in [(row, place) for row in range(4) for place in (1, 3)]:
        shares = outputs[row, place].double().softmax(0)
        nats.append(math.log(shares[targets[row, place]]))
        right.append(int(shares.argmax()) == targets[row, place])
    assert negative_nats_per_token(outputs, targets) == pytest.approx(sum(nats) / 8, rel=1e-5)
    assert token_accuracy(outputs, targets) == sum(right) / 8
    assert token_cross_entropy(outputs, targets).item() == pytest.approx(-sum(nats) / 8, rel=1e-5)
    even = torch.zeros(4, 5, 7)
    assert negative_nats_per_token(even, targets) == pytest.approx(-math.log(7), rel=1e-6)


class Table(nn.Module):
    """The outputs at a position depend only on its own token."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(vocabulary, vocabulary)
        self.largest_batch = 0

    def forward(self, tokens):
        self.largest_batch = max(self.largest_batch, len(tokens))
        return self.rows(tokens)


@pytest.mark.parametrize("metric", ["negative_nats_per_token", "token_accuracy"])
def test_a_mean_is_taken_a_batch_at_a_time_and_is_that_of_the_whole(metric):
    task, module = token_task(metric), seeded(lambda: Table(9))
    whole = task.metric_function()(module(task.validation.inputs), task.validation.targets)
    module.largest_batch = 0
    for batch_size in (1, 7, 100):
        # The batches have different numbers of tokens that count, so a mean of the batches' means
        # would be another number.
        assert evaluate_split(module, task.validation, task, batch_size, CPU) == pytest.approx(
            whole, rel=1e-12
        )
    assert module.largest_batch == 30
    with torch.no_grad():
        module.rows.weight[4, 2] = math.nan
    with pytest.raises(NotFinite, match="30 samples"):
        evaluate_split(module, task.validation, task, 7, CPU)


def test_label_smoothing_is_torch_s():
    outputs = torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(1))
    targets = token_task().train.targets[:3]
    expected = functional.cross_entropy(outputs.transpose(1, 2), targets, label_smoothing=0.2)
    torch.testing.assert_close(token_task().loss_function(0.2)(outputs, targets), expected)


def test_targets_that_are_no_tokens_are_refused():
    task = token_task()
    with pytest.raises(
        ValueError, match=r"has 4 tokens, numbered from 0; its train targets go from 0 to 8"
    ):
        replace(task, shapes=Shapes((6,), (6, 4)))
    with pytest.raises(ValueError, match=r"needs outputs \(length, vocabulary\)"):
        replace(task, shapes=Shapes((6,), (9,)))
    with pytest.raises(ValueError, match="no test target that counts"):
        replace(task, test=Split(task.test.inputs, torch.full_like(task.test.targets, IGNORED)))


def test_shapes_are_kept_as_json_with_a_vocabulary_where_there_is_one():
    for shapes in (Shapes((1, 8, 8), (10,)), Shapes((6,), (6, 9), vocabulary=9)):
        written = json.loads(json.dumps(shapes_to_json(shapes)))
        assert shapes_from_json(written, "here") == shapes
        # The journals of tasks without a vocabulary stay as they were.
        assert ("vocabulary" in written) == (shapes.vocabulary is not None)
        assert with_shapes(CLASSIFIERS, written, "here").shapes == shapes
    for wrong in ({"input": [1]}, [3], "x", {"input": [1], "output": [2], "vocabulary": "many"}):
        with pytest.raises(ValueError, match="here should give shapes"):
            shapes_from_json(wrong, "here")


def test_a_mean_of_a_user_s_own_is_taken_in_batches_too():
    def within_one(outputs, targets):
        near = ((outputs.argmax(2) - targets).abs() <= 1) & (targets != IGNORED)
        return near.double().sum(), (targets != IGNORED).double().sum()

    task, module = token_task(Mean(within_one)), seeded(lambda: Table(9))
    assert evaluate_split(module, task.validation, task, 4, CPU) == Mean(within_one)(
        module(task.validation.inputs), task.validation.targets
    )
