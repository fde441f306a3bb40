"""Histories made by hand for tests of successive halving; an architecture is one whole number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nas.evaluators.evaluator import Failed, Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import History
from nas.record.trials import Predicted, Proposal, Trial
from nas.strategies import Strategy
from nas.strategies.strategy import Asked
from spaces import Architecture, SearchSpace
from tests.contracts.strategy_contract import CELLS

NINTH, THIRD = 3.0**-2, 3.0**-1


def architecture(number: int) -> Architecture:
    """The architecture of a letter."""
    return Architecture("letters", (("letter", number),))


def letter_of(item: Proposal | Trial) -> int:
    """The letter of a proposal or a trial."""
    letter = item.architecture.answers["letter"]
    assert isinstance(letter, int)
    return letter


@dataclass(frozen=True)
class Letters:
    """A strategy that proposes the next letters in their order, whatever the scores are.

    With `predicts` it predicts that the score of a letter is its number.
    """

    predicts: bool = False
    last: int = 100

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        letters = [letter_of(trial) for trial in history.trials]
        assert letters == sorted(set(letters)), "each once, in their order"
        first = letters[-1] + 1 if letters else 0
        assert all(trial.fidelity == 1.0 and trial.continues is None for trial in history.trials)
        proposals = []
        for letter in range(first, min(first + count, self.last)):
            prediction = Predicted(float(letter), 1, 1) if self.predicts else None
            proposals.append(Proposal(architecture(letter), "letter", prediction, f"key{letter}"))
        return Asked(tuple(proposals))


def go_on(history: History, proposals, outcome) -> History:
    """The history with the proposals as its next round.

    `outcome(letter, fidelity)` is the score of a proposal, or None for a failure.
    """
    first, number = len(history.trials), len(history.rounds)
    trials = []
    for place, item in enumerate(proposals):
        seed = first + place if item.continues is None else history.trial(item.continues).seed
        trials.append(
            Trial(
                first + place,
                number,
                "search",
                item.architecture,
                item.origin,
                item.prediction,
                item.canonical,
                seed=seed,
                fidelity=item.fidelity,
                continues=item.continues,
            )
        )
    events = [round_event(number, "search", trials)]
    for trial in trials:
        value = outcome(letter_of(trial), trial.fidelity)
        ended = Failed("exception", "no") if value is None else Observation(value)
        events.append(outcome_event(trial.number, ended))
    return fold(events, history)


def ask(strategy: Strategy, history: History, count: int) -> Asked:
    """The strategy's answer with seed 0."""
    return strategy.ask(CELLS, history, count, 0)


def brief(proposals: Iterable[Proposal | Trial]) -> list[tuple[int, float, int | None]]:
    """The letter, the rounded fidelity and the continued trial of each proposal."""
    return [(letter_of(item), round(item.fidelity, 3), item.continues) for item in proposals]
