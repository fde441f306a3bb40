"""Which trial's trained weights a new trial begins with: a pure function of the history."""

from __future__ import annotations

from nas.record.history import History
from nas.record.trials import Proposal, Trial
from nas.transfer.settings import TransferSettings
from spaces import Architecture, SearchSpace
from spaces.graph import Graph


def donor_of(
    space: SearchSpace, history: History, arm: str, proposal: Proposal, settings: TransferSettings
) -> int | None:
    """The number of the trial whose weights the proposal begins with; None for fresh weights.

    It is the observed trial of the same arm with the largest overlap of weights, if the overlap is
    `settings.least` or more. Ties go to the higher fidelity, then the higher score, then the lower
    number. Trials of other arms are not considered: the search and its baseline are independent.

    If that trial took over the result of an identical evaluation in another arm, the number is that
    of the trial that was evaluated, for only that one has weights. A promotion has no donor, since
    it continues with weights of its own.
    """
    if proposal.continues is not None:
        return None
    from nas.transfer.copying import overlap

    child, shape = _network(space, proposal.architecture), space.shapes.input
    overlaps = {
        trial.number: overlap(_network(space, trial.architecture), child, settings.rule, shape)
        for trial in history.of_arm(arm).observed
    }
    able = [history.trial(number) for number, share in overlaps.items() if share >= settings.least]
    if not able:
        return None
    best = max(
        able, key=lambda trial: (overlaps[trial.number], trial.fidelity, trial.score, -trial.number)
    )
    return original(history, best).number


def original(history: History, trial: Trial) -> Trial:
    """The trial whose evaluation gave this trial its result: the first of the same evaluation."""
    made = evaluation(history, trial)
    return next(
        other
        for other in history.observed
        if other.canonical == trial.canonical and evaluation(history, other) == made
    )


def evaluation(history: History, trial: Trial) -> tuple[str, float, int | None]:
    """What identifies an evaluation: network, fidelity, and the donor of its first weights.

    Two trials with the same evaluation are evaluated once, and both get the result.
    """
    return trial.canonical, trial.fidelity, history.beginning(trial).donor


def _network(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))
