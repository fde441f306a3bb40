"""Tasks are found by name, and check their data, losses and metrics."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from nas.tasks import TASKS, load_task
from nas.tasks.task import Split, Task, accuracy, negative_mse
from spaces import Shapes


def test_importing_the_tasks_does_not_import_torch():
    code = "import sys, nas.tasks; nas.tasks.known_tasks(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_fingerprint_is_of_all_that_is_learned_from():
    first, again = load_task("digits"), load_task("digits")
    assert first.fingerprint() == again.fingerprint()
    moved, labels = first.train.inputs.clone(), first.test.targets.clone()
    moved[-1, 0, 3, 4] += 0.25
    labels[7] = (labels[7] + 1) % 10
    shorter = Split(first.validation.inputs[:-1], first.validation.targets[:-1])
    others = (
        replace(first, train=Split(moved, first.train.targets)),
        replace(first, test=Split(first.test.inputs, labels)),
        replace(first, validation=shorter),
        load_task("digits", seed=1),
    )
    assert len({first.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_a_split_is_checked():
    with pytest.raises(ValueError, match="3 inputs and 2 targets"):
        Split(torch.zeros(3, 4), torch.zeros(2))
    with pytest.raises(ValueError, match="empty"):
        Split(torch.zeros(0, 4), torch.zeros(0))
    with pytest.raises(ValueError, match=r"torch.float64 of shape \(3, 4\)"):
        Split(torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"shapes": Shapes((5,), (2,))},
            r"takes inputs of shape \(5,\); its train inputs are \(4,\)",
        ),
        (
            {"shapes": Shapes((4,), (1,))},
            "has 1 classes, numbered from 0; its train targets go from 0 to 1",
        ),
        ({"loss": "hinge"}, "the loss 'hinge'; known: cross_entropy, mse"),
        ({"metric": "f1"}, "the metric 'f1'; known: accuracy, negative_mse"),
        ({"normalize": ((0.0,), (1.0,))}, "has 4 channels"),
        ({"normalize": ((0.0,) * 4, (0.0,) * 4)}, "positive deviation"),
    ],
)
def test_a_task_is_checked(changes, says):
    split = Split(torch.zeros(2, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=says):
        Task("t", split, split, split, **{"shapes": Shapes((4,), (2,)), **changes})


def test_cross_entropy_refuses_targets_that_are_not_class_numbers():
    split = Split(torch.zeros(2, 4), torch.zeros(2))
    with pytest.raises(ValueError, match="int64 class numbers; the train targets of 't' are torch"):
        Task("t", split, split, split, Shapes((4,), (2,)))


def test_metrics_and_losses_are_the_textbook_ones():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert accuracy(outputs, torch.tensor([1, 0, 0])) == pytest.approx(2 / 3)
    assert negative_mse(outputs, outputs + 2) == -4
    with pytest.raises(ValueError, match="one shape"):
        negative_mse(torch.zeros(3, 1), torch.zeros(3))
    split = Split(torch.zeros(2, 4), torch.zeros(2, 1))
    task = Task("t", split, split, split, Shapes((4,), (1,)), loss="mse", metric="negative_mse")
    assert task.loss_function()(torch.ones(2, 1), torch.zeros(2, 1)) == 1
    with pytest.raises(ValueError, match="needs the loss 'cross_entropy'"):
        task.loss_function(0.1)


def test_pixels_are_scaled_and_normalised_for_each_channel_and_tokens_are_left_alone():
    split = Split(
        torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8)[:, :, None, None],
        torch.tensor([0, 1]),
    )
    task = Task(
        "t", split, split, split, Shapes((2, 1, 1), (2,)), normalize=((0.5, 0.0), (0.5, 2.0))
    )
    torch.testing.assert_close(
        task.prepare(split.inputs).flatten(1), torch.tensor([[-1.0, 0.5], [1.0, 0.0]])
    )
    tokens = torch.tensor([[3, 4]])
    assert task.prepare(tokens) is tokens


def test_digits_are_split_by_class():
    task = load_task("digits")
    assert (len(task.train), len(task.validation), len(task.test)) == (1079, 359, 359)
    assert task.shapes == Shapes((1, 8, 8), (10,))
    assert torch.bincount(task.test.targets).tolist() == pytest.approx([36] * 10, abs=2)
    prepared = task.prepare(task.train.inputs)
    assert prepared.mean().item() == pytest.approx(0, abs=1e-4)
    assert prepared.std().item() == pytest.approx(1, abs=1e-4)
    other = load_task("digits", seed=1)
    assert not torch.equal(task.test.inputs, other.test.inputs)


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(ValueError, match="did you mean 'digits'") as raised:
        load_task("digit")
    assert all(name in str(raised.value) for name in TASKS)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "images",
            {"pat": "x"},
            "has no option 'pat'; did you mean 'path'\\? Its options: path, test, image_size",
        ),
        ("images", {}, "needs the option 'path'"),
        ("digits", {"size": 3}, "has no option 'size'. Its options: none"),
    ],
)
def test_wrong_options_name_the_accepted_ones(name, options, says):
    with pytest.raises(ValueError, match=says):
        load_task(name, **options)


def test_a_function_in_a_file_is_a_task(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\nfrom nas.tasks.task import Split, Task\nfrom spaces import Shapes\n"
        "def own(size, seed):\n"
        "    split = Split(torch.full((size, 3), float(seed)), torch.arange(size) % 2)\n"
        "    return Task('own', split, split, split, Shapes((3,), (2,)))\n"
        "def wrong():\n    return 3\nnumber = 4\n"
    )
    task = load_task(f"{file}:own", seed=5, size=4)
    assert len(task.train) == 4
    assert task.train.inputs[0, 0] == 5
    with pytest.raises(ValueError, match="returned a int"):
        load_task(f"{file}:wrong")
    with pytest.raises(ValueError, match="it is a int"):
        load_task(f"{file}:number")
    with pytest.raises(ValueError, match="needs the option 'size'"):
        load_task(f"{file}:own")


def test_as_many_classes_are_named_as_there_are_outputs():
    split = Split(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"names 3 classes, and its outputs have the shape \(2,\)"):
        Task("t", split, split, split, Shapes((2,), (2,)), classes=("a", "b", "c"))
