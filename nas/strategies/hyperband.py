"""Hyperband: successive halving in brackets that begin on different rungs.

The method is of Li et al., JMLR 18, 2018 (arXiv 1603.06560).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as numbers

from nas.record.history import History
from nas.record.trials import Proposal, Trial
from nas.strategies.rungs import RANDOM, begin, best_first, check, promotion, round_note, rungs
from nas.strategies.strategy import Asked, Strategy
from spaces import SearchSpace


@dataclass(frozen=True)
class Hyperband:
    """Brackets one after the other, in an endless cycle.

    The first bracket of a cycle begins with many architectures on the lowest rung, the last one
    with a few that are fully trained at once. With s + 1 rungs, bracket b = s, ..., 0 begins with
    ceil((s + 1) / (b + 1) * eta^b) architectures, b rungs below the top. When all n trials of a
    rung have ended, the best floor(n / eta) of them are promoted together. If a batch has room
    left, the next bracket begins in it.

    Attributes:
        over: the strategy that proposes the new architectures.
        eta: one trial in `eta` is promoted, and is then trained for `eta` times as many epochs.
        least: the lowest fidelity, as a share of the epochs.
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
        """How many architectures the bracket with that number begins with.

        Brackets are numbered from 0. Bracket 0 begins on the lowest rung.
        """
        below = len(self.rungs) - 1 - bracket % len(self.rungs)
        # This is the ceiling, computed in whole numbers.
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
            # The space has no new architectures: brackets that could not be filled are halved as
            # they are.
            promotions = [
                item
                for bracket, members in self._begun(history)
                for item in self._promotions(history, bracket, members)
            ][:count]
        return Asked((*promotions, *begun.proposals), round_note(promotions, begun.note))

    def _first(self, bracket: int) -> float:
        return self.rungs[bracket % len(self.rungs)]

    def _brackets(self, history: History) -> Iterator[tuple[int, Sequence[Trial]]]:
        """An endless sequence of brackets, each with the trials that it begins with.

        The new trials on a rung are assigned in the order of their numbers to the brackets that
        begin there.
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
        """The brackets up to the last one that has begun."""
        left = sum(trial.continues is None for trial in history.trials)
        for bracket, members in self._brackets(history):
            if not left:
                return
            left -= len(members)
            yield bracket, members

    def _promotions(
        self, history: History, bracket: int, members: Sequence[Trial]
    ) -> list[Proposal]:
        """Promotions from the bracket's highest rung on which all trials have ended.

        Trials that are promoted already are left out.
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
