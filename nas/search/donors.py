"""Which trial's weights a new trial begins with: a pure function of the history, so that a run that
goes on chooses as one that never stopped.
"""

from __future__ import annotations

from nas.record.history import History, Proposal, Trial
from nas.transfer.settings import TransferSettings
from spaces import Architecture, SearchSpace
from spaces.graph import Graph


def donor_of(
    space: SearchSpace, history: History, arm: str, proposal: Proposal, settings: TransferSettings
) -> int | None:
    """The number of the trial with the largest overlap, if that is `settings.least` or more; of
    equals the longer trained, the better, the earlier one.

    Only observed trials of the same arm are looked at: a search and its baseline learn nothing from
        each other. Where one of them was evaluated in the
    other arm already, as its twin there, the twin's number is given, since it is the one that has
    weights. A promotion has none, as it goes on with weights of its own.
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
    """The first trial that was the same evaluation: the one that was made; all later ones took over
    its result.
    """
    made = evaluation(history, trial)
    return next(
        other
        for other in history.observed
        if other.canonical == trial.canonical and evaluation(history, other) == made
    )


def evaluation(history: History, trial: Trial) -> tuple[str, float, int | None]:
    """What two trials have in common of which only one has to be evaluated: the network, the
    epochs, and what the training began with.
    """
    return trial.canonical, trial.fidelity, history.beginning(trial).donor


def _network(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))
