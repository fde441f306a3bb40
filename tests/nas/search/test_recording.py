"""Recorded trainings: resumable, answered as a training would, refused where the space changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.cli.output import print_recorded
from nas.config.loading import parse_config
from nas.config.sections import ConfigError, RunConfig
from nas.config.stored_run import TABLE, read_run
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.evaluators.recorded import (
    NOT_YET,
    RecordedEvaluator,
    RecordedTrainings,
    read_recorded,
)
from nas.prediction.labels import read_labels
from nas.record.history import EMPTY, History
from nas.record.journal import Event
from nas.search.recording import chosen
from nas.search.run import record, resume, start
from nas.seeds import derive
from nas.strategies.random import RandomSearch
from spaces.canonical import canonical_key
from spaces.load import load_space
from spaces.operators import only

CELLS = load_space("nasbench201")
DRAWN = RandomSearch().ask(CELLS, EMPTY, 31, 0).proposals


def digits(**changes: Any) -> RunConfig:
    values = {
        "space": "convnet",
        "task": "digits",
        "constraints": ["parameters <= 6000"],
        "training": {"epochs": 2, "batch_size": 128},
        "executor": "inline",
        **changes,
    }
    return parse_config(values, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordedTrainings]:
    directory = tmp_path_factory.mktemp("recordings") / "digits"
    return directory, record(digits(), directory, quiet, count=3, seeds=2)


def cells(**changes: Any) -> RecordedTrainings:
    """Two trainings of 30 cells, of five epochs; some failed."""
    architectures = [each.architecture for each in DRAWN[:30]]
    random = np.random.default_rng(0)
    level_N11 = random.normal(size=(30, 1, 1))
    curve_NSE = level_N11 + 0.1 * random.normal(size=(30, 2, 5))
    failure_NS = np.full((30, 2), "", dtype="U20")
    failure_NS[3, 1] = failure_NS[4, :] = "out of memory"
    curve_NSE[failure_NS != ""] = np.nan
    values: dict[str, Any] = {
        "architectures": architectures,
        "keys": [canonical_key(CELLS.graph(each)) for each in architectures],
        "validation_NS": curve_NSE[:, :, -1],
        "test_NS": curve_NSE[:, :, -1] + 1,
        "curve_NSE": curve_NSE,
        "seconds_NS": np.ones((30, 2)),
        "failure_NS": failure_NS,
        "about": {},
    }
    return RecordedTrainings(**{**values, **changes})


def test_every_training_is_a_row_with_its_curve(
    recording: tuple[Path, RecordedTrainings],
) -> None:
    directory, table = recording
    assert table.validation_NS.shape == table.test_NS.shape == table.seconds_NS.shape == (3, 2)
    assert table.curve_NSE.shape == (3, 2, 2)
    np.testing.assert_array_equal(table.curve_NSE[:, :, -1], table.validation_NS)
    assert np.ptp(table.validation_NS) > 0
    assert table.about["task"] == {"name": "digits"}
    assert table.about["recipe"]["epochs"] == 2
    assert table.about["data"] == read_run(directory, recordings=True).environment["data"]
    read = read_recorded(directory / TABLE)
    np.testing.assert_allclose(read.curve_NSE, table.curve_NSE, rtol=1e-6)
    assert read.architectures == table.architectures
    assert read.about == {"format": 1, **table.about}
    assert not list(directory.glob("weights/*"))
    # Predictors learn from it too, by default from the mean.
    labels = read_labels(directory / TABLE, space="convnet", column="validation:1")
    np.testing.assert_allclose(labels.values_N, table.validation_NS[:, 1], rtol=1e-6)
    means = read_labels(directory)
    np.testing.assert_allclose(means.values_N, table.validation_NS.mean(1), rtol=1e-6)
    assert means.space.shapes.input == (1, 8, 8)
    with pytest.raises(ValueError, match=r"validation:0 to validation:1 for one of them; got 'x'"):
        read_labels(directory, column="x")


def test_an_interrupted_recording_goes_on_with_the_same_results(
    recording: tuple[Path, RecordedTrainings], tmp_path: Path
) -> None:
    def interrupt(history: History, events: tuple[Event, ...]) -> None:
        if len(history.finals) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(digits(), tmp_path / "run", interrupt, count=3, seeds=2)
    part = read_recorded(tmp_path / "run" / TABLE)
    assert (part.failure_NS == NOT_YET).sum() == 3
    assert part.summary()["left"] == 3
    assert resume(tmp_path / "run", quiet).finished == "everything is recorded"
    whole, wanted = read_recorded(tmp_path / "run" / TABLE), recording[1]
    np.testing.assert_allclose(whole.curve_NSE, wanted.curve_NSE, rtol=1e-6)
    np.testing.assert_allclose(whole.test_NS, wanted.test_NS, rtol=1e-6)


def test_a_search_runs_in_the_table(
    recording: tuple[Path, RecordedTrainings], tmp_path: Path
) -> None:
    directory, table = recording
    config = parse_config(
        {
            "space": "convnet",
            "evaluator": {"name": "table", "path": str(directory / TABLE)},
            "constraints": ["parameters <= 6000"],
            "strategy": "random",
            "budget": 3,
            "executor": "inline",
            "finalists": {"count": 1},
        },
        "the test's configuration",
    )
    history = start(config, tmp_path / "run", quiet)
    assert {trial.architecture for trial in history.observed} == set(table.architectures)
    for trial in history.observed:
        row = table.architectures.index(trial.architecture)
        assert min(abs(table.validation_NS[row] - trial.score)) < 1e-6
    final = history.finals[0].result
    assert isinstance(final, FinalResult)
    row = table.architectures.index(history.trial(history.finals[0].trial).architecture)
    assert final.test == pytest.approx(table.test_NS[row].mean())


def test_a_recording_is_no_search(
    recording: tuple[Path, RecordedTrainings], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"is a recording, .* its table is .*table\.npz"):
        read_run(recording[0])
    print_recorded(recording[0] / TABLE, recording[1])
    assert "3 architectures, 6 trainings, 0 failed, 0 left" in capsys.readouterr().out
    table = {"name": "table", "path": "builtin:nasbench201", "score": "c100_val_200"}
    with pytest.raises(ValueError, match="a recording is made of trainings"):
        record(digits(evaluator=table), recording[0].with_name("no"), quiet, count=3, seeds=1)
    assert not recording[0].with_name("no").exists()
    few = only(CELLS, [each.architecture for each in DRAWN[:3]])
    with pytest.raises(ValueError, match=r"only 3 different architectures .* could be drawn"):
        chosen(few, 5, 0)
    with pytest.raises(ValueError, match=r"combinations of decisions, .*--count"):
        record(digits(), recording[0].with_name("no"), quiet, count=None, seeds=1)


def test_an_evaluation_is_one_of_the_trainings_drawn_by_its_seed() -> None:
    table = cells()
    drawn = RecordedEvaluator(CELLS, "t.npz", table)
    asked = table.architectures[0]
    scores = {seed: drawn.evaluate(asked, seed=seed) for seed in range(20)}
    found = {outcome.score for outcome in scores.values() if isinstance(outcome, Observation)}
    assert found == set(table.validation_NS[0])
    assert scores == {seed: drawn.evaluate(asked, seed=seed) for seed in range(20)}
    # A training that goes on is the same one.
    seed = 7
    curve_E = table.curve_NSE[0, derive(seed, "recorded") % 2]
    half = drawn.evaluate(asked, seed=seed, fidelity=0.4)
    assert isinstance(half, Observation)
    assert half.curve == tuple(curve_E[:2])
    assert half.seconds == pytest.approx(0.4)
    mean = RecordedEvaluator(CELLS, "t.npz", table, "mean").evaluate(asked, seed=0)
    assert isinstance(mean, Observation)
    assert mean.score == pytest.approx(table.validation_NS[0].mean())


def test_failures_are_those_of_the_trainings() -> None:
    table = cells()
    drawn, mean = (RecordedEvaluator(CELLS, "t.npz", table, how) for how in ("drawn", "mean"))
    seeds = {derive(seed, "recorded") % 2: seed for seed in range(20)}
    once, never = table.architectures[3], table.architectures[4]
    assert isinstance(drawn.evaluate(once, seed=seeds[0]), Observation)
    failed = drawn.evaluate(once, seed=seeds[1])
    assert isinstance(failed, Failed)
    assert failed.kind == "out of memory"
    assert isinstance(mean.evaluate(once, seed=0), Observation)
    final = drawn.finalize(once, seed=0)
    assert isinstance(final, FinalResult)
    assert final.test == pytest.approx(table.test_NS[3, 0])
    assert isinstance(mean.evaluate(never, seed=0), Failed)
    assert isinstance(drawn.finalize(never, seed=0), Failed)
    unknown = drawn.evaluate(DRAWN[30].architecture, seed=0)
    assert isinstance(unknown, Failed)
    assert unknown.kind == "missing"
    summary = table.summary()
    assert (summary["trainings"], summary["failed"], summary["left"]) == (57, 3, 0)
    assert summary["between_seeds"] == pytest.approx(0.1, rel=0.3)
    assert summary["repeated_tau"] > 0.8


def test_a_space_that_has_changed_is_refused() -> None:
    table = cells()
    with pytest.raises(ValueError, match="makes another network of an architecture"):
        RecordedEvaluator(CELLS, "t.npz", replace(table, keys=table.keys[::-1]))
    with pytest.raises(ValueError, match="is none of the space 'convnet' any more"):
        RecordedEvaluator(load_space("convnet"), "t.npz", table)


@pytest.mark.parametrize(
    "changes",
    [
        {"test_NS": np.zeros((30, 3))},
        {"test_NS": np.full((30, 2), np.nan)},
        {"curve_NSE": np.zeros((30, 2, 0))},
        {"curve_NSE": np.zeros((30, 2))},
        {"keys": []},
        {"failure_NS": np.zeros((30, 2))},
    ],
)
def test_a_damaged_table_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    cells(**changes).write(tmp_path / "t.npz")
    with pytest.raises(ValueError, match=r"t\.npz is not what `nas record` writes: .*again"):
        read_recorded(tmp_path / "t.npz")


def test_keys_that_do_not_fit_the_table_are_refused(tmp_path: Path) -> None:
    cells().write(tmp_path / "t.npz")
    evaluator = {"name": "table", "path": str(tmp_path / "t.npz")}
    for change, message in (
        ({"test": "test"}, r"evaluator\.test names columns beside .* evaluator\.score"),
        ({"path": "builtin:nasbench201"}, r"should be a table that `nas record` wrote"),
        ({"score": "validation"}, r"should be 30 numbers, one a row"),
    ):
        config = parse_config(
            {"space": "nasbench201", "evaluator": {**evaluator, **change}, "executor": "inline"},
            "the test's configuration",
        )
        with pytest.raises((ConfigError, ValueError), match=message):
            start(config, tmp_path / "run", quiet)
    config = parse_config(
        {
            "space": "nasbench201",
            "evaluator": evaluator,
            "strategy": {"name": "asha", "least": 0.01},
            "executor": "inline",
        },
        "the test's configuration",
    )
    with pytest.raises(ConfigError, match=r"of the recorded epochs of .*raise strategy\.least"):
        start(config, tmp_path / "run", quiet)
