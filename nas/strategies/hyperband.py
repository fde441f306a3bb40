"""Hyperband: successive halving in brackets that begin on different rungs (Li et al., JMLR 18,
2018, arXiv 1603.06560).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as numbers

from nas.record.history import History, Proposal, Trial
from nas.strategies.rungs import RANDOM, begin, best_first, check, promotion, rungs, said
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace


@dataclass(frozen=True)
class Hyperband:
    """Brackets in turn, from many architectures on the lowest rung to few that are trained fully at
    once, and again.

    With s + 1 rungs, bracket b = s, ..., 0 begins with ceil((s + 1) / (b + 1) * eta^b)
    architectures, b rungs below the top. When all of a rung have ended, the best floor(n / eta) of
    them are promoted together. Where a batch has room left, the next bracket begins in it.

    Attributes:
        over: which architectures are new.
        eta: one of so many is promoted, to so many times the epochs.
        least: the lowest share of the epochs.
    """

    over: Strategy = RANDOM
    eta: int = 3
    least: float = 0.1111

    def __post_init__(self) -> None:
        check("hyperband", self.eta, self.least, self.over)

    @property
    def rungs(self) -> tuple[float, ...]:
        """The fidelities, the lowest first."""
        return rungs(self.eta, self.least)

    def size(self, bracket: int) -> int:
        """How many architectures the bracket with that number begins with; they are numbered from
        0, the lowest rung first.
        """
        below = len(self.rungs) - 1 - bracket % len(self.rungs)
        # The same as ceil, in whole numbers.
        return -(-len(self.rungs) * self.eta**below // (below + 1))

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        promotions, places = list[Proposal](), list[float]()
        for bracket, members in self._brackets(history):
            missing = self.size(bracket) - len(members)
            if missing == 0:
                promotions += self._promotions(history, bracket, members)
            places += [self._first(bracket)] * missing
            if len(promotions) + len(places) >= count:
                break
        promotions = promotions[:count]
        begun = begin(
            self.over, space, history, self.rungs, places[: count - len(promotions)], seed
        )
        if not promotions and not begun.proposals:
            # Nothing new is left in the space: the brackets that it did not fill are halved as they
            # are.
            promotions = [
                item
                for bracket, members in self._begun(history)
                for item in self._promotions(history, bracket, members)
            ][:count]
        return Asked((*promotions, *begun.proposals), said(promotions, begun.note))

    def _first(self, bracket: int) -> float:
        return self.rungs[bracket % len(self.rungs)]

    def _brackets(self, history: History) -> Iterator[tuple[int, Sequence[Trial]]]:
        """Every bracket with the trials that began it, without end: those of its first rung are
        dealt out in the order of their numbers.
        """
        began = {
            fidelity: [
                trial
                for trial in history.trials
                if trial.continues is None and trial.fidelity == fidelity
            ]
            for fidelity in self.rungs
        }
        for bracket in numbers():
            left, size = began[self._first(bracket)], self.size(bracket)
            yield bracket, left[:size]
            del left[:size]

    def _begun(self, history: History) -> Iterator[tuple[int, Sequence[Trial]]]:
        left = sum(trial.continues is None for trial in history.trials)
        for bracket, members in self._brackets(history):
            if not left:
                return
            left -= len(members)
            yield bracket, members

    def _promotions(
        self, history: History, bracket: int, members: Sequence[Trial]
    ) -> list[Proposal]:
        """Those of the bracket's highest rung that is full and has ended, as far as they are not
        promoted yet.
        """
        after: Mapping[int | None, Trial] = {
            trial.continues: trial for trial in history.trials if trial.continues is not None
        }
        for fidelity in self.rungs[bracket % len(self.rungs) + 1 :]:
            if any(trial.outcome is None for trial in members):
                return []
            best = best_first(members)[: len(members) // self.eta]
            waiting = [trial for trial in best if trial.number not in after]
            if waiting:
                return [promotion(trial, fidelity) for trial in waiting]
            members = [after[trial.number] for trial in best]
        return []
