"""The configurations of searches on text run to their end on a part of the real text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nas.config.loading import load_config
from nas.evaluators.evaluator import FinalResult, Observation
from nas.record.history import History
from nas.search.run import start

pytest.importorskip("tokenizers")

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SMALL = (
    "executor=inline",
    "budget=3",
    "batch=1",
    "strategy.initial=2",
    "strategy.candidates=20",
    "training.epochs=1",
    "finalists={count: 1, seeds: 1, epochs: 1}",
)


def run(name: str, directory: Path, *overrides: str) -> History:
    return start(
        load_config(CONFIGS / name, [*SMALL, "executor.time_limit=null", *overrides]),
        directory,
        lambda *_: None,
    )


def assert_whole(history: History) -> None:
    assert history.finished == "the budget is used"
    for arm in ("search", "random"):
        trials = history.of_arm(arm).trials
        assert len(trials) == 3
        assert all(isinstance(trial.outcome, Observation) for trial in trials)
    assert {finalist.arm for finalist in history.finalists} == {"search", "random"}
    assert history.finals
    assert all(isinstance(final.result, FinalResult) for final in history.finals)


def test_sentences(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    for part, name, count in (
        ("train", "text/sst2_train.tsv", 200),
        ("dev", "text/sst2_dev.tsv", 60),
    ):
        lines = shared_data(name).read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / f"{part}.tsv").write_text("".join(lines[:count]), encoding="utf-8")
    files = (f"task.path={tmp_path / 'train.tsv'}", f"task.test={tmp_path / 'dev.tsv'}")
    history = run(
        "flexibert_sst2.yaml", tmp_path / "run", *files, "task.length=8", "task.vocabulary=300"
    )
    assert_whole(history)
    shares = [(trial.score, 40) for trial in history.observed]
    shares += [
        (final.result.test, 60) for final in history.finals if isinstance(final.result, FinalResult)
    ]
    assert shares
    for share, texts in shares:
        assert share * texts == pytest.approx(round(share * texts)), f"a share of the {texts} texts"


def test_a_space_whose_networks_classify_is_no_language_model_s_and_the_run_does_not_begin(
    tmp_path: Path,
) -> None:
    (tmp_path / "text.txt").write_text(
        "the cat sat on the mat and the dog was glad\n" * 60, encoding="utf-8"
    )
    space = f"space={CONFIGS.parent / 'examples' / 'text_space.py'}:space"
    with pytest.raises(
        ValueError, match=r"gives the shape \(\d+,\) for each sample, and the data want \(8, \d+\)"
    ):
        run(
            "flexibert_shakespeare.yaml",
            tmp_path / "run",
            f"task.path={tmp_path / 'text.txt'}",
            "task.length=8",
            "task.vocabulary=40",
            space,
        )
    assert not (tmp_path / "run").exists()


def test_a_text(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(
        shared_data("text/tinyshakespeare.txt").read_text(encoding="utf-8")[:20_000],
        encoding="utf-8",
    )
    history = run(
        "flexibert_shakespeare.yaml",
        tmp_path / "run",
        f"task.path={tmp_path / 'text.txt'}",
        "task.length=8",
        "task.vocabulary=100",
    )
    assert_whole(history)
    assert all(trial.score < 0 for trial in history.observed)
