"""Rungs of successive halving, promotions between them, and the history on one scale of scores.

A rung is a fidelity, a share of the epochs. An architecture begins on a low rung, and the best of a
rung are promoted: their training continues up to the next rung. New architectures are proposed by
another strategy, the strategy below, which is not aware of rungs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from nas.record.history import History
from nas.record.trials import Predicted, Proposal, Trial
from nas.strategies.random import RandomSearch
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace

# The default strategy below, as in the publications.
RANDOM = RandomSearch()
# `least` may be a rounded share, such as 0.1111 or 0.037. So the number of steps down to it may be
# this much less than a whole number.
_ALMOST = 0.01


def rungs(eta: int, least: float) -> tuple[float, ...]:
    """The fidelities 1, 1/eta, 1/eta², ... that are at least `least`, in rising order.

    >>> rungs(2, 0.25)
    (0.25, 0.5, 1.0)
    """
    steps = math.floor(math.log(1 / least, eta) + _ALMOST)
    return tuple(float(eta) ** -step for step in range(steps, -1, -1))


def rungs_of(strategy: Strategy) -> tuple[float, ...]:
    """The fidelities that the strategy proposes, the lowest first; by default only 1."""
    return getattr(strategy, "rungs", (1.0,))


def check(name: str, eta: int, least: float, over: Strategy) -> None:
    """Checks that the settings give at least two rungs.

    Raises:
        ValueError: a setting is out of its range, or the strategy below has rungs of its own.
    """
    if eta < 2:
        raise ValueError(f"{name} needs eta >= 2 (one trial in eta is promoted); got {eta}")
    if not 0 < least < 1 or len(rungs(eta, least)) < 2:
        raise ValueError(
            f"{name} needs least, the lowest share of the epochs, above 0 and at most 1 / eta = "
            f"{1 / eta:.4g}; got {least}"
        )
    if len(rungs_of(over)) > 1:
        raise ValueError(
            f"{name} goes over a strategy that trains every architecture fully; "
            f"{type(over).__name__} has rungs of its own: take another"
        )


def promoted(history: History) -> frozenset[int]:
    """The numbers of the trials whose training is continued by another trial, ended or not."""
    return frozenset(trial.continues for trial in history.trials if trial.continues is not None)


def best_first(trials: Iterable[Trial]) -> list[Trial]:
    """The observed trials, the highest score first; of equal scores the lower number first.

    Failed trials are left out.
    """
    return sorted(
        (trial for trial in trials if trial.is_observed),
        key=lambda trial: (-trial.score, trial.number),
    )


def promotion(trial: Trial, fidelity: float) -> Proposal:
    """The proposal that continues the trial's training up to the fidelity.

    It has no prediction, because the prediction for this architecture was of its first score.
    """
    return Proposal(trial.architecture, "promotion", None, trial.canonical, fidelity, trial.number)


def begin(
    over: Strategy,
    space: SearchSpace,
    history: History,
    ladder: Sequence[float],
    fidelities: Sequence[float],
    seed: int,
) -> Asked:
    """New architectures from the strategy below, one for each of the fidelities.

    The strategy below predicts the score of a full training. This becomes a prediction of the score
    at the proposal's fidelity, so that it can be compared with the observed score.

    Args:
        over: the strategy below.
        space: the search space.
        history: of the run, with all rungs.
        ladder: all rungs, the lowest first.
        fidelities: where the new architectures begin.
        seed: of the strategy below.
    """
    if not fidelities:
        return Asked(())
    asked = over.ask(space, lifted(history, ladder), len(fidelities), seed)
    lift = lifts(history, ladder)
    begun = []
    for proposal, fidelity in zip(asked.proposals, fidelities, strict=False):
        prediction = _moved(proposal.prediction, -lift[fidelity])
        begun.append(replace(proposal, fidelity=fidelity, prediction=prediction))
    return Asked(tuple(begun), asked.note)


def lifts(history: History, ladder: Sequence[float]) -> dict[float, float]:
    """By fidelity, the estimated gain in score from a full training.

    It is the sum, over the rungs above, of the median gain of the trials promoted to them. If no
    trial has completed a promotion to a rung yet, the gain counts as 0.
    """
    scores = {trial.number: trial.score for trial in history.observed}
    gains: dict[float, list[float]] = {fidelity: [] for fidelity in ladder}
    for trial in history.observed:
        if trial.continues in scores:
            gains[trial.fidelity].append(trial.score - scores[trial.continues])
    result = {ladder[-1]: 0.0}
    for lower, upper in reversed(list(pairwise(ladder))):
        result[lower] = result[upper] + (median(gains[upper]) if gains[upper] else 0.0)
    return result


def lifted(history: History, ladder: Sequence[float]) -> History:
    """The history for the strategy below: each architecture once, as if it were fully trained.

    An architecture has the number of its first trial. Its score is that of its highest fidelity
    plus the estimated gain from a full training (`lifts`). All scores of a rung are raised by the
    same amount, so their order is kept. Scores of different rungs become roughly comparable. The
    promoted trials are the best of their rung, so their gain is an estimate for good architectures,
    and usually too low for a poor one. A prediction is raised like the score that it is of. An
    architecture whose promotion failed counts as failed.
    """
    lift = lifts(history, ladder)
    first: dict[int, Trial] = {}
    seen: dict[int, Trial] = {}
    for trial in history.trials:
        origin = first[trial.number] = trial if trial.continues is None else first[trial.continues]
        if trial.outcome is not None or trial is origin:
            seen[origin.number] = trial
    trials = []
    for number, trial in seen.items():
        known = trial.with_score(trial.score + lift[trial.fidelity]) if trial.is_observed else trial
        prediction = _moved(first[number].prediction, lift[first[number].fidelity])
        trials.append(
            replace(first[number], outcome=known.outcome, prediction=prediction, fidelity=1.0)
        )
    rounds = [
        replace(item, trials=tuple(number for number in item.trials if number in seen))
        for item in history.rounds
    ]
    return History(tuple(trials), tuple(rounds))


def round_note(promotions: Sequence[Proposal], note: str) -> str:
    """The round's promotions in words, followed by the note of the strategy below."""
    parts = []
    for fidelity in dict.fromkeys(proposal.fidelity for proposal in promotions):
        going = [proposal for proposal in promotions if proposal.fidelity == fidelity]
        noun = "trial" if len(going) == 1 else "trials"
        numbers = ", ".join(str(proposal.continues) for proposal in going)
        parts.append(f"{noun} {numbers} promoted to {share(fidelity)}")
    return "; ".join([*parts, note] if note else parts)


def share(fidelity: float) -> str:
    """The fidelity as text, such as `1/9 of the epochs` or `all epochs`."""
    return "all epochs" if fidelity == 1.0 else f"1/{round(1 / fidelity)} of the epochs"


def _moved(prediction: Predicted | None, by: float) -> Predicted | None:
    return None if prediction is None else replace(prediction, mean=prediction.mean + by)
