"""Tasks: splits, images from files, errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks import TASKS, load_task
from nas.tasks.augment import FlipAndCrop
from nas.tasks.splits import class_numbers, random_rows, stratified_split
from nas.tasks.task import Split, Task, accuracy, negative_mse
from spaces import Shapes


def save_arrays(path, count=40, size=6, classes=2, **changes):
    generator = numpy.random.default_rng(0)
    arrays = {
        "train_x": generator.integers(0, 256, (count, size, size, 3), dtype=numpy.uint8),
        "train_y": numpy.arange(count) % classes,
    }
    numpy.savez(
        path, **{name: value for name, value in {**arrays, **changes}.items() if value is not None}
    )
    return str(path)


def save_folder(path, classes=("cat", "dog"), count=10, size=(8, 6)):
    image = pytest.importorskip("PIL.Image")
    for number, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for index in range(count):
            image.new("RGB", size, (60 * number, 3 * index, 0)).save(path / name / f"{index}.png")
    return path


def test_importing_the_tasks_does_not_import_torch():
    code = "import sys, nas.tasks; nas.tasks.known_tasks(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Data


def test_a_folder_that_is_trained_on_is_not_tested_on(tmp_path):
    folder = save_folder(tmp_path / "photos")
    with pytest.raises(
        ValueError, match=r"path and test are the same, .* each split needs samples of its own"
    ):
        load_task("images", path=str(folder), test=f"{folder}/", image_size=8)


def test_a_fingerprint_is_of_all_that_is_learned_from():
    first, again = load_task("digits"), load_task("digits")
    assert first.fingerprint() == again.fingerprint()
    moved, labels = first.train.inputs.clone(), first.test.targets.clone()
    moved[-1, 0, 3, 4] += 0.25
    labels[7] = (labels[7] + 1) % 10
    others = (
        replace(first, train=Split(moved, first.train.targets)),
        replace(first, test=Split(first.test.inputs, labels)),
        replace(
            first, validation=Split(first.validation.inputs[:-1], first.validation.targets[:-1])
        ),
        load_task("digits", seed=1),
    )
    assert len({first.fingerprint(), *(other.fingerprint() for other in others)}) == 5


# Splits


@given(st.lists(st.integers(0, 3), min_size=30, max_size=200), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_stratified_parts_are_disjoint_complete_and_true_to_the_classes(labels, seed):
    labels = numpy.array(labels)
    parts = stratified_split(labels, (0.2, 0.25), seed)
    assert sorted(numpy.concatenate(parts)) == list(range(len(labels)))
    assert [len(part) for part in parts[:2]] == [int(0.2 * len(labels)), int(0.25 * len(labels))]
    for label in range(4):
        assert (
            abs((labels[parts[0]] == label).sum() - len(parts[0]) * (labels == label).mean()) <= 1
        )


def test_the_seed_draws_the_split():
    labels = numpy.arange(100) % 4
    first, again, other = (stratified_split(labels, (0.3,), seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ((0.01,), "leaves a split empty"),
        ((0.5, 0.5), "leaves a split empty"),
        ((1.5,), "between 0 and 1"),
    ],
)
def test_an_empty_part_is_refused(shares, says):
    with pytest.raises(ValueError, match=says):
        stratified_split(numpy.arange(20) % 2, shares, 0)


def test_a_share_is_called_as_its_user_knows_it():
    with pytest.raises(ValueError, match=r"validation_share lies between 0 and 1; got 2\.0"):
        stratified_split(numpy.arange(20) % 2, (0.2, 2.0), 0, ("test_share", "validation_share"))
    with pytest.raises(
        ValueError, match=r"test_share is 0\.01, which of 20 samples leaves a split empty"
    ):
        stratified_split(numpy.arange(20) % 2, (0.01,), 0, ("test_share",))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (numpy.array([0.0, 1.0]), "whole numbers; they are float64"),
        (numpy.array(["cat", "dog"]), "whole numbers"),
        (numpy.array([3, 3]), "one class only, the label 3"),
        (numpy.array([1, 2, 5]), "3 numbers from 1 to 5; they should be 0 to 2"),
        (numpy.array([], dtype=int), "no samples"),
    ],
)
def test_labels_that_are_not_class_numbers_are_refused(labels, says):
    with pytest.raises(ValueError, match=says):
        class_numbers(labels, "here")


def test_a_limit_draws_rows_in_order():
    assert random_rows(5, None, 0).tolist() == random_rows(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    rows = random_rows(100, 10, 0).tolist()
    assert len(set(rows)) == 10
    assert rows == sorted(rows)
    with pytest.raises(ValueError, match="at least 1"):
        random_rows(5, 0, 0)


# What a task holds


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
        Task(
            **{
                "name": "t",
                "train": split,
                "validation": split,
                "test": split,
                "shapes": Shapes((4,), (2,)),
                **changes,
            }
        )


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


def test_flips_and_crops_are_windows_of_the_bordered_image():
    images = (
        torch.arange(1, 2 * 3 * 5 * 5 + 1, dtype=torch.uint8)
        .reshape(2, 3, 5, 5)
        .repeat(20, 1, 1, 1)
    )
    generator = torch.Generator().manual_seed(0)
    cropped = FlipAndCrop(flip=True, padding=2)(images, generator)
    assert cropped.shape == images.shape
    assert cropped.dtype == images.dtype
    bordered = torch.nn.functional.pad(images, (2,) * 4)
    seen = set()
    for image, (whole, mirrored) in zip(
        cropped, zip(bordered, bordered.flip(-1), strict=True), strict=True
    ):
        windows = {
            (flip, top, left): source[:, top : top + 5, left : left + 5]
            for flip, source in enumerate((whole, mirrored))
            for top in range(5)
            for left in range(5)
        }
        matches = [place for place, window in windows.items() if torch.equal(window, image)]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) > 20
    again = FlipAndCrop(flip=True, padding=2)(images, torch.Generator().manual_seed(0))
    assert torch.equal(cropped, again)
    assert torch.equal(FlipAndCrop(flip=False, padding=0)(images, generator), images)


# Finding tasks


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


# Arrays and folders of images


def test_arrays_become_a_task(tmp_path):
    task = load_task(
        "images",
        path=save_arrays(tmp_path / "a.npz"),
        validation_share=0.25,
        test_share=0.25,
        crop_padding=1,
    )
    assert (len(task.train), len(task.validation), len(task.test)) == (20, 10, 10)
    assert task.shapes == Shapes((3, 6, 6), (2,))
    assert task.train.inputs.dtype == torch.uint8
    assert task.augment == FlipAndCrop(True, 1)
    torch.testing.assert_close(
        task.prepare(task.train.inputs).mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1), (1, 6, 6)])
def test_grey_arrays_have_one_channel(tmp_path, shape):
    path = save_arrays(tmp_path / "a.npz", train_x=numpy.zeros((40, *shape)))
    task = load_task("images", path=path, flip=False, crop_padding=0)
    assert task.shapes.input == (1, 6, 6)
    assert task.train.inputs.dtype == torch.float32
    assert task.augment is None


def test_a_separate_test_file_leaves_the_rest_for_training(tmp_path):
    train = save_arrays(tmp_path / "a.npz")
    arrays = numpy.load(train)
    test = save_arrays(
        tmp_path / "b.npz",
        train_x=None,
        train_y=None,
        test_x=arrays["train_x"][:6],
        test_y=arrays["train_y"][:6],
    )
    task = load_task("images", path=train, test=test, validation_share=0.25)
    assert (len(task.train), len(task.validation), len(task.test)) == (30, 10, 6)
    inside = save_arrays(
        tmp_path / "c.npz", test_x=arrays["train_x"][:6], test_y=arrays["train_y"][:6]
    )
    assert len(load_task("images", path=inside).test) == 6
    with pytest.raises(ValueError, match="leave one out"):
        load_task("images", path=inside, test=test)


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        (
            {"train_x": None, "images": numpy.zeros(3)},
            {},
            "needs the arrays train_x .* and train_y .*; it holds train_y, images",
        ),
        ({"train_y": numpy.arange(40) / 2}, {}, "whole numbers; they are float64"),
        ({"train_y": numpy.arange(39)}, {}, "40 images in train_x and 39 labels in train_y"),
        ({"train_y": numpy.zeros(40, int)}, {}, "one class only"),
        (
            {"train_x": numpy.zeros((40, 6, 6, 3), int)},
            {},
            "uint8 .* or floating point; train_x of .* is int64",
        ),
        ({"train_x": numpy.zeros((40, 6, 6, 7))}, {}, "with 1, 3 or 4 channels"),
        ({"train_x": numpy.array([None] * 40)}, {}, "not Python objects"),
        ({}, {"validation_share": 0.001}, "leaves a split empty"),
        ({}, {"image_size": 8}, "image_size is for folders"),
        (
            {"test_x": numpy.zeros((4, 5, 5, 3)), "test_y": numpy.zeros(4, int)},
            {},
            "bring them to one",
        ),
        (
            {"test_x": numpy.zeros((4, 6, 6, 3)), "test_y": numpy.arange(4)},
            {},
            "whole numbers 0 to 1 as in training",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, options, says):
    with pytest.raises(ValueError, match=says):
        load_task("images", path=save_arrays(tmp_path / "a.npz", **changes), **options)


def test_files_that_are_missing_or_of_another_kind_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    for task in ("images", "cifar10"):
        with pytest.raises(ValueError, match="there is no file"):
            load_task(task, path=str(tmp_path / "missing.npz"))
        with pytest.raises(ValueError, match="is not an npz file"):
            load_task(task, path=str(tmp_path / "text.npz"))


def test_as_many_classes_are_named_as_there_are_outputs():
    split = Split(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"names 3 classes, and its outputs have the shape \(2,\)"):
        Task("t", split, split, split, Shapes((2,), (2,)), classes=("a", "b", "c"))


def test_a_folder_of_class_folders_becomes_a_task(tmp_path):
    path = save_folder(tmp_path / "photos")
    task = load_task("images", path=str(path), validation_share=0.2, test_share=0.2)
    assert task.shapes == Shapes((3, 6, 8), (2,))
    assert task.classes == ("cat", "dog")
    assert (len(task.train), len(task.validation), len(task.test)) == (12, 4, 4)
    assert torch.equal(task.train.inputs[:, 0, 0, 0] == 60, task.train.targets == 1)
    others = save_folder(tmp_path / "others")
    square = load_task(
        "images", path=str(path), test=str(others), image_size=4, validation_share=0.2
    )
    assert square.shapes.input == (3, 4, 4)
    assert len(square.test) == 20


def test_folders_that_do_not_fit_are_refused(tmp_path):
    one = save_folder(tmp_path / "one", classes=("cat",))
    with pytest.raises(ValueError, match="at least two classes; it holds only the folder 'cat'"):
        load_task("images", path=str(one))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no folders"):
        load_task("images", path=str(tmp_path / "none"))
    mixed = save_folder(tmp_path / "mixed", count=3)
    save_folder(tmp_path / "mixed", classes=("eel",), count=1, size=(5, 5))
    with pytest.raises(ValueError, match="differ in size, 5 x 5 and 8 x 6 pixels: give image_size"):
        load_task("images", path=str(mixed))
    with pytest.raises(
        ValueError, match="has the classes cat, dog; the training folder has cat, dog, eel"
    ):
        load_task(
            "images",
            path=str(mixed),
            image_size=4,
            test=str(save_folder(tmp_path / "test")),
            validation_share=0.3,
        )
    with pytest.raises(ValueError, match="which are splits, not classes: give path="):
        load_task("images", path=str(save_folder(tmp_path / "parts", classes=("train", "test"))))
    (mixed / "ox").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        load_task("images", path=str(mixed), image_size=4)
    (mixed / "ox" / "broken.png").write_text("no image")
    with pytest.raises(ValueError, match=r"broken.png could not be read as an image"):
        load_task("images", path=str(mixed), image_size=4)


def test_a_missing_pillow_names_the_extra(tmp_path, monkeypatch):
    path = save_folder(tmp_path / "photos")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ValueError, match=r"surrogate-nas\[images\]"):
        load_task("images", path=str(path))


# CIFAR-10


def test_both_forms_of_cifar10_give_the_same_kind_of_task(shared_data):
    pytest.importorskip("PIL")
    for name in ("cifar10_small.npz", "cifar10_jpeg.npz"):
        task = load_task(
            "cifar10", path=str(shared_data(name)), limit=300, test_limit=100, validation_share=0.2
        )
        assert (len(task.train), len(task.validation), len(task.test)) == (240, 60, 100)
        assert task.shapes == Shapes((3, 32, 32), (10,))
        prepared = task.prepare(task.train.inputs)
        assert prepared.mean().abs().item() < 0.2
        assert prepared.std().item() == pytest.approx(1, abs=0.2)


def test_a_cifar10_file_with_other_arrays_is_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=(
            "needs the arrays train_x and train_y, or train_bytes, train_offsets, train_labels; "
            "it holds data"
        ),
    ):
        load_task(
            "cifar10",
            path=save_arrays(tmp_path / "a.npz", train_x=None, train_y=None, data=numpy.zeros(2)),
        )
    with pytest.raises(ValueError, match="32 x 32 with 3 channels"):
        load_task("cifar10", path=save_arrays(tmp_path / "b.npz"))
