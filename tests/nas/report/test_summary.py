"""The summary's figures are those of the journal, and its verdict follows from them."""

from __future__ import annotations

from random import Random

import pytest

from nas.evaluators.evaluator import FinalResult, Observation
from nas.record.events import (
    final_event,
    finalist_event,
    outcome_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.trials import Final, Finalist, Trial
from nas.report import headline, summarize, terminal_summary
from spaces import operators
from spaces.load import load_space
from tests.nas.report.made_up_runs import config_of, finals_of


def test_test_scores_are_those_of_the_full_trainings(events):
    run = fold(events)
    summary = summarize(run, config_of())
    found = [
        (item["trial"], final["seed"], final["test"])
        for arm in summary["arms"].values()
        for item in arm["finalists"]
        for final in item["finals"]
        if "test" in final
    ]
    assert sorted(found) == sorted(
        (final.trial, final.seed, final.result.test)
        for final in run.finals
        if isinstance(final.result, FinalResult)
    )
    for arm in summary["arms"].values():
        means = {item["trial"]: item["validation"]["mean"] for item in arm["finalists"]}
        assert arm["winner"] == max(means, key=lambda trial: means[trial])


def test_summary_counts(events):
    run = fold(events)
    summary = summarize(run, config_of())
    assert summary["arms"]["search"]["evaluated"] + summary["arms"]["search"]["failed"] == 40
    assert sum(item["count"] for item in summary["failures"]) == len(run.failed) + 1
    assert next(item for item in summary["failures"] if item["kind"] == "killed")["finals"] == 1
    assert summary["surrogate"]["pooled"]["predicted"] == sum(
        item["predicted"] for item in summary["surrogate"]["rounds"]
    )
    spent = sum(trial.outcome.seconds for trial in run.trials if trial.outcome) + sum(
        final.result.seconds for final in run.finals
    )
    assert summary["seconds"] == pytest.approx(spent)


def test_a_network_of_both_arms_is_counted_once():
    architecture = operators.sample(load_space("nasbench201"), Random(0))
    outcome = Observation(0.5, 30.0)
    events = []
    for number, arm in enumerate(("search", "random")):
        trial = Trial(number, 0, arm, architecture, "random", None, "same", number)
        events += [
            round_event(0, arm, [trial]),
            outcome_event(number, outcome),
            finalist_event(Finalist(number, 1, arm)),
        ]
    events += [final_event(Final(number, 7, FinalResult(0.6, 0.55, 90.0))) for number in (0, 1)]
    summary = summarize(fold(events), config_of())
    assert summary["seconds"] == 120.0
    assert summary["comparison"]["verdict"] == "level"
    assert "Both found the same network" in headline(summary)


@pytest.mark.parametrize(
    ("search", "random", "verdict", "said"),
    [
        (
            [0.90, 0.91, 0.92],
            [0.80, 0.81, 0.82],
            "ahead",
            "The search is ahead by 0.100, more than the seeds",
        ),
        ([0.90, 0.91, 0.92], [0.90, 0.90, 0.91], "level", "random search was as good"),
        ([0.90, 0.91, 0.92], [0.90, 0.92, 0.92], "level", "Random search was as good."),
        ([0.80, 0.81, 0.82], [0.90, 0.91, 0.92], "behind", "Random search was better, by 0.100."),
        ([0.90], [0.80], "ahead", "one seed says nothing about the spread"),
        ([0.90, 0.90], [0.80, 0.80], "ahead", "The search is ahead by 0.100."),
        ([0.80], [0.80], "level", "Random search was as good."),
    ],
)
def test_verdict(search, random, verdict, said):
    summary = summarize(fold(finals_of(search, random)), config_of())
    assert summary["comparison"]["verdict"] == verdict
    assert said in " ".join(terminal_summary(summary).split())
