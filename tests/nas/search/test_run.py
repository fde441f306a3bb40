"""The loop: budgets, arms, finalists and failures; a killed run resumes with the same results."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

from nas.cli.progress import Progress
from nas.config.loading import parse_config
from nas.config.plan import plan_of
from nas.config.sections import RunConfig
from nas.evaluators.evaluator import Failed, FinalResult
from nas.evaluators.table import find_table
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.record.journal_file import JournalError
from nas.report import write_report
from nas.report.figures import amount
from nas.report.summary import summarize
from nas.report.terminal import terminal_summary
from nas.search.finalists import final_seed, winner
from nas.search.loop import HOPELESS, RunFailed
from nas.search.run import resume, start
from nas.seeds import derive


def config(**changes: object) -> RunConfig:
    values = {
        "space": "nasbench201",
        "evaluator": {
            "name": "table",
            "path": "builtin:nasbench201",
            "score": "c100_val_200",
            "test": "c100_test_200",
        },
        "strategy": {"name": "surrogate", "initial": 8, "candidates": 100},
        "predictor": "ridge",
        "executor": "inline",
        "budget": 24,
        "batch": 4,
        **changes,
    }
    return parse_config(values, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


def read(directory: Path) -> History:
    with open_for_reading(directory) as journal:
        return fold(journal.events())


def proposals(history: History) -> list[tuple]:
    return [
        (
            trial.number,
            trial.round,
            trial.arm,
            trial.architecture,
            trial.origin,
            trial.prediction,
            trial.seed,
        )
        for trial in history.trials
    ]


def test_a_run_uses_its_budget_and_ends_with_tested_finalists(tmp_path: Path) -> None:
    history = start(config(), tmp_path / "run", quiet)
    assert history == read(tmp_path / "run")
    assert history.finished == "the budget is used"
    for arm in ("search", "random"):
        own = history.of_arm(arm)
        assert len(own.observed) == 24
        assert [item.rank for item in own.finalists] == [1, 2, 3]
        best = sorted((trial.score for trial in own.observed), reverse=True)[:3]
        assert [history.trial(item.trial).score for item in own.finalists] == best
        assert winner(history, arm) == own.finalists[0].trial
    # A table gives the same score every time, so each finalist is looked up once.
    assert len(history.finals) == 6
    assert all(
        isinstance(final.result, FinalResult) and final.result.validation != final.result.test
        for final in history.finals
    )


def test_both_arms_start_from_the_same_architectures_and_a_duplicate_is_not_evaluated_twice(
    tmp_path: Path,
) -> None:
    history = start(config(), tmp_path / "run", quiet)
    search, random = history.of_arm("search"), history.of_arm("random")
    assert [trial.canonical for trial in search.trials[:8]] == [
        trial.canonical for trial in random.trials[:8]
    ]
    assert [trial.outcome for trial in search.trials[:8]] == [
        trial.outcome for trial in random.trials[:8]
    ]


def test_the_rounds_tell_how_right_the_surrogate_was(tmp_path: Path) -> None:
    history = start(config(baseline="none"), tmp_path / "run", quiet).of_arm("search")
    assert [item.ranking["predicted"] for item in history.rounds if item.ranking] == [
        0,
        0,
        4,
        4,
        4,
        4,
    ]
    assert history.rounds[-1].ranking is not None
    assert {"rank_correlation", "coverage_90", "mean_error", "regret"} <= set(
        history.rounds[-1].ranking
    )


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first, again, other = (
        start(config(seed=seed), tmp_path / name, quiet)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert proposals(first) != proposals(other)


def test_reporting_seeds_are_never_search_seeds(tmp_path: Path) -> None:
    history = start(config(), tmp_path / "run", quiet)
    assert {trial.seed for trial in history.trials}.isdisjoint(
        final_seed(config().seed, index) for index in range(100)
    )
    assert final_seed(config().seed, 0) == derive(0, "final", 0)


def table(path: Path, share_missing: float) -> Path:
    """The shipped table with some scores removed."""
    from importlib.resources import files

    columns = dict(numpy.load(str(files("nas") / "data" / "nasbench201.npz"), allow_pickle=False))
    missing = numpy.random.default_rng(0).random(len(columns["arch"])) < share_missing
    columns["c100_val_200"] = numpy.where(
        missing, numpy.nan, columns["c100_val_200"].astype("float32")
    )
    numpy.savez(path, **columns)
    return path


def test_failures_are_kept_and_the_run_goes_on(tmp_path: Path) -> None:
    section = {
        "name": "table",
        "path": str(table(tmp_path / "t.npz", 0.3)),
        "score": "c100_val_200",
        "test": "c100_test_200",
    }
    history = start(config(evaluator=section), tmp_path / "run", quiet)
    assert history.finished
    assert history.failed
    assert len(history.of_arm("search").trials) == 24
    assert all(
        isinstance(trial.outcome, Failed) and trial.outcome.kind == "missing"
        for trial in history.failed
    )


def test_a_run_where_nothing_succeeds_says_the_first_reasons(tmp_path: Path) -> None:
    section = {
        "name": "table",
        "path": str(table(tmp_path / "t.npz", 1.0)),
        "score": "c100_val_200",
    }
    for name, budget in (("long", 100), ("short", 8)):
        with pytest.raises(
            RunFailed, match=r"none of \d+ evaluations succeeded. The first reasons:\n  trial 0: "
        ) as caught:
            start(config(evaluator=section, budget=budget), tmp_path / name, quiet)
        assert str(caught.value).count("trial") == 3
        assert len(read(tmp_path / name).failed) == min(budget, HOPELESS)


def test_a_small_space_is_used_up(tmp_path: Path) -> None:
    file = tmp_path / "small.py"
    file.write_text(
        "from dataclasses import replace\nfrom spaces.nasbench201 import space as whole\nfrom "
        "spaces.operators import fix\n"
        "space = fix(whole, {path: 'nor_conv_3x3' for path in PATHS})\n".replace(
            "PATHS", "('edge_0_1', 'edge_0_2', 'edge_1_2', 'edge_0_3')"
        )
    )
    history = start(config(space=f"{file}:space", budget=1000), tmp_path / "run", quiet)
    assert history.finished == "no new architecture is left to propose"
    assert len(history.of_arm("search").trials) == 25


def test_a_finished_run_stays_as_it_is_and_a_run_is_not_begun_twice(tmp_path: Path) -> None:
    history = start(config(), tmp_path / "run", quiet)
    assert resume(tmp_path / "run", quiet) == history
    with pytest.raises(JournalError, match="holds a run already"):
        start(config(), tmp_path / "run", quiet)


def test_a_run_whose_table_has_changed_does_not_go_on_unasked(
    uninterrupted: History, tmp_path: Path
) -> None:
    table, changed = tmp_path / "table.npz", tmp_path / "changed.npz"
    table.write_bytes(find_table("builtin:nasbench201").read_bytes())
    columns = dict(numpy.load(table))
    numpy.savez(changed, **{**columns, "c100_val_200": columns["c100_val_200"] + 0.5})
    own = config(
        evaluator={
            "name": "table",
            "path": str(table),
            "score": "c100_val_200",
            "test": "c100_test_200",
        }
    )
    with pytest.raises(Interrupted):
        start(own, tmp_path / "run", interrupting(20))
    before, original = events_of(tmp_path / "run"), table.read_bytes()
    table.write_bytes(changed.read_bytes())
    with pytest.raises(
        ValueError,
        match=r"the data of the table .*table\.npz are not those that the run .* began with",
    ):
        resume(tmp_path / "run", quiet)
    assert events_of(tmp_path / "run") == before, "nothing was done"
    table.write_bytes(original)
    assert outcomes(resume(tmp_path / "run", quiet)) == outcomes(uninterrupted)


def test_a_run_goes_on_with_changed_data_where_the_user_says_so(tmp_path: Path) -> None:
    file = tmp_path / "arrays.npz"

    def save(count: int) -> None:
        pixels = numpy.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=numpy.uint8)
        numpy.savez(file, train_x=pixels, train_y=numpy.arange(count) % 2)

    save(40)
    trained = {
        "space": "convnet",
        "task": {"name": "images", "path": str(file)},
        "evaluator": "train",
        "strategy": "random",
        "budget": 3,
        "batch": 1,
    }
    whole_run = {
        **trained,
        "training": {"epochs": 1},
        "finalists": {"count": 0},
        "executor": {"name": "inline", "devices": "cpu"},
    }
    with pytest.raises(Interrupted):
        start(config(**whole_run), tmp_path / "run", interrupting(4))
    save(44)
    with pytest.raises(ValueError, match="the data of the task 'images' are not those"):
        resume(tmp_path / "run", quiet)
    assert resume(tmp_path / "run", quiet, changed_data=True).finished == "the budget is used"


def process(arguments: list[str], directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_when(events: int, running: subprocess.Popen[bytes], run: Path) -> None:
    """Kills the process once the journal holds this many events, unless it ends before."""
    deadline = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < deadline:
        try:
            with open_for_reading(run) as journal:
                if len(journal.events()) >= events:
                    break
        except JournalError:
            time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> History:
    return start(config(), tmp_path_factory.mktemp("whole") / "run", quiet)


@pytest.mark.parametrize("moments", [(1, 9, 10), (23, 40, 70), (66, 67, 68)])
def test_a_killed_run_resumes_with_the_same_proposals_and_loses_nothing(
    uninterrupted: History, moments: tuple[int, ...], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(config().model_dump(mode="json")))
    run = tmp_path / "run"
    arguments = ["search", "c.yaml", "--out", "run"]
    finished: list[int] = []
    for moment in moments:
        killed_when(moment, process(arguments, tmp_path), run)
        before = read(run)
        assert len(before.observed) >= (finished[-1] if finished else 0)
        finished.append(len(before.observed))
        arguments = ["resume", "run"]
    history = resume(run, quiet)
    assert proposals(history) == proposals(uninterrupted)
    assert [trial.outcome for trial in history.trials] == [
        trial.outcome for trial in uninterrupted.trials
    ]
    assert history.finals == uninterrupted.finals


def test_a_second_controller_is_refused_while_readers_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        json.dumps(config(budget=400, predictor={"name": "ridge"}).model_dump(mode="json"))
    )
    running = process(["search", "c.yaml", "--out", "run"], tmp_path)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if read(tmp_path / "run").observed:
                    break
            except JournalError:
                time.sleep(0.01)
        assert running.poll() is None
        os.kill(running.pid, signal.SIGSTOP)
        with pytest.raises(JournalError, match=f"pid {running.pid}"):
            resume(tmp_path / "run", quiet)
        assert read(tmp_path / "run").trials
    finally:
        running.kill()
        running.wait()


HALVED = {
    "strategy": {
        "name": "asha",
        "over": {"name": "surrogate", "initial": 4, "candidates": 30},
        "least": 0.1111,
    },
    "evaluator": {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
        "fidelities": {0.1111: "c10_val_12", 0.3333: "c100_val_12"},
    },
    "budget": 5,
}


class Interrupted(Exception):
    """Stands for the death of the process."""


def interrupting(after: int):
    """Watches and dies after this many events."""
    seen = []

    def watch(history: History, events: tuple) -> None:
        seen.extend(events)
        if len(seen) >= after:
            raise Interrupted

    return watch


def whole(history: History) -> list[tuple]:
    return [
        (*proposal, trial.fidelity, trial.continues)
        for proposal, trial in zip(proposals(history), history.trials, strict=True)
    ]


def outcomes(history: History) -> list[tuple]:
    return [
        (trial.score, trial.outcome.curve) if trial.is_observed else (type(trial.outcome),)
        for trial in history.trials
    ]  # type: ignore[union-attr]


def events_of(directory: Path) -> tuple:
    with open_for_reading(directory) as journal:
        return journal.events()


def test_the_progress_counts_parts_and_tells_promotions(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Progress(plan_of(config(**HALVED)), "asha", stream, interval=0.0) as progress:
        start(config(**HALVED, baseline="none"), tmp_path / "run", progress)
    said = stream.getvalue()
    assert re.search(
        r"search \(asha\): 0\.44/5, best \d+\.\d+ \(trial \d at 0\.111 of the epochs\)", said
    )
    assert re.search(r"round \d+: trial \d+ promoted to 1/3 of the epochs", said)


def test_a_budget_is_used_in_parts_and_finalists_are_of_the_highest_fidelity(
    tmp_path: Path,
) -> None:
    history = start(config(**HALVED), tmp_path / "run", quiet)
    search, random = history.of_arm("search"), history.of_arm("random")
    assert history.finished == "the budget is used"
    assert 5 - 1 / 9 < search.spent <= 5 + 1e-9
    assert random.spent == len(random.trials) == 5
    assert {trial.fidelity for trial in search.trials} == {1 / 9, 1 / 3, 1.0}
    for trial in search.trials:
        if trial.continues is not None:
            before = history.trial(trial.continues)
            assert (before.canonical, before.seed) == (trial.canonical, trial.seed)
            assert before.fidelity < trial.fidelity
    full = [trial.number for trial in search.ranked if trial.fidelity == 1.0]
    assert [item.trial for item in search.finalists][: len(full)] == full[:3]
    assert len({history.trial(item.trial).canonical for item in search.finalists}) == 3
    assert any("promoted to all epochs" in item.note for item in search.rounds)
    shown = summarize(history, config(**HALVED))
    assert shown["arms"]["search"]["best"]["fidelity"] == 1.0
    assert f"{amount(search.spent)} of 5" in terminal_summary(shown)
    assert "promoted to all epochs" in write_report(tmp_path / "run").read_text()
    early = summarize(fold(events_of(tmp_path / "run")[:4]), config(**HALVED))
    assert "at 0.111 of the epochs" in terminal_summary(early)
    judged = [item.ranking["predicted"] for item in search.rounds if item.ranking]
    assert judged == [
        sum(history.trial(number).prediction is not None for number in item.trials)
        for item in search.rounds
    ]


def test_both_arms_share_results_of_the_same_fidelity_alone(tmp_path: Path) -> None:
    small = {
        **HALVED,
        "space": str(fixed_space(tmp_path)),
        "budget": 12,
        "batch": 6,
        "strategy": {"name": "asha", "least": 0.3333},
    }
    history = start(config(**small), tmp_path / "run", quiet)
    found: dict[tuple, set] = {}
    for trial in history.observed:
        found.setdefault((trial.canonical, trial.fidelity), set()).add(trial.score)
    assert all(len(scores) == 1 for scores in found.values())
    both = [key for key, _ in found if {(key, 1 / 3), (key, 1.0)} <= found.keys()]
    assert any(found[key, 1 / 3] != found[key, 1.0] for key in both)


def fixed_space(folder: Path) -> str:
    (folder / "few.py").write_text(
        "from spaces.nasbench201 import space as whole\nfrom spaces.operators import fix\n"
        "space = fix(whole, {path: 'nor_conv_3x3' for path in ('edge_0_1', 'edge_0_2', "
        "'edge_1_2', 'edge_0_3')})\n"
    )
    return f"{folder / 'few.py'}:space"


TINY = """
import torch
from torch import nn

