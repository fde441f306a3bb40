"""Tasks whose inputs are several tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.tasks.augment import FlipAndCrop
from nas.tasks.task import Split, Task
from spaces import Shapes

IMAGE = torch.randint(256, (6, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
TABLE = torch.arange(12.0).reshape(6, 2)
TOKENS = torch.arange(6)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
BOTH = {"image": IMAGE, "table": TABLE}
SHAPES = Shapes({"image": (3, 4, 4), "table": (2,)}, (3,))
STATISTICS = ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))


def task(inputs: Any = BOTH, shapes: Shapes = SHAPES, targets: Any = LABELS, **changes) -> Task:
    split = Split(inputs, targets)
    return Task("two", split, split, split, shapes, **changes)


def test_rows_and_batches_have_the_structure_of_the_inputs() -> None:
    split = Split(BOTH, LABELS)
    inputs, targets = split.rows(torch.tensor([4, 1]))
    assert torch.equal(inputs["table"], TABLE[[4, 1]])
    assert torch.equal(targets, LABELS[[4, 1]])
    assert [len(labels) for _, labels in split.batches(4)] == [4, 2]
    assert len(split) == 6
    one, other = Split((IMAGE, TABLE), LABELS).to(torch.device("cpu")).inputs
    assert torch.equal(one, IMAGE)
    assert torch.equal(other, TABLE)


@pytest.mark.parametrize(
    ("inputs", "targets", "says"),
    [
        ([IMAGE, TABLE], LABELS, "a tensor, a tuple of tensors, or a mapping"),
        ({"image": {"left": IMAGE}}, LABELS, "a tensor, a tuple of tensors, or a mapping"),
        ((IMAGE, TABLE[:5]), LABELS, "inputs_0 6, inputs_1 5, targets 6"),
        (BOTH, LABELS[:5], "image 6, table 6, targets 5"),
        ((IMAGE, TABLE.double()), LABELS, r"float64 of shape \(6, 2\) as inputs_1"),
        ((IMAGE[:0], TABLE[:0]), LABELS[:0], "at least one sample"),
        ((), LABELS, "a tensor, a tuple of tensors, or a mapping"),
    ],
)
def test_a_split_of_several_inputs_is_checked(inputs, targets, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Split(inputs, targets)


def test_each_input_is_scaled_and_normalised_by_its_own_statistics() -> None:
    prepared = task(normalize={"table": None, "image": STATISTICS}).prepare(BOTH)
    split, shapes = Split(IMAGE, LABELS), Shapes((3, 4, 4), (3,))
    single = Task("one", split, split, split, shapes, normalize=STATISTICS)
    assert torch.equal(prepared["image"], single.prepare(IMAGE))
    assert torch.equal(prepared["table"], TABLE)
    image, table = task(
        (IMAGE, TABLE), Shapes(((3, 4, 4), (2,)), (3,)), normalize=(None, ((1, 2), (1, 2)))
    ).prepare((IMAGE, TABLE))
    assert torch.equal(image, IMAGE.float() / 255)
    assert torch.equal(table, (TABLE - torch.tensor([1, 2])) / torch.tensor([1, 2]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"normalize": STATISTICS}, "for each of them a mean and a deviation"),
        ({"normalize": {"image": STATISTICS}}, "for each of them a mean and a deviation"),
        ({"normalize": {"image": None, "table": STATISTICS}}, "has 2 channels in table"),
        ({"augment": FlipAndCrop()}, "its augment FlipAndCrop takes one tensor"),
        ({"tokenizer": "{}"}, "a tokenizer and 0 inputs of tokens"),
        ({"shapes": Shapes((3, 4, 4), (3,))}, "takes inputs of shape"),
        ({"shapes": Shapes(SHAPES.input, {"a": (3,)})}, "its loss 'cross_entropy' takes one"),
        ({"targets": {"a": LABELS}}, "the loss 'cross_entropy' of the task 'two' takes one"),
    ],
)
def test_a_task_of_several_inputs_is_checked(changes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        task(**changes)


def test_an_input_of_tokens_has_a_vocabulary() -> None:
    inputs, shape = {**BOTH, "table": TOKENS}, {**SHAPES.input, "table": ()}
    with pytest.raises(ValueError, match=r"table is torch\.int64, and its vocabulary is None"):
        task(inputs, Shapes(shape, (3,)))
    made = task(inputs, Shapes(shape, (3,), {"image": None, "table": 6}))
    assert torch.equal(made.prepare(inputs)["table"], TOKENS)


def test_a_fingerprint_is_of_all_inputs() -> None:
    changed = {**BOTH, "table": TABLE + 1}
    swapped = Shapes(((3, 4, 4), (2,)), (3,))
    prints = {
        task().fingerprint(),
        task(changed).fingerprint(),
        task((IMAGE, TABLE), swapped).fingerprint(),
        task(dict(reversed(BOTH.items()))).fingerprint(),
    }
    assert len(prints) == 3, "the order of names does not matter, all else does"
