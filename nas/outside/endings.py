"""What comes of the architectures that an agent proposes: evaluated together where their network is
new, else what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.evaluators.evaluator import Observation
from nas.executors import Executor
from nas.record.arms import OUTSIDE, SEARCH
from nas.record.history import Proposal, Trial
from nas.search.run import Run
from nas.strategies.strategy import key_of
from spaces import Architecture

BUDGET_USED = "the budget is used"


@dataclass(frozen=True)
class Ending:
    """How an episode ended: with a trial, new or known, or for a reason without one.

    Attributes:
        cached: the network was known before and not evaluated again.
        skipped: nothing was decided about the architecture, as the run evaluates no more.
    """

    architecture: Architecture | None = None
    trial: Trial | None = None
    cached: bool = False
    reason: str = ""
    skipped: bool = False

    def info(self) -> dict[str, Any]:
        """What the agent is told of it."""
        outcome = None if self.trial is None else self.trial.outcome
        observed = outcome if isinstance(outcome, Observation) else None
        return {
            "trial": None if self.trial is None else self.trial.number,
            "architecture": None if self.architecture is None else self.architecture.answers,
            "score": None if observed is None else observed.score,
            "metrics": {} if observed is None else dict(observed.metrics),
            "cached": self.cached,
            "reason": None if observed is not None else getattr(outcome, "reason", self.reason),
        }


def left_of(run: Run) -> int:
    """How many architectures the run may still evaluate."""
    return run.config.budget - len(run.history.of_arm(SEARCH).trials)


def evaluate(run: Run, executor: Executor, found: Sequence[Architecture | str]) -> list[Ending]:
    """What comes of each; a text says why there is no architecture. The new networks are one round,
    as far as the budget reaches.
    """
    keys = ["" if isinstance(item, str) else key_of(run.parts.space, item) for item in found]
    known, new = run.history.of_arm(SEARCH).keys, dict[str, Proposal]()
    for item, key in zip(found, keys, strict=True):
        if isinstance(item, Architecture) and key not in known:
            new.setdefault(key, Proposal(item, OUTSIDE, None, key))
    proposals = list(new.values())[: left_of(run)]
    if proposals:
        run.propose(SEARCH, proposals)
        run.finish_round(SEARCH, executor)
    trials = {trial.canonical: trial for trial in run.history.of_arm(SEARCH).trials}
    fresh = {proposal.canonical for proposal in proposals}
    endings = []
    for item, key in zip(found, keys, strict=True):
        if isinstance(item, str):
            endings.append(Ending(reason=item))
        elif key in trials:
            endings.append(Ending(item, trials[key], cached=key not in fresh))
        else:
            endings.append(Ending(item, reason=BUDGET_USED, skipped=True))
        fresh.discard(key)
    return endings
