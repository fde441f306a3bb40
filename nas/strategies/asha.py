"""Asynchronous successive halving (Li et al., 2020, arXiv 1810.05934)."""

from __future__ import annotations

from dataclasses import dataclass

from nas.record.history import History
from nas.record.trials import Proposal
from nas.strategies.rungs import (
    RANDOM,
    begin,
    best_first,
    check,
    promoted,
    promotion,
    round_note,
    rungs,
)
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace


@dataclass(frozen=True)
class ASHA:
    """Promotions from the highest rung down, then new architectures on the lowest rung.

    A trial is promoted as soon as it is among the best 1/eta of the completed trials on its rung.
    Trials promoted earlier may no longer be among them, so in total more than 1/eta can be
    promoted. That is the price for never waiting. It is even desired if the search improves.

    Attributes:
        over: the strategy that proposes the new architectures.
        eta: one trial in `eta` is promoted, and is then trained for `eta` times as many epochs.
        least: the lowest fidelity, as a share of the epochs.
    """

    over: Strategy = RANDOM
    eta: int = 3
    least: float = 0.1111

    def __post_init__(self) -> None:
        check("asha", self.eta, self.least, self.over)

    @property
    def rungs(self) -> tuple[float, ...]:
        """The fidelities, the lowest first."""
        return rungs(self.eta, self.least)

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        promotions = self._promotions(history)[:count]
        lowest = [self.rungs[0]] * (count - len(promotions))
        begun = begin(self.over, space, history, self.rungs, lowest, seed)
        return Asked((*promotions, *begun.proposals), round_note(promotions, begun.note))

    def _promotions(self, history: History) -> list[Proposal]:
        gone, found = promoted(history), list[Proposal]()
        for place in reversed(range(len(self.rungs) - 1)):
            ended = [
                trial
                for trial in history.trials
                if trial.fidelity == self.rungs[place] and trial.outcome is not None
            ]
            best = best_first(ended)[: len(ended) // self.eta]
            waiting = [trial for trial in best if trial.number not in gone]
            found += [promotion(trial, self.rungs[place + 1]) for trial in waiting]
        return found
