"""The results of an agent's architectures: new networks are evaluated, others are looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.config.arms import OUTSIDE, SEARCH
from nas.evaluators.evaluator import Observation
from nas.executors import Executor
from nas.record.trials import Proposal, Trial
from nas.search.loop import Run
from nas.strategies.strategy import key_of
from spaces import Architecture

BUDGET_USED = "the budget is used"


@dataclass(frozen=True)
class Ending:
    """The end of an episode: a trial, or the reason why there is none.

    Attributes:
        architecture: the architecture, if the options lead to one.
        trial: its trial, new or known.
        cached: whether the network was known before, so that it was not evaluated again.
        reason: why there is no trial.
        skipped: whether the architecture has no result because the run evaluates no more.
    """

    architecture: Architecture | None = None
    trial: Trial | None = None
    cached: bool = False
    reason: str = ""
    skipped: bool = False

    def info(self) -> dict[str, Any]:
        """The entries of the step's `info`."""
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
    return run.plan.budget - len(run.history.of_arm(SEARCH).trials)


def evaluate(run: Run, executor: Executor, found: Sequence[Architecture | str]) -> list[Ending]:
    """The ending of each episode; the new networks are evaluated in one round.

    Networks beyond the run's budget are skipped.

    Args:
        run, executor: what evaluates them.
        found: an architecture for each episode, or a text that says why there is none.
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
