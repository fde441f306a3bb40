"""The one loop with side effects: ask, journal, evaluate, journal, until the budget is used; then train and test the finalists.

Whatever is to be done next follows from the journal alone, so going on after a crash is the same code as starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from nas.compose import SEARCH, Parts, compose, executor_of, final_count
from nas.config import RunConfig, parse_config
from nas.environment import environment
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.executors import DISK_FULL, Executor, Job, Outcome
from nas.history import (
    EMPTY,
    Final,
    Finalist,
    History,
    Trial,
    final_event,
    finalist_event,
    finished_event,
    fold,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.journal import Event, Journal, create, open_for_writing
from nas.pace import search_seconds
from nas.scorecard import scorecard
from nas.seeds import derive
from nas.stopping import budget_of, reason_to_stop
from nas.trust import is_sealed, named_code, seal
from spaces import SearchSpace
from spaces.canonical import canonical_key

# A run stops when so many evaluations have failed and none has succeeded.
HOPELESS = 20

Watch = Callable[[History, tuple[Event, ...]], None]


class RunFailed(Exception):
    """The run cannot go on; the message says why, with the first failures."""


def start(config: RunConfig, directory: Path, watch: Watch) -> History:
    """A new run, to its end.

    Raises:
        ValueError: the configuration names what is not there. Nothing was written.
        nas.journal.JournalError: the directory holds a run already, or cannot be written.
        RunFailed: nothing succeeded, or the disk is full.
    """
    parts = compose(config)
    resolved = config.model_dump(mode="json")
    made = {**environment(), "shapes": asdict(parts.space.shapes), "seal": seal(resolved)}
    with create(directory, resolved, made) as journal:
        return _Run(config, parts, journal, EMPTY, watch).to_its_end()


def resume(directory: Path, watch: Watch, *, trust: bool = False) -> History:
    """An interrupted run, from where it was to its end; a finished one is left as it is.

    Args:
        directory: the run's.
        watch: called after every event.
        trust: lets the code run that the run's configuration names (`my_file.py:space`) though this user did not begin the run here.

    Raises:
        ValueError: the run names code and is somebody else's, or what its configuration names is not there any more.
        nas.journal.JournalError: the directory is no run, or another process is running it.
        RunFailed: nothing succeeded.
    """
    with open_for_writing(directory) as journal:
        for unfinished in directory.glob("weights/*.unfinished"):
            unfinished.unlink(missing_ok=True)
        config = parse_config(journal.config, f"the configuration in {directory}")
        history = fold(journal.events())
        if history.finished is not None:
            return history
        code = named_code(journal.config)
        if code and not trust and not is_sealed(journal.config, journal.environment.get("seal", "")):
            raise ValueError(
                f"the run {directory} was begun by somebody else or on another machine, and going on with it runs the code {', '.join(code)}: "
                "look at that code, then pass --trust"
            )
        parts = compose(config)
        for trial in history.trials:
            check_unchanged(parts.space, trial)
        run = _Run(config, parts, journal, history, watch)
        run.record(resumed_event())
        return run.to_its_end()


def check_unchanged(space: SearchSpace, trial: Trial) -> None:
    """Refuses a space whose program has changed since the trial was proposed: its scores and weights belong to another network.

    Raises:
        ValueError: the trial's decisions do not give the network that the journal recorded.
    """
    advice = f"put the space {space.name!r} back as it was when the run was made, or begin a new run"
    try:
        key = canonical_key(space.graph(trial.architecture))
    except ValueError as error:
        raise ValueError(f"trial {trial.number} cannot be replayed, so the space has changed since: {error}; {advice}") from error
    if key != trial.canonical:
        raise ValueError(f"the space has changed since the run: trial {trial.number} is another network now than the one that was trained; {advice}")


def winner(history: History, arm: str) -> int | None:
    """The trial number of the arm's finalist with the best mean validation score in the full trainings; None where there is none."""
    means = {}
    for finalist in history.finalists:
        if finalist.arm == arm:
            scores = [final.result.validation for final in history.finals if final.trial == finalist.trial and isinstance(final.result, FinalResult)]
            if scores:
                means[finalist.trial] = sum(scores) / len(scores)
    return max(means, key=lambda trial: (means[trial], -trial), default=None)


def weights_file(directory: Path, trial: int, seed_index: int | None = None) -> Path:
    """Where the trained weights of a trial are, or of a finalist's full training."""
    return directory / "weights" / (f"trial-{trial:05d}.safetensors" if seed_index is None else f"final-{trial:05d}-{seed_index}.safetensors")


def final_seed(config: RunConfig, index: int) -> int:
    """The seed of a finalist's full training number `index`; never one that the search has used."""
    return derive(config.seed, "final", index)


