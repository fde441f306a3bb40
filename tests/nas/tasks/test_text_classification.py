"""The task `text`: its files, its splits, and training on real sentences."""

from __future__ import annotations

import pytest
import torch

from nas.config.loading import load_config
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.tasks import load_task
from nas.training.recipe import Recipe
from spaces import Architecture
from tests.nas.tasks.texts import CLASSIFIERS, save_texts


def test_texts_become_a_task(tmp_path):
    path = save_texts(tmp_path / "reviews.tsv")
    task = load_task(
        "text", path=path, length=7, vocabulary=60, validation_share=0.25, test_share=0.25
    )
    assert (task.name, task.classes, task.metric) == ("reviews", ("blame", "praise"), "accuracy")
    assert (len(task.train), len(task.validation), len(task.test)) == (20, 10, 10)
    assert task.shapes.input == (7,)
    assert task.shapes.output == (2,)
    assert task.shapes.vocabulary is not None
    assert all(
        split.inputs.dtype == torch.int64 and split.inputs.max() < task.shapes.vocabulary <= 60
        for split in (task.train, task.test)
    )
    assert task.train.targets.double().mean() == 0.5
    assert task.prepare(task.train.inputs) is task.train.inputs
    other = load_task(
        "text", path=path, length=7, vocabulary=60, validation_share=0.25, test_share=0.25, seed=1
    )
    assert not torch.equal(task.test.inputs, other.test.inputs)


def test_validation_and_test_may_have_files_and_lines_more_columns(tmp_path):
    (tmp_path / "train.tsv").write_text(
        "id\tlabel\ttext\n" + "".join(f"{n}\t{n % 12}\tword{n} again\r\n" for n in range(36))
    )
    for name in ("other.tsv", "another.tsv"):
        (tmp_path / name).write_text("id\tlabel\ttext\n1\t10\tword again\n2\t2\tagain")
    options = {
        "path": str(tmp_path / "train.tsv"),
        "text_column": 2,
        "label_column": 1,
        "header": True,
        "length": 4,
    }
    task = load_task(
        "text",
        **options,
        test=str(tmp_path / "other.tsv"),
        validation=str(tmp_path / "another.tsv"),
    )
    assert task.classes == tuple(map(str, range(12))), "numbers in their order"
    assert (len(task.train), len(task.validation), len(task.test)) == (36, 2, 2)
    assert task.test.targets.tolist() == [10, 2]
    assert task.train.targets.tolist() == [n % 12 for n in range(36)]
    half = load_task("text", **options, test=str(tmp_path / "other.tsv"), validation_share=0.5)
    assert len(half.validation) == 18


@pytest.mark.parametrize(
    ("extra", "options", "says"),
    [
        (
            "a film without a label\n",
            {},
            "line 41 of .* should have a text in column 0 and a label in column 1, .*; it has 1: "
            "'a film without",
        ),
        ("\tpraise\n", {}, "line 41 of .* has an empty text"),
        ("a film\t\n", {}, "line 41 of .* has an empty label"),
        ("", {"label_column": 2}, "line 1 of .* label in column 2, .*; it has 2"),
        ("", {"label_column": 0}, "two numbers from 0"),
        ("", {"vocabulary": 5}, "vocabulary is at least"),
        ("", {"length": 0}, "length is how many tokens of a text a network sees, at least 1"),
        ("", {"test_share": 0.001}, "leaves a split empty"),
    ],
)
def test_texts_that_do_not_fit_are_refused(tmp_path, extra, options, says):
    with pytest.raises(ValueError, match=says):
        load_task("text", path=save_texts(tmp_path / "a.tsv", extra=extra), **options)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = save_texts(tmp_path / "a.tsv")
    for task in ("text", "language_model"):
        with pytest.raises(ValueError, match="there is no file"):
            load_task(task, path=str(tmp_path / "missing.tsv"))
        (tmp_path / "latin.tsv").write_bytes("häßlich\t1\n".encode("latin-1"))
        with pytest.raises(ValueError, match="should be text in UTF-8; its byte 1 is not"):
            load_task(task, path=str(tmp_path / "latin.tsv"))
    with pytest.raises(
        ValueError,
        match=(
            r"line 3 of .*b.tsv has the label 'dull', which no line of .*a.tsv has; its labels are "
            "blame, praise"
        ),
    ):
        load_task(
            "text",
            path=path,
            test=save_texts(tmp_path / "b.tsv", labels=("praise", "blame", "dull")),
        )
    with pytest.raises(
        ValueError,
        match=r"all texts of .*c.tsv have one label, 'praise': .* is label_column 1 the right one",
    ):
        load_task("text", path=save_texts(tmp_path / "c.tsv", labels=("praise",)))
    (tmp_path / "named.tsv").write_text("text\tlabel\n" + (tmp_path / "a.tsv").read_text())
    with pytest.raises(
        ValueError,
        match=(
            r"line 1 of .*named.tsv has the label 'label', which no other line has: .* header: "
            "true"
        ),
    ):
        load_task("text", path=str(tmp_path / "named.tsv"))
    for task in ("text", "language_model"):
        with pytest.raises(
            ValueError, match="vocabulary is how many tokens there may be at most; got -3"
        ):
            load_task(task, path=path, vocabulary=-3)
    (tmp_path / "head.tsv").write_text("text\tlabel\n")
    with pytest.raises(ValueError, match="holds no texts"):
        load_task("text", path=str(tmp_path / "head.tsv"), header=True)


def test_empty_lines_are_no_texts_and_room_for_too_many_tokens_is_not_made(tmp_path):
    path = tmp_path / "a.tsv"
    plain = load_task("text", path=save_texts(path), length=8)
    path.write_text(path.read_text().replace("\n", "\n\n"))
    gappy = load_task("text", path=str(path), length=8, vocabulary=10**12)
    assert torch.equal(plain.train.inputs, gappy.train.inputs)


def test_a_config_finds_the_files_beside_it(tmp_path):
    save_texts(tmp_path / "a.tsv")
    (tmp_path / "c.yaml").write_text(
        "space: convnet\ntask: {name: text, path: a.tsv, test: a.tsv, validation: a.tsv}\n"
    )
    config = load_config(tmp_path / "c.yaml")
    assert config.task is not None
    assert {config.task.settings[key] for key in ("path", "test", "validation")} == {
        str((tmp_path / "a.tsv").resolve())
    }


def test_real_sentences_are_told_apart(shared_data):
    train_file, test_file = shared_data("text/sst2_train.tsv"), shared_data("text/sst2_dev.tsv")
    task = load_task("text", path=str(train_file), test=str(test_file), length=32, vocabulary=1500)
    assert len(task.train) > 6000 > len(task.test) > len(task.validation) > 600
    evaluator = TrainEvaluator(
        CLASSIFIERS, task, Recipe(epochs=3, batch_size=64, learning_rate=0.02), device="cpu"
    )
    observed = evaluator.evaluate(Architecture("bags", (("width", 24),)), seed=0)
    assert isinstance(observed, Observation)
    assert observed.score > 0.65


@pytest.mark.parametrize("part", ["test", "validation"])
def test_texts_that_are_trained_on_are_not_scored_on(tmp_path, part):
    path = save_texts(tmp_path / "a.tsv")
    with pytest.raises(ValueError, match=rf"path and {part} are the same, .*leave {part} out"):
        load_task("text", path=path, **{part: str(tmp_path / "." / "a.tsv")})


def test_the_share_that_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match="validation_share lies between 0 and 1; got 2"):
        load_task("text", path=save_texts(tmp_path / "a.tsv"), validation_share=2.0)
