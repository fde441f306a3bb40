"""What a run knows: everything that happened, and views of it. Strategies compute from it alone.

Trials stand in the order of their numbers, whatever the order in which their results came. So
what is computed from a history does not depend on which worker was faster.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from nas.evaluators.evaluator import Failed, Observation
from nas.record.trials import Final, Finalist, Proposal, Round, Trial
from nas.seeds import derive


@dataclass(frozen=True)
class History:
    """Everything that happened.

    Attributes:
        trials: in the order of their numbers.
        rounds: of all arms, in the order in which they began.
        finalists: of all arms.
        finals: the finalists' full trainings, in the order in which they ended.
        finished: why the run ended; None while it goes on.
    """

    trials: tuple[Trial, ...] = ()
    rounds: tuple[Round, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    finals: tuple[Final, ...] = ()
    finished: str | None = None

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            ValueError: there is none.
        """
        return self.trials[place_of(self.trials, number)]

    def beginning(self, trial: Trial) -> Trial:
        """The trial that the training began with: the trial itself, unless it is a promotion."""
        while trial.continues is not None:
            trial = self.trial(trial.continues)
        return trial

    @cached_property
    def observed(self) -> tuple[Trial, ...]:
        """The trials that have a score."""
        return tuple(trial for trial in self.trials if isinstance(trial.outcome, Observation))

    @cached_property
    def failed(self) -> tuple[Trial, ...]:
        """The trials whose evaluation failed."""
        return tuple(trial for trial in self.trials if isinstance(trial.outcome, Failed))

    @cached_property
    def pending(self) -> tuple[Trial, ...]:
        """The trials that were proposed and have no result yet."""
        return tuple(trial for trial in self.trials if trial.outcome is None)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The canonical keys of all that was proposed."""
        return frozenset(trial.canonical for trial in self.trials)

    @cached_property
    def latest(self) -> tuple[Trial, ...]:
        """One trial for each training: its latest promotion that has ended.

        A pending promotion does not count yet.
        """
        ended = {trial.continues for trial in self.trials if trial.outcome is not None}
        return tuple(
            trial
            for trial in self.trials
            if trial.number not in ended
            and not (trial.outcome is None and trial.continues is not None)
        )

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """The observed trials of `latest`, the best first.

        They are sorted by fidelity, then score, then number: a score after few epochs cannot be
        compared with one after all.
        """
        observed = (trial for trial in self.latest if trial.is_observed)
        return tuple(
            sorted(observed, key=lambda trial: (-trial.fidelity, -trial.score, trial.number))
        )

    @cached_property
    def fullest(self) -> tuple[Trial, ...]:
        """The observed trials of the highest fidelity among them: scores that can be compared."""
        highest = max((trial.fidelity for trial in self.observed), default=1.0)
        return tuple(trial for trial in self.observed if trial.fidelity == highest)

    @cached_property
    def best(self) -> Trial | None:
        """The first of `ranked`; None while nothing is observed."""
        return max(
            (trial for trial in self.latest if trial.is_observed),
            key=lambda trial: (trial.fidelity, trial.score),
            default=None,
        )

    def best_so_far(self) -> tuple[float, ...]:
        """The highest score after each observed trial of the highest fidelity."""
        return tuple(accumulate((trial.score for trial in self.fullest), max))

    def cost(self, item: Proposal | Trial) -> float:
        """The share of a full evaluation that it uses of the budget.

        For a promotion this is its fidelity less that of the trial that it continues.
        """
        done = 0.0 if item.continues is None else self.trial(item.continues).fidelity
        return item.fidelity - done

    @cached_property
    def spent(self) -> float:
        """The budget that all trials use, in full evaluations, failed and pending ones included."""
        return math.fsum(self.cost(trial) for trial in self.trials)

    @cached_property
    def used(self) -> float:
        """As `spent`, without the pending trials."""
        return math.fsum(self.cost(trial) for trial in self.trials if trial.outcome is not None)

    def affordable(self, proposals: Iterable[Proposal], budget: float) -> tuple[Proposal, ...]:
        """The proposals in their order, without those that the rest of the budget cannot pay."""
        left, kept = budget - self.spent + ROUNDING, list[Proposal]()
        for proposal in proposals:
            cost = self.cost(proposal)
            if cost <= left:
                left -= cost
                kept.append(proposal)
        return tuple(kept)

    def of_arm(self, arm: str) -> History:
        """The history of one arm alone; its trials keep their numbers."""
        trials = tuple(trial for trial in self.trials if trial.arm == arm)
        numbers = {trial.number for trial in trials}
        return History(
            trials=trials,
            rounds=tuple(item for item in self.rounds if item.arm == arm),
            finalists=tuple(item for item in self.finalists if item.arm == arm),
            finals=tuple(item for item in self.finals if item.trial in numbers),
            finished=self.finished,
        )

    def next_round(
        self, arm: str, proposals: Sequence[Proposal], seed: int, donors: Sequence[int | None] = ()
    ) -> tuple[Trial, ...]:
        """The trials of the arm's next round.

        Args:
            arm: its name.
            proposals: what the strategy proposed, in order.
            seed: the run's. Each trial gets a seed of its own, derived from it; a promotion keeps
                the seed of the trial that it continues.
            donors: for each proposal the number of the trial whose weights it begins with, or None;
                empty if there are no donors at all.
        """
        first, number = len(self.trials), len(self.of_arm(arm).rounds)
        return tuple(
            Trial(
                number=first + place,
                round=number,
                arm=arm,
                architecture=proposal.architecture,
                origin=proposal.origin,
                prediction=proposal.prediction,
                canonical=proposal.canonical,
                seed=derive(seed, "trial", first + place)
                if proposal.continues is None
                else self.trial(proposal.continues).seed,
                fidelity=proposal.fidelity,
                continues=proposal.continues,
                donor=donors[place] if donors else None,
            )
            for place, proposal in enumerate(proposals)
        )


EMPTY = History()
# Tolerance for sums of shares of the budget: a third is not exact in floating point.
ROUNDING = 1e-9


def place_of(trials: Sequence[Trial], number: int) -> int:
    """The index of the trial of that number among trials in order.

    Raises:
        ValueError: there is none.
    """
    place = bisect_left(trials, number, key=lambda trial: trial.number)
    if place == len(trials) or trials[place].number != number:
        raise ValueError(f"there is no trial {number}; {len(trials)} trials were proposed")
    return place