from nas.tasks.task import Split, Task
from spaces import SearchSpace, Shapes


def task():
    inputs = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    parts = (inputs[:32], inputs[32:])
    train, validation = (Split(part, (part[:, 0] > 0).long()) for part in parts)
    return Task("tiny", train, validation, validation, Shapes((4,), (2,)))


def define(choose, shapes):
    width = choose.integer("width", 1, 200)
    return nn.Sequential(nn.Linear(4, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, 2))


space = SearchSpace("tiny", define)
"""


def trained(folder: Path) -> RunConfig:
    """A search that trains each network for milliseconds."""
    (folder / "tiny.py").write_text(TINY)
    return parse_config(
        {
            "space": f"{folder / 'tiny.py'}:space",
            "task": f"{folder / 'tiny.py'}:task",
            "strategy": {"name": "asha", "over": "random"},
            "training": {"epochs": 9, "batch_size": 8, "warmup_epochs": 0.5, "learning_rate": 0.01},
            "executor": {"name": "inline", "devices": "cpu"},
            "budget": 3,
            "batch": 3,
            "baseline": "none",
            "finalists": {"count": 1, "seeds": 1, "epochs": 9},
        },
        "the test's configuration",
    )


def test_a_run_of_paused_trainings_that_ends_after_any_event_goes_on_as_if_it_had_not(
    tmp_path: Path,
) -> None:
    checked = trained(tmp_path)
    uninterrupted = start(checked, tmp_path / "whole", quiet)
    assert {trial.fidelity for trial in uninterrupted.trials} == {1 / 9, 1 / 3, 1.0}
    with open_for_reading(tmp_path / "whole") as journal:
        length = len(journal.events())
    assert not (tmp_path / "whole" / "checkpoints").exists()
    changed = 0
    for after in range(1, length):
        run = tmp_path / f"run-{after}"
        with pytest.raises(Interrupted):
            start(checked, run, interrupting(after))
        for left in (run / "checkpoints").glob("*"):
            # The file is missing, damaged or intact, and an unfinished file is beside it.
            left.with_name(f"{left.name}.1.unfinished").write_bytes(b"half")
            if after % 3 == 0:
                left.unlink()
            elif after % 3 == 1:
                left.write_bytes(left.read_bytes()[:-1])
            changed += after % 3 < 2
        history = resume(run, quiet)
        assert whole(history) == whole(uninterrupted)
        assert outcomes(history) == outcomes(uninterrupted)
        assert [(final.trial, final.result.test) for final in history.finals] == [
            (final.trial, final.result.test) for final in uninterrupted.finals
        ]  # type: ignore[union-attr]
        assert not (run / "checkpoints").exists()
    assert changed, "no checkpoint was deleted or damaged"


def test_a_checkpoint_is_gone_when_nothing_goes_on_from_it_any_more(tmp_path: Path) -> None:
    kept: list[set[str]] = []
    folder = tmp_path / "run" / "checkpoints"

    def watch(history: History, events: tuple) -> None:
        if events[0].kind == "round_end":
            ended = {trial.continues for trial in history.trials if trial.outcome is not None}
            waiting = [
                trial
                for trial in history.latest
                if trial.is_observed and trial.fidelity < 1 and trial.number not in ended
            ]
            kept.append(
                {f"trial-{began(history, trial):05d}.safetensors" for trial in waiting}
                ^ {file.name for file in folder.iterdir()}
            )

    def began(history: History, trial) -> int:
        return (
            trial.number
            if trial.continues is None
            else began(history, history.trial(trial.continues))
        )

    start(trained(tmp_path), tmp_path / "run", watch)
    assert kept
    assert kept == [set()] * len(kept)
    assert len(kept) > 4
    assert not folder.exists()


@pytest.mark.parametrize("moments", [(2, 9), (14, 20)])
def test_a_killed_run_of_paused_trainings_resumes_the_same(
    moments: tuple[int, ...], tmp_path: Path
) -> None:
    checked = trained(tmp_path)
    uninterrupted = start(checked, tmp_path / "whole", quiet)
    (tmp_path / "c.yaml").write_text(json.dumps(checked.model_dump(mode="json")))
    arguments = ["search", "c.yaml", "--out", "run"]
    for moment in moments:
        killed_when(moment, process(arguments, tmp_path), tmp_path / "run")
        arguments = ["resume", "run"]
    history = resume(tmp_path / "run", quiet, trust=True)
    assert whole(history) == whole(uninterrupted)
    assert outcomes(history) == outcomes(uninterrupted)
