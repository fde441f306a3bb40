"""Trainings and runs that start with the weights of donors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import nas.export.exporting as export_module
from nas.config.sections import ConfigError
from nas.evaluators.evaluator import Donor, Observation
from nas.evaluators.train import TrainEvaluator
from nas.evaluators.weights import read_weights, save_weights
from nas.export import export
from nas.record.files import checkpoint_file, weights_file
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.report.finalists_section import finalists
from nas.report.summary import summarize
from nas.report.terminal import terminal_summary
from nas.report.trials import to_text, trajectory
from nas.search.loop import RunFailed
from nas.search.run import resume, start
from nas.training.recipe import Recipe
from spaces.load import load_space
from tests.nas.transfer.linear_layers import configured, layers, quiet


def test_a_training_starts_with_the_donor_s_weights_and_does_not_change_their_file(
    plugins, tmp_path: Path
) -> None:
    from nas.tasks import load_task

    task = load_task(plugins["task"])
    space = load_space(plugins["space"]).for_shapes(task.shapes)
    still = TrainEvaluator(
        space,
        task,
        Recipe(epochs=1, batch_size=48, learning_rate=1e-9, weight_decay=0.0),
        device="cpu",
        transfer="exact",
    )
    module = space.build(layers(8, 8))
    file, out = tmp_path / "donor.safetensors", tmp_path / "child.safetensors"
    save_weights(module, file)
    before = file.read_bytes()
    donor = Donor(layers(8, 8), file)
    outcome = still.evaluate(layers(8, 8, 8), seed=1, weights=out, donor=donor)
    assert isinstance(outcome, Observation)
    (after, _), given = read_weights(out), module.state_dict()
    for name in ("linear_1.weight", "linear_2.weight", "linear_2.bias"):
        assert torch.allclose(after[name], given[name], atol=1e-6)
    assert file.read_bytes() == before
    with pytest.raises(ValueError, match="there is no rule for taking them over"):
        replace(still, transfer=None).evaluate(layers(8, 8, 8), seed=1, donor=donor)
    file.write_bytes(before[:-5])
    with pytest.raises(ValueError, match=r"the weights .*donor\.safetensors cannot be read"):
        still.evaluate(layers(8, 8, 8), seed=1, donor=donor)


def repeatable(history: History) -> list[tuple]:
    """The parts of a history that are the same in a repeated run."""
    trials = [
        (
            trial.architecture,
            trial.arm,
            trial.seed,
            trial.fidelity,
            trial.continues,
            trial.donor,
            trial.score,
            trial.outcome.curve,  # type: ignore[union-attr]
        )
        for trial in history.trials
    ]
    finals = [
        (final.trial, final.result.validation, final.result.test)  # type: ignore[union-attr]
        for final in history.finals
    ]
    return [*trials, *finals]


class Interrupted(Exception):
    """Simulates the end of the process."""


def test_a_resumed_run_uses_the_same_donors(plugins, tmp_path: Path) -> None:
    config = configured(plugins)
    whole = start(config, tmp_path / "whole", quiet)
    donors = [trial.donor for trial in whole.trials]
    assert sum(donor is not None for donor in donors) >= 6
    given = [donor for donor in donors if donor is not None]
    assert all(weights_file(tmp_path / "whole", donor).is_file() for donor in given)
    plain = start(configured(plugins, evaluator="train"), tmp_path / "plain", quiet)
    assert not any(trial.donor is not None for trial in plain.trials)
    outcomes = [[trial.outcome for trial in run.trials[4:6]] for run in (plain, whole)]
    assert outcomes[0] != outcomes[1]
    with open_for_reading(tmp_path / "whole") as journal:
        length = len(journal.events())
    for after in range(2, length, 5):
        events: list = []

        def watch(history: History, new: tuple, events: list = events, after: int = after) -> None:
            events.extend(new)
            if len(events) >= after:
                raise Interrupted

        with pytest.raises(Interrupted):
            start(config, tmp_path / f"run-{after}", watch)
        assert repeatable(resume(tmp_path / f"run-{after}", quiet)) == repeatable(whole)
    header, plain_header = (
        to_text([{"run": "r", **row} for row in trajectory(run)]).splitlines()[0]
        for run in (whole, plain)
    )
    assert "donor" in header
    assert "donor" not in plain_header
    assert [row["donor"] for row in trajectory(whole)] == donors
    summary = summarize(whole, config)
    assert summary["transfer"]["inherited"] == len(given)
    assert summary["transfer"]["trained"] == len(donors)
    began = f"{len(given)} of {len(donors)} trainings began"
    shown = " ".join(terminal_summary(summary).split())
    assert f"{began} with the weights of a network like theirs" in shown
    assert began in finalists(summary)
    assert summarize(plain, configured(plugins, evaluator="train"))["transfer"] is None
    # The summary of the same trials, if none of them had found a donor.
    rare = configured(plugins, evaluator={"name": "train", "transfer": {"least": 0.9}})
    alone = terminal_summary(summarize(plain, rare))
    assert "none has found a network that shares 90 % of its tensors" in " ".join(alone.split())


def test_worker_processes_give_the_results_of_the_inline_executor(plugins, tmp_path: Path) -> None:
    changes: dict = {"budget": 6, "baseline": "none", "finalists": {"count": 0}}
    here = start(configured(plugins, **changes), tmp_path / "here", quiet)
    workers = {"name": "process", "workers": 2, "devices": "cpu"}
    there = start(configured(plugins, **changes, executor=workers), tmp_path / "there", quiet)
    assert any(trial.donor is not None for trial in here.trials)
    assert repeatable(there) == repeatable(here)


def test_a_promotion_whose_checkpoint_is_lost_starts_with_the_same_donor(
    plugins, tmp_path: Path
) -> None:
    halved = {
        "strategy": {"name": "asha", "over": "random"},
        "training": {"epochs": 9, "batch_size": 16, "learning_rate": 0.01},
        "baseline": "none",
    }
    config = configured(plugins, **halved, budget=3, finalists={"count": 0})
    whole = start(config, tmp_path / "whole", quiet)
    promoted = [
        trial
        for trial in whole.trials
        if trial.continues is not None and whole.beginning(trial).donor is not None
    ]
    assert promoted
    assert all(trial.donor is None for trial in promoted)

    deleted: set[Path] = set()

    def forgetful(history: History, events: tuple) -> None:
        for left in (tmp_path / "run" / "checkpoints").glob("*"):
            left.unlink()
            deleted.add(left)

    assert repeatable(start(config, tmp_path / "run", forgetful)) == repeatable(whole)
    assert {
        checkpoint_file(tmp_path / "run", whole.beginning(trial).number) for trial in promoted
    } <= deleted


def test_a_donor_without_its_weights_stops_the_run_with_a_message(plugins, tmp_path: Path) -> None:
    removed: dict[Path, bytes] = {}

    def remove(history: History, events: tuple) -> None:
        for trial in history.pending:
            donor = trial.donor if trial.donor is not None else 10_000
            file = weights_file(tmp_path / "run", donor)
            if file.is_file() and not removed:
                removed[file] = file.read_bytes()
                file.unlink()

    with pytest.raises(
        RunFailed,
        match=r"trial \d+ begins with the weights of trial \d+, and .*safetensors is gone: "
        "put it back and resume",
    ):
        start(configured(plugins), tmp_path / "run", remove)
    ((file, content),) = removed.items()
    file.write_bytes(content)
    whole = start(configured(plugins), tmp_path / "whole", quiet)
    assert repeatable(resume(tmp_path / "run", quiet)) == repeatable(whole)


def test_a_network_that_started_with_a_donor_s_weights_is_exported(
    plugins, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(export_module, "verify", lambda *_: 0.0)
    config = configured(plugins, baseline="none", finalists={"count": 0})
    history = start(config, tmp_path / "run", quiet)
    number = next(trial.number for trial in history.trials if trial.donor is not None)
    exported = export(
        tmp_path / "run", trial=number, out=tmp_path / "out", space=load_space(plugins["space"])
    )
    assert (exported.trial, exported.weights) == (number, "search")
    kept, _ = read_weights(weights_file(tmp_path / "run", number))
    (file,) = (tmp_path / "out").glob("*.safetensors")
    out, _ = read_weights(file)
    card = (tmp_path / "out" / "README.md").read_text()
    donor = history.trial(number).donor
    assert f"began with weights of trial {donor}, a network like it" in card
    assert kept.keys() == out.keys()
    assert all(torch.equal(kept[name], out[name]) for name in kept)


def test_invalid_configurations_are_refused(plugins) -> None:
    with pytest.raises(
        ConfigError,
        match=r"evaluator\.transfer takes weights from earlier trials, and keep_weights is "
        "'finalists'",
    ):
        configured(plugins, keep_weights="finalists")
    for section, says in (
        ({"rule": "exactly"}, "exact"),
        ({"least": 0}, "above 0 and at most 1"),
        ({"lest": 0.5}, "lest"),
    ):
        with pytest.raises(ConfigError, match=says):
            configured(plugins, evaluator={"name": "train", "transfer": section})
    assert configured(plugins, evaluator="train").evaluator.transfer is None  # type: ignore[union-attr]
