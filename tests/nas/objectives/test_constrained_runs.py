"""Constraints in a configuration, and runs in which some or no architectures keep them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from nas.config.compose import compose
from nas.config.loading import parse_config
from nas.config.numbers import check_numbers
from nas.config.sections import ConfigError, RunConfig
from nas.config.stored_run import read_run
from nas.evaluators.evaluator import Observation
from nas.export.weights import choose
from nas.objectives.constraints import broken, check, parse
from nas.objectives.graph_numbers import check_computable, number_of
from nas.record.history import History
from nas.record.trials import Trial
from nas.report import headline, summarize, terminal_summary
from nas.search.run import resume, start
from spaces.load import load_space
from spaces.operators import sample
from tests.nas.objectives.test_constrained_space import CELLS


def config(**changes: object) -> RunConfig:
    """A run on the table of NAS-Bench-201 with two constraints."""
    values = {
        "space": "nasbench201",
        "evaluator": {
            "name": "table",
            "path": "builtin:nasbench201",
            "score": "c100_val_200",
            "test": "c100_test_200",
            "metrics": {"latency": "c100_epoch_seconds"},
        },
        "strategy": {"name": "nsga2", "population": 8},
        "objectives": [{"name": "score"}, {"name": "parameters", "goal": "minimise"}],
        "constraints": ["parameters <= 4e5", "latency <= 20"],
        "executor": "inline",
        "budget": 24,
        **changes,
    }
    return parse_config(values, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """A watcher of a run that shows nothing."""


@pytest.mark.parametrize(
    "text",
    [
        "parameters",
        "parameters < 5",
        "parameters == 5",
        "<= 5",
        "a <= b",
        "a <= nan",
        "a <= inf",
        "1 <= a <= 2",
        "",
    ],
)
def test_text_that_is_no_constraint_is_refused(text):
    with pytest.raises(ConfigError, match="NAME <= NUMBER or NAME >= NUMBER"):
        config(constraints=[text])


def test_bounds_that_contradict_each_other_are_refused():
    with pytest.raises(
        ConfigError, match="no architecture can keep both parameters >= 5 and parameters <= 4"
    ):
        config(constraints=["parameters >= 5", "latency <= 3", "parameters <= 4"])
    check([parse("parameters >= 5"), parse("parameters <= 5"), parse("latency <= 4")])


@pytest.mark.parametrize("given", ["parameters <= 3", [3]])
def test_constraints_are_a_list_of_texts(given):
    with pytest.raises(
        ConfigError,
        match=r'constraints.*: should be a list, such as \["parameters <= 1e6"\]; got [^\n]*$',
    ):
        config(constraints=given)


@pytest.mark.parametrize("given", ["score", ["score"], []])
def test_objectives_are_a_list_of_sections(given):
    with pytest.raises(
        ConfigError,
        match=r"objectives.*: should be a list, such as \[\{name: score\}, "
        r"\{name: parameters, goal: minimise\}\]; got [^\n]*$",
    ):
        config(objectives=given)


def test_the_configuration_keeps_constraints_as_text():
    settings = config().model_dump(mode="json")
    assert settings["constraints"] == ["parameters <= 400000", "latency <= 20"]
    assert parse_config(settings, "again") == config()


def test_names_that_nothing_gives_are_refused_before_the_run():
    with pytest.raises(
        ConfigError,
        match=r"the constraint 'lateny' .*\(score, seconds, latency\), "
        r"and there is no descriptor 'lateny'\. Known are depth",
    ):
        compose(config(constraints=["lateny <= 3"]))
    with pytest.raises(ConfigError, match=r"the objective 'size' is none of the numbers"):
        compose(config(objectives=[{"name": "score"}, {"name": "size"}], constraints=[]))
    with pytest.raises(
        ConfigError,
        match=r"no graph of the space 'nasbench201' has the operation 'nor_conv_3'; "
        r"did you mean 'nor_conv_3x3'\?",
    ):
        compose(config(constraints=["count:nor_conv_3 <= 3"]))
    with pytest.raises(
        ConfigError, match=r"there is no descriptor 'paramters'; did you mean 'parameters'\?"
    ):
        check_numbers(config(constraints=["paramters <= 3"]))
    with pytest.raises(ValueError, match="cannot be computed in the space 'nasbench_graph'"):
        check_computable(load_space("nasbench_graph"), "parameters")


def test_constraints_that_no_network_keeps_are_refused_with_the_smallest_excess(tmp_path: Path):
    sampled = [sample(CELLS, Random(seed)) for seed in range(60)]
    smallest = min(int(number_of(CELLS, each, "parameters")) for each in sampled)
    with pytest.raises(
        ValueError,
        match=r"parameters <= 100 \(1000 times, the nearest missed it by ([\d,]+)\)\. Loosen",
    ) as error:
        start(config(constraints=["parameters <= 100", "depth <= 9"]), tmp_path / "run", quiet)
    assert f"{smallest - 100:,.6g}" in str(error.value)
    assert not (tmp_path / "run").exists()


def metric(trial: Trial, name: str) -> float:
    """One of the metrics of an observed trial."""
    assert isinstance(trial.outcome, Observation)
    return dict(trial.outcome.metrics)[name]


def test_a_run_keeps_its_constraints_and_can_be_resumed(tmp_path: Path):
    history = start(config(), tmp_path / "run", quiet)
    assert all(metric(trial, "parameters") <= 4e5 for trial in history.observed)
    slow = [trial.number for trial in history.observed if metric(trial, "latency") > 20]
    assert slow, "trials that break a bound on a measured number stay in the journal"
    summary = summarize(history, config())
    infeasible = summary["infeasible"]
    assert [item["trial"] for item in infeasible] == slow
    assert all(item["reason"].startswith("breaks latency <= 20 (") for item in infeasible)
    arms = summary["front"]["arms"].values()
    on_front = {member["trial"] for arm in arms for member in arm["members"]}
    finalists = {finalist.trial for finalist in history.finalists}
    best = {arm["best"]["trial"] for arm in summary["arms"].values()}
    assert not set(slow) & (on_front | finalists | best)
    assert finalists <= on_front
    assert "infeasible" in terminal_summary(summary)

    class Stopped(Exception):
        pass

    def stop(history: History, events: object) -> None:
        if len(history.observed) == 15:
            raise Stopped

    with pytest.raises(Stopped):
        start(config(), tmp_path / "stopped", stop)
    again = resume(tmp_path / "stopped", quiet)
    assert again.trials == history.trials
    assert again.finalists == history.finalists


@pytest.mark.parametrize(
    "strategy",
    [
        "evolution",
        "local",
        "map_elites",
        "mcts",
        "smbo",
        {"name": "surrogate", "initial": 6, "candidates": 50},
    ],
)
def test_strategies_without_support_for_constraints_run_with_them(strategy: object, tmp_path: Path):
    asked = config(
        strategy=strategy,
        objectives=[{"name": "score"}],
        predictor="ridge",
        budget=16,
        baseline="none",
    )
    history = start(asked, tmp_path / "run", quiet)
    assert len(history.observed) == 16
    assert history.finalists
    finalists = [history.trial(finalist.trial) for finalist in history.finalists]
    assert not any(broken(trial, asked.constraints) for trial in finalists)


@pytest.mark.parametrize(
    "objectives", [[{"name": "score"}], [{"name": "score"}, {"name": "depth", "goal": "minimise"}]]
)
def test_a_run_in_which_nothing_is_feasible_says_so(objectives: list, tmp_path: Path):
    asked = config(constraints=["score >= 99"], objectives=objectives, budget=8)
    history = start(asked, tmp_path / "run", quiet)
    assert history.finished is not None
    assert history.finished.startswith(
        "the budget is used; none of 8 evaluated architectures keeps the constraints; the "
        "nearest, trial "
    )
    assert history.finalists == ()
    summary = summarize(history, asked)
    assert headline(summary).startswith("None of 8 evaluated architectures keeps the constraints")
    assert summary["arms"]["search"]["infeasible"] == 8
    assert "None of 8" in terminal_summary(summary)
    with pytest.raises(ValueError, match=r"nothing in .* keeps the constraints"):
        choose(read_run(tmp_path / "run"), None, untrained=True)