class _Run:
    """A run in progress: the journal, the history folded from it, and the means to go on."""

    def __init__(self, config: RunConfig, parts: Parts, journal: Journal, history: History, watch: Watch) -> None:
        self.config, self.parts, self.journal, self.history, self.watch = config, parts, journal, history, watch

    def record(self, *events: Event) -> None:
        """Folds first: an event that does not fit never reaches the journal."""
        history = fold(events, self.history)
        self.journal.append(events)
        self.history = history
        self.watch(history, events)

    def to_its_end(self) -> History:
        with executor_of(self.config) as executor:
            reasons = [self._search(arm, executor) for arm in self.parts.arms]
            self._choose_finalists()
            self._train_finalists(executor)
        self.record(finished_event(reasons[0]))
        return self.history

    def _search(self, arm: str, executor: Executor) -> str:
        """Rounds until the budget is used, a rule ends the search or nothing new is found; says which."""
        while True:
            history = self.history.of_arm(arm)
            if history.rounds and history.rounds[-1].ranking is None:
                self._finish_round(arm, executor)
                continue
            if len(history.failed) >= HOPELESS and not history.observed:
                reason = f"none of {len(history.failed)} evaluations succeeded"
                break
            left = budget_of(arm, self.history, self.config) - len(history.trials)
            if left <= 0:
                reason = "the budget is used"
                break
            stopped = reason_to_stop(history, self.config, lambda: search_seconds(self.journal.events(), SEARCH)) if arm == SEARCH else None
            if stopped is not None:
                reason = stopped
                break
            asked = self.parts.arms[arm].ask(self.parts.space, history, min(self.config.batch, left), self.config.seed)
            if not asked.proposals:
                reason = "no new architecture is left to propose"
                break
            first, number = len(self.history.trials), len(history.rounds)
            trials = [
                Trial(
                    number=first + place,
                    round=number,
                    arm=arm,
                    architecture=proposal.architecture,
                    origin=proposal.origin,
                    prediction=proposal.prediction,
                    canonical=proposal.canonical,
                    seed=derive(self.config.seed, "trial", first + place),
                )
                for place, proposal in enumerate(asked.proposals)
            ]
            self.record(round_event(number, arm, trials, asked.note))
        # The search comes first, so it is the one that ends a run in which nothing succeeds; a baseline without luck costs only itself.
        if not self.history.observed:
            raise RunFailed(_hopeless(history))
        return reason

    def _finish_round(self, arm: str, executor: Executor) -> None:
        """Evaluates what the last round still waits for, and judges what the surrogate had said of it."""
        pending = self.history.of_arm(arm).pending
        known = {trial.canonical: trial.outcome for trial in self.history.observed}
        for trial in pending:
            if trial.canonical in known:
                # The other arm has evaluated the same network: a duplicate costs no training.
                self.record(outcome_event(trial.number, known[trial.canonical]))  # type: ignore[arg-type]
        jobs = [
            Job(trial=trial.number, architecture=trial.architecture, seed=trial.seed, weights=self._weights(trial.number), final=False)
            for trial in pending
            if trial.canonical not in known
        ]
        for job, outcome in executor.run(jobs):
            self._check_disk(job, outcome)
            assert isinstance(outcome, Observation | Failed)
            self.record(outcome_event(job.trial, outcome))
        history = self.history.of_arm(arm)
        last = history.rounds[-1]
        self.record(round_end_event(last.number, arm, scorecard([self.history.trial(number) for number in last.trials])))

    def _choose_finalists(self) -> None:
        if self.history.finalists or not self.config.finalists.count:
            return
        events = []
        for arm in self.parts.arms:
            ranked = sorted(self.history.of_arm(arm).observed, key=lambda trial: (-trial.score, trial.number))
            events += [finalist_event(Finalist(trial.number, rank, arm)) for rank, trial in enumerate(ranked[: self.config.finalists.count], start=1)]
        self.record(*events)

    def _train_finalists(self, executor: Executor) -> None:
        """Every finalist with every reporting seed; twins of the two arms once."""
        jobs, twins = [], []
        first: dict[tuple[str, int], Job] = {}
        done = {(final.trial, final.seed): final for final in self.history.finals}
        for job, canonical in self._final_jobs():
            if (canonical, job.seed) in first:
                twins.append((job, first[canonical, job.seed]))
                continue
            first[canonical, job.seed] = job
            if (job.trial, job.seed) not in done:
                jobs.append(job)
        for job, result in executor.run(jobs):
            self._check_disk(job, result)
            assert isinstance(result, FinalResult | Failed)
            self.record(final_event(Final(job.trial, job.seed, result)))
        done = {(final.trial, final.seed): final for final in self.history.finals}
        for job, original in twins:
            if (job.trial, job.seed) not in done:
                self.record(final_event(Final(job.trial, job.seed, done[original.trial, original.seed].result)))

    def _final_jobs(self) -> Iterator[tuple[Job, str]]:
        for finalist in self.history.finalists:
            trial = self.history.trial(finalist.trial)
            for index in range(final_count(self.config)):
                weights = str(weights_file(self.journal.directory, trial.number, index))
                yield (
                    Job(trial=trial.number, architecture=trial.architecture, seed=final_seed(self.config, index), weights=weights, final=True),
                    trial.canonical,
                )

    def _weights(self, trial: int) -> str | None:
        return str(weights_file(self.journal.directory, trial)) if self.config.keep_weights == "all" else None

    def _check_disk(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and outcome.kind == DISK_FULL:
            directory = self.journal.directory
            raise RunFailed(
                f"the disk is full: trial {job.trial} could not be finished ({outcome.reason}). "
                f"What was finished is kept; free space and `nas resume {directory}`"
            )


def _hopeless(history: History) -> str:
    shown = [f"  trial {trial.number}: {trial.outcome.reason}" for trial in history.failed[:3] if isinstance(trial.outcome, Failed)]
    return "\n".join([f"none of {len(history.failed)} evaluations succeeded. The first reasons:", *shown])
