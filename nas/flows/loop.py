"""The loop of a flow: unlike that of a run (nas/search/loop.py), its rounds may contain searches.

The levels of a flow are arms of one history.
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
from nas.record.events import (
    finished_event,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import Event, Journal, create, open_for_writing
from nas.record.journal_file import FILE
from nas.record.scorecard import scorecard
from nas.record.trials import Proposal, Trial
from nas.record.unchanged import check_unchanged
from nas.search.loop import HOPELESS, RunFailed
from nas.strategies import Strategy
from nas.strategies.rungs import rungs_of
from spaces import Architecture, SearchSpace

OUTER = "outer"

Evaluate = Callable[[Architecture], Observation | Failed | float]


@dataclass(frozen=True)
class Level:
    """How one level of a flow searches.

    Attributes:
        strategy: what proposes the architectures.
        budget: the number of architectures; in an outer level the number of first parts.
        batch: the number of architectures in a round.
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
                "a level trains for all epochs, and "
                f"{type(self.strategy).__name__} trains for a share of them: give the level the "
                "strategy that it is over"
            )


class Loop:
    """A flow in progress: its executor, its history, and its journal if it has a directory."""

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
        """Folds the events, then journals them: an event that does not fit is never journalled."""
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
        """The arm's history after rounds until the budget is used or nothing new is proposed.

        Args:
            arm: the level's arm.
            space, level, seed: what is searched, and how.
            evaluate: evaluates the trials of a round; None: the executor does.
        """
        while True:
            history = self.history.of_arm(arm)
            if history.rounds and history.rounds[-1].ranking is None:
                (evaluate or self.evaluate)(history.pending)
                last = history.rounds[-1]
                trials = [self.history.trial(number) for number in last.trials]
                self.record(round_end_event(last.number, arm, scorecard(trials)))
                continue
            left = level.budget - len(history.trials)
            if left <= 0 or _is_hopeless(history) or _is_hopeless(self.history):
                return history
            asked = level.strategy.ask(space, history, min(level.batch, left), seed)
            if not asked.proposals:
                return history
            self.propose(arm, asked.proposals, asked.note)

    def propose(self, arm: str, proposals: Sequence[Proposal], note: str = "") -> None:
        """Records a further round of the arm; the arm's next search evaluates it first."""
        trials = self.history.next_round(arm, proposals, self.seed)
        self.record(round_event(len(self.history.of_arm(arm).rounds), arm, trials, note))

    def finished(self) -> History:
        """The history at the flow's end, which is recorded.

        Raises:
            RunFailed: no evaluation succeeded.
        """
        if not self.history.observed:
            failed = [trial for trial in self.history.failed if trial.arm != OUTER]
            reasons = [
                f"  trial {trial.number}: {trial.outcome.reason}"
                for trial in failed[:3]
                if isinstance(trial.outcome, Failed)
            ]
            title = f"none of {len(failed)} evaluations succeeded. The first reasons:"
            raise RunFailed("\n".join([title, *reasons]))
        if self.history.finished is None:
            self.record(finished_event("the budgets are used"))
        return self.history

    def evaluate(
        self, trials: Sequence[Trial], seen_as: Callable[[Architecture], Architecture] | None = None
    ) -> None:
        """Records an outcome for each trial.

        If any level has evaluated the network with success, its outcome is copied. Otherwise the
        executor evaluates it.

        Args:
            trials: the trials.
            seen_as: gives the architecture that the executor receives; None: the trial's own.
        """
        known = {
            trial.canonical: trial.outcome for trial in self.history.observed if trial.arm != OUTER
        }
        for trial in trials:
            if trial.canonical in known:
                self.record(outcome_event(trial.number, cast(Observation, known[trial.canonical])))
        jobs = list[Job]()
        for trial in trials:
            if trial.canonical not in known:
                own = trial.architecture
                given = own if seen_as is None else seen_as(own)
                jobs.append(Job(trial.number, given, trial.seed))
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
    """The loop of a new flow, or of the one in the directory as far as its journal goes.

    Args:
        kind: the flow's name.
        space: the space of all arms that are not in `spaces`.
        evaluate: a function of the architecture, an evaluator or an executor.
        directory: of the journal; None: nothing is written.
        settings: of the flow, with its `seed`.
        spaces: the spaces of the arms that search another space.

    Raises:
        ValueError: the journal is of another flow, or of a space that has changed.
    """
    if hasattr(evaluate, "run"):
        executor = cast(Executor, evaluate)
    else:
        executor = InlineExecutor(lambda: _evaluator(evaluate))
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
    """An evaluator made of a function of the architecture."""

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
    """A setting as JSON, with which a journal recognises its own flow.

    A dataclass, such as a strategy, is described by its class and fields.
    """
    if is_dataclass(value):
        named = {field.name: _described(getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__qualname__, **named}
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _described(item) for name, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else type(value).__qualname__
