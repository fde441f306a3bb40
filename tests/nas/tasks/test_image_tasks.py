"""The tasks on images: arrays, folders, CIFAR-10, and their augmentation."""

from __future__ import annotations

import sys

import numpy
import pytest
import torch

from nas.tasks import load_task
from nas.tasks.augment import FlipAndCrop
from spaces import Shapes


def save_arrays(path, count=40, size=6, classes=2, **changes):
    generator = numpy.random.default_rng(0)
    arrays = {
        "train_x": generator.integers(0, 256, (count, size, size, 3), dtype=numpy.uint8),
        "train_y": numpy.arange(count) % classes,
    }
    arrays = {**arrays, **changes}
    numpy.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return str(path)


def save_folder(path, classes=("cat", "dog"), count=10, size=(8, 6)):
    image = pytest.importorskip("PIL.Image")
    for number, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for index in range(count):
            image.new("RGB", size, (60 * number, 3 * index, 0)).save(path / name / f"{index}.png")
    return path


def test_a_folder_that_is_trained_on_is_not_tested_on(tmp_path):
    folder = save_folder(tmp_path / "photos")
    with pytest.raises(
        ValueError, match=r"path and test are the same, .* each split needs samples of its own"
    ):
        load_task("images", path=str(folder), test=f"{folder}/", image_size=8)


def test_flips_and_crops_are_windows_of_the_bordered_image():
    two = torch.arange(1, 2 * 3 * 5 * 5 + 1, dtype=torch.uint8).reshape(2, 3, 5, 5)
    images = two.repeat(20, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    cropped = FlipAndCrop(flip=True, padding=2)(images, generator)
    assert cropped.shape == images.shape
    assert cropped.dtype == images.dtype
    bordered = torch.nn.functional.pad(images, (2,) * 4)
    seen = set()
    for image, whole, mirrored in zip(cropped, bordered, bordered.flip(-1), strict=True):
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
