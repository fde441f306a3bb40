"""Events of made-up runs, for tests of the report and the summary."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from nas.config.loading import parse_config
from nas.config.sections import RunConfig
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.events import (
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    round_end_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.journal import Event
from nas.record.scorecard import scorecard
from nas.record.trials import Final, Finalist, Predicted, Trial
from spaces import SearchSpace, operators
from spaces.load import load_space

TABLE = {"name": "table", "path": "builtin:nasbench201", "score": "valid"}
FAILURES = (
    ("out of memory", "the device has no memory left for a batch of 128"),
    ("time-out", "the training took longer than 60 seconds"),
    ("not finite", "the loss was not a number in epoch 3"),
)


def config_of(**settings) -> RunConfig:
    return parse_config(
        {"space": "nasbench201", "evaluator": TABLE, "budget": 40, "seed": 3, **settings}, "test"
    )


def made_up_run(
    seed: int = 1, budget: int = 40, batch: int = 4, space: SearchSpace | None = None
) -> list[Event]:
    """The events of a run with two arms of `budget` trials.

    The surrogate's predictions improve, some trials fail, and each arm has three finalists with
    three seeds.
    """
    random, space, events = Random(seed), space or load_space("nasbench201"), []
    for place, arm in enumerate(("search", "random")):
        good: list[tuple[float, int]] = []
        for number in range(budget // batch):
            trials, outcomes = [], []
            first = place * (budget // batch) * batch + number * batch
            for trial_number in range(first, first + batch):
                trial, score = _trial(trial_number, number, arm, space, random)
                outcome = _outcome(trial_number, score, random)
                trials.append(trial)
                outcomes.append(outcome)
                if isinstance(outcome, Observation):
                    good.append((score, trial_number))
            done = [
                replace(trial, outcome=outcome)
                for trial, outcome in zip(trials, outcomes, strict=True)
            ]
            events += [
                round_event(number, arm, trials, _note(arm, number)),
                *(outcome_event(trial.number, trial.outcome) for trial in done),
                round_end_event(number, arm, scorecard(done)),
            ]
        best = sorted(good, reverse=True)[:3]
        events += [
            finalist_event(Finalist(trial, rank, arm))
            for rank, (_, trial) in enumerate(best, start=1)
        ]
    run = fold(events)
    for finalist in run.finalists:
        score = run.trial(finalist.trial).score
        for index in range(3):
            killed = finalist.arm == "random" and finalist.rank == 3 and index == 2
            result = _killed() if killed else _final(score, random)
            events.append(final_event(Final(finalist.trial, 900 + index, result)))
    return [*events, finished_event("the budget is used")]


def _trial(
    number: int, round_number: int, arm: str, space: SearchSpace, random: Random
) -> tuple[Trial, float]:
    """A trial with the score that it will have if it does not fail."""
    skill = min(1.0, round_number / 8) if arm == "search" else 0.0
    score = (
        0.94 - 0.03 * random.random() ** (1 + 2 * skill) - 0.08 * (1 - skill) * random.random() ** 3
    )
    score = 0.1 if random.random() < 0.04 else score
    predicted, origin = None, "random"
    if arm == "search" and round_number >= 4:
        mean = score + random.gauss(0, 0.012 * (1.4 - skill))
        predicted = Predicted(mean, 0.006, 0.006 * (1.2 - skill))
        origin = random.choice(["mutation", "crossover"])
    item = operators.sample(space, random)
    return Trial(number, round_number, arm, item, origin, predicted, item.key, number), score


def _outcome(trial: int, score: float, random: Random) -> Observation | Failed:
    if random.random() < 0.08:
        kind, reason = random.choice(FAILURES)
        detail = f"Traceback of trial {trial}\n  in a line\nError: {reason}"
        return Failed(kind, reason, 12.0 + 40 * random.random(), detail)
    curve = tuple(
        score - 0.5 * math.exp(-epoch / 2.5) + random.gauss(0, 0.006) for epoch in range(1, 12)
    )
    return Observation(score, 60 + 30 * random.random(), (*curve, score))


def _note(arm: str, round_number: int) -> str:
    if arm == "search" and round_number < 4:
        return "initial design: random"
    if arm == "search" and round_number == 6:
        return (
            "the surrogate did not rank its latest 16 predictions (rank correlation −0.05): half "
            "of the batch by evolution"
        )
    return ""


def _final(score: float, random: Random) -> FinalResult:
    validation = score + 0.01 + random.gauss(0, 0.0012)
    return FinalResult(validation, validation - 0.004 + random.gauss(0, 0.0015), 240.0)


def _killed() -> Failed:
    return Failed("killed", "the worker was killed by signal 9", 31.0, "")


def finals_of(search: list[float], random: list[float]) -> list[Event]:
    """The events of a run with one finalist for each arm, with these scores of its seeds."""
    space, draws, events = load_space("nasbench201"), Random(0), []
    for number, (arm, scores) in enumerate((("search", search), ("random", random))):
        item = operators.sample(space, draws)
        trial = Trial(number, 0, arm, item, "random", None, f"k{number}", number)
        events += [
            round_event(0, arm, [trial]),
            outcome_event(number, Observation(0.5)),
            finalist_event(Finalist(number, 1, arm)),
        ]
        events += [
            final_event(Final(number, seed, FinalResult(score, score)))
            for seed, score in enumerate(scores)
        ]
    return events
