"""What strategies of several fidelities share: the rungs, promotions from one to the next, and what
the strategy below them sees.

A rung is a fidelity, a share of the epochs. An architecture begins on a low one, and the best of a
rung are promoted: their training goes on to the next. Which architectures are new is asked of
another strategy, which knows nothing of rungs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from nas.record.history import History, Predicted, Proposal, Trial
from nas.strategies.random import RandomSearch
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace

# What there is below where nothing is named: as published.
RANDOM = RandomSearch()
# `least` may be a rounded share, such as 0.1111 or 0.037: as many steps down as fit but for a
# hundredth of one.
_ALMOST = 0.01


def rungs(eta: int, least: float) -> tuple[float, ...]:
    """The fidelities from the lowest up: 1, 1/eta, 1/eta², ..., as far down as `least`."""
    steps = math.floor(math.log(1 / least, eta) + _ALMOST)
    return tuple(float(eta) ** -step for step in range(steps, -1, -1))


def rungs_of(strategy: Strategy) -> tuple[float, ...]:
    """The fidelities that the strategy proposes, the lowest first: the whole alone, where it does
    not say.
    """
    return getattr(strategy, "rungs", (1.0,))


def check(name: str, eta: int, least: float, over: Strategy) -> None:
    """Refuses settings that make no rungs.

    Raises:
        ValueError: a setting is out of its range, or the strategy below has rungs of its own.
    """
    if eta < 2:
        raise ValueError(f"{name} needs eta >= 2, of which one is promoted; got {eta}")
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
    """The numbers of the trials whose training goes on in another, ended or not."""
    return frozenset(trial.continues for trial in history.trials if trial.continues is not None)


def best_first(trials: Iterable[Trial]) -> list[Trial]:
    """The observed ones, the highest score first; of equals the lower number. What failed is worst
    and is left out.
    """
    return sorted(
        (trial for trial in trials if trial.is_observed),
        key=lambda trial: (-trial.score, trial.number),
    )


def promotion(trial: Trial, fidelity: float) -> Proposal:
    """The trial's training goes on to the fidelity. No prediction: the one made of the architecture
    was of its first score.
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
    """New architectures from the strategy below, as many as fidelities are given, each to begin on
    its own.

    What it predicts, the score of a whole training, becomes a prediction of the score on that rung,
    so that it can be compared with what comes out.
    """
    if not fidelities:
        return Asked(())
    asked, lift = (
        over.ask(space, lifted(history, ladder), len(fidelities), seed),
        lifts(history, ladder),
    )
    begun = [
        replace(
            proposal, fidelity=fidelity, prediction=_moved(proposal.prediction, -lift[fidelity])
        )
        for proposal, fidelity in zip(asked.proposals, fidelities, strict=False)
    ]
    return Asked(tuple(begun), asked.note)


def lifts(history: History, ladder: Sequence[float]) -> dict[float, float]:
    """By fidelity, what a whole training would add to a score: the sum, over the rungs above, of
    the median gain of those promoted to them.

    Between rungs that no promoted training connects yet the gain counts as 0.
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
    """The history as the strategy below sees it: each architecture once, under its first number, as
    a whole training.

    Its score is the one of its highest fidelity, lifted to the top by the median gains of those
    promoted (`lifts`). All of a rung are lifted alike, so their order is kept, and scores of
    different rungs, which cannot be compared as they are, roughly can. Those promoted are the best
    of their rung, so what they gained is an estimate for the good ones, and for a poor one usually
    too little. A prediction is lifted like the score that it was of; an architecture whose
    promotion failed has failed.
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


def said(promotions: Sequence[Proposal], note: str) -> str:
    """The note of a round: who was promoted how far, and what the strategy below says."""
    parts = []
    for fidelity in dict.fromkeys(proposal.fidelity for proposal in promotions):
        numbers = [
            str(proposal.continues) for proposal in promotions if proposal.fidelity == fidelity
        ]
        parts.append(
            f"{'trial' if len(numbers) == 1 else 'trials'} {', '.join(numbers)} promoted to "
            f"{share(fidelity)}"
        )
    return "; ".join([*parts, note] if note else parts)


def share(fidelity: float) -> str:
    """`1/9 of the epochs`, `all epochs`."""
    return "all epochs" if fidelity == 1.0 else f"1/{round(1 / fidelity)} of the epochs"


def _moved(prediction: Predicted | None, by: float) -> Predicted | None:
    return None if prediction is None else replace(prediction, mean=prediction.mean + by)
