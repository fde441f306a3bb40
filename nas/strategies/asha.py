"""Asynchronous successive halving: whoever is among the best of a rung goes on to the next (Li et
al., 2020, arXiv 1810.05934).
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.record.history import History, Proposal
from nas.strategies.rungs import RANDOM, begin, best_first, check, promoted, promotion, rungs, said
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace


@dataclass(frozen=True)
class ASHA:
    """Promotions first, from the highest rung down; where there are none left, new architectures on
    the lowest.

    A trial is promoted as soon as it is among the best 1/eta of what has ended on its rung. Those
    promoted earlier may have fallen out of them since, so
    in all more than 1/eta can be promoted: that is the price for never waiting, and where the
        search improves it is what one wants.

    Attributes:
        over: which architectures are new.
        eta: one of so many is promoted, to so many times the epochs.
        least: the lowest share of the epochs.
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
        begun = begin(
            self.over, space, history, self.rungs, [self.rungs[0]] * (count - len(promotions)), seed
        )
        return Asked((*promotions, *begun.proposals), said(promotions, begun.note))

    def _promotions(self, history: History) -> list[Proposal]:
        gone, found = promoted(history), list[Proposal]()
        for place in reversed(range(len(self.rungs) - 1)):
            ended = [
                trial
                for trial in history.trials
                if trial.fidelity == self.rungs[place] and trial.outcome is not None
            ]
            best = best_first(ended)[: len(ended) // self.eta]
            found += [
                promotion(trial, self.rungs[place + 1])
                for trial in best
                if trial.number not in gone
            ]
        return found
