"""The loop of a flow: like a run's, but its rounds may hold searches, and its levels are arms of
one history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from nas.evaluators.evaluator import Evaluator, Failed, Observation
from nas.executors import DISK_FULL, Executor, InlineExecutor, Job
from nas.record.environment import environment
from nas.record.history import (
    EMPTY,
    History,
    Proposal,
    Trial,
    finished_event,
    fold,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.record.journal import FILE, Event, Journal, create, open_for_writing
from nas.record.scorecard import scorecard
from nas.search.run import HOPELESS, RunFailed, check_unchanged
from nas.strategies import Strategy
from nas.strategies.rungs import rungs_of
from spaces import Architecture, SearchSpace

OUTER = "outer"

Evaluate = Callable[[Architecture], Observation | Failed | float]


@dataclass(frozen=True)
class Level:
    """How one level searches: `budget` architectures (of an outer level: first parts), `batch` of
    them between two looks at the results.
    """

    strategy: Strategy
    budget: int
    batch: int = 1

    def __post_init__(self) -> None:
        if self.budget < 1 or self.batch < 1:
            raise ValueError(
                "a level evaluates at least one architecture at a time; got a budget of "
                f"{self.budget} and batches of {self.batch}"
            )
        if len(rungs_of(self.strategy)) > 1:
            raise ValueError(
                f"a level evaluates architectures whole, and {type(self.strategy).__name__} "
                "trains for shares of the epochs: give it the strategy that it is over"
            )


class Loop:
    """A flow in progress: the history, its journal where there is one, and the executor."""

    def __init__(
        self, executor: Executor, journal: Journal | None, history: History, seed: int
    ) -> None:
        self.executor, self.journal, self.history, self.seed = executor, journal, history, seed

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        if self.journal is not None:
            self.journal.close()

    def record(self, *events: Event) -> None:
        """Folds first: an event that does not fit never reaches the journal."""
        history = fold(events, self.history)
        if self.journal is not None:
            self.journal.append(events)
        self.history = history

    def search(
        self,
        arm: str,
        space: SearchSpace,
        level: Level,
        seed: int,
        evaluate: Callable[[Sequence[Trial]], None] | None = None,
    ) -> History:
        """Rounds until the level's budget is used or nothing new is found; gives the arm's history."""
        while True:
            history = self.history.of_arm(arm)
            if history.rounds and history.rounds[-1].ranking is None:
                (evaluate or self.evaluate)(history.pending)
                last = history.rounds[-1]
                self.record(
                    round_end_event(
                        last.number,
                        arm,
                        scorecard([self.history.trial(number) for number in last.trials]),
                    )
                )
                continue
            left = level.budget - len(history.trials)
            if left <= 0 or _is_hopeless(history) or _is_hopeless(self.history):
                return history
            asked = level.strategy.ask(space, history, min(level.batch, left), seed)
            if not asked.proposals:
                return history
            self.propose(arm, asked.proposals, asked.note)

    def propose(self, arm: str, proposals: Sequence[Proposal], note: str = "") -> None:
        """A further round of the arm, which a search of it begins with evaluating."""
        trials = self.history.next_round(arm, proposals, self.seed)
        self.record(round_event(len(self.history.of_arm(arm).rounds), arm, trials, note))

    def finished(self) -> History:
        """The history at the flow's end.

        Raises:
            RunFailed: there is no score.
        """
        if not self.history.observed:
            failed = [trial for trial in self.history.failed if trial.arm != OUTER]
            reasons = [
                f"  trial {trial.number}: {trial.outcome.reason}"
                for trial in failed[:3]
                if isinstance(trial.outcome, Failed)
            ]
            raise RunFailed(
                "\n".join(
                    [f"none of {len(failed)} evaluations succeeded. The first reasons:", *reasons]
                )
            )
        if self.history.finished is None:
            self.record(finished_event("the budgets are used"))
        return self.history

    def evaluate(
        self, trials: Sequence[Trial], seen_as: Callable[[Architecture], Architecture] | None = None
    ) -> None:
        """What another level has evaluated costs nothing; the rest goes to the executor, which sees
        it as the architecture that the function gives.
        """
        known = {
            trial.canonical: trial.outcome for trial in self.history.observed if trial.arm != OUTER
        }
        for trial in trials:
            if trial.canonical in known:
                self.record(outcome_event(trial.number, cast(Observation, known[trial.canonical])))
        jobs = [
            Job(
                trial.number,
                trial.architecture if seen_as is None else seen_as(trial.architecture),
                trial.seed,
            )
            for trial in trials
            if trial.canonical not in known
        ]
        for job, outcome in self.executor.run(jobs):
            assert isinstance(outcome, Observation | Failed)
            if isinstance(outcome, Failed) and outcome.kind == DISK_FULL:
                raise RunFailed(
                    f"the disk is full: trial {job.trial} could not be finished "
                    f"({outcome.reason}); free space and call the flow again"
                )
            self.record(outcome_event(job.trial, outcome))


def begin(
    kind: str,
    space: SearchSpace,
    evaluate: Evaluate | Evaluator | Executor,
    directory: str | Path | None,
    settings: Mapping[str, Any],
    spaces: Mapping[str, SearchSpace] | None = None,
) -> Loop:
    """The loop at its beginning; or where its journal has come to.

    Args:
        spaces: of the arms that search another space.

    Raises:
        ValueError: the journal is of another flow, or of a space that has changed.
    """
    executor = (
        cast(Executor, evaluate)
        if hasattr(evaluate, "run")
        else InlineExecutor(lambda: _evaluator(evaluate))
    )
    if directory is None:
        return Loop(executor, None, EMPTY, settings["seed"])
    stated = {
        "flow": kind,
        "space": space.name,
        "held": dict(space.held),
        **{name: _described(value) for name, value in settings.items()},
    }
    stated = json.loads(json.dumps(stated))
    if not (Path(directory) / FILE).exists():
        return Loop(executor, create(directory, stated, environment()), EMPTY, settings["seed"])
    journal = open_for_writing(directory)
    try:
        if journal.config != stated:
            changed = [
                f"{name} was {journal.config.get(name)!r} and is {value!r}"
                for name, value in stated.items()
                if journal.config.get(name) != value
            ]
            raise ValueError(
                f"{directory} holds another flow: {'; '.join(changed) or 'a run'}. Call it as it "
                "was begun, or name another directory"
            )
        loop = Loop(executor, journal, fold(journal.events()), settings["seed"])
        for trial in loop.history.trials:
            check_unchanged((spaces or {}).get(trial.arm, space), trial)
        if loop.history.finished is None:
            loop.record(resumed_event())
        return loop
    except BaseException:
        journal.close()
        raise


def _is_hopeless(history: History) -> bool:
    return len(history.failed) >= HOPELESS and not history.observed


@dataclass(frozen=True)
class _Function:
    """A function of the architecture as an evaluator."""

    function: Evaluate

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
    ) -> Observation | Failed:
        outcome = self.function(architecture)
        return outcome if isinstance(outcome, Observation | Failed) else Observation(float(outcome))


def _evaluator(given: Any) -> Evaluator:
    return given if hasattr(given, "evaluate") else cast(Evaluator, _Function(given))


def _described(value: Any) -> Any:
    """A setting as JSON, so that a journal can tell whether a call is the one that it is of; a
    strategy by its class and fields.
    """
    if is_dataclass(value):
        return {
            "class": type(value).__qualname__,
            **{field.name: _described(getattr(value, field.name)) for field in fields(value)},
        }
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _described(item) for name, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else type(value).__qualname__
