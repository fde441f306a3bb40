"""The one loop with side effects: ask, journal, evaluate, journal, until the budget is used; then
train and test the finalists.

Whatever is to be done next follows from the journal alone, so going on after a crash is the same
code as starting.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.config.compose import Parts, compose, executor_of, final_count, needed_numbers
from nas.config.config import RunConfig, TableSection, TrainSection, parse_config
from nas.config.shapes import shapes_to_json
from nas.evaluators.evaluator import Donor, Failed, FinalResult, Observation
from nas.executors import DISK_FULL, Executor, Job, Outcome
from nas.objectives.constrained_space import completed
from nas.objectives.constraints import none_feasible, seen_by
from nas.record.arms import SEARCH
from nas.record.environment import environment
from nas.record.history import (
    EMPTY,
    ROUNDING,
    Final,
    History,
    Proposal,
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
from nas.record.journal import Event, Journal, create, open_for_writing
from nas.record.scorecard import scorecard
from nas.record.trust import is_sealed, named_code, seal
from nas.search.donors import donor_of, evaluation
from nas.search.durations import search_seconds
from nas.search.finalists import finalists
from nas.search.stopping import budget_of, reason_to_stop
from nas.seeds import derive
from nas.strategies.rungs import rungs_of
from spaces import SearchSpace
from spaces.canonical import canonical_key

# A run stops when so many evaluations have failed and none has succeeded.
HOPELESS = 20

# The folder of paused trainings in a run; it is gone when the search has ended.
CHECKPOINTS = "checkpoints"

Watch = Callable[[History, tuple[Event, ...]], None]


class RunFailed(Exception):
    """The run cannot go on; the message says why, with the first failures."""


def start(config: RunConfig, directory: Path, watch: Watch) -> History:
    """A new run, to its end.

    Raises:
        ValueError: the configuration names what is not there. Nothing was written.
        nas.record.journal.JournalError: the directory holds a run already, or cannot be written.
        RunFailed: nothing succeeded, or the disk is full.
    """
    parts = compose(config)
    resolved = config.model_dump(mode="json")
    with create(directory, resolved, described(parts, resolved)) as journal:
        return Run(config, parts, journal, EMPTY, watch).to_its_end()


def described(parts: Parts, resolved: dict[str, Any]) -> dict[str, Any]:
    """What a journal says of the beginning of its run: where it was made and for what data, sealed
    by who began it.
    """
    return {
        **environment(),
        "shapes": shapes_to_json(parts.space.shapes),
        "data": parts.data,
        "seal": seal(resolved),
    }


def resume(
    directory: Path, watch: Watch, *, trust: bool = False, changed_data: bool = False
) -> History:
    """An interrupted run, from where it was to its end; a finished one is left as it is.

    Args:
        directory: the run's.
        watch: called after every event.
        trust: lets the code run that the run's configuration names (`my_file.py:space`) though this
            user did not begin the run here.
        changed_data: goes on though the task's data, or the table's, are not those that the run
            began with.

    Raises:
        ValueError: the run names code and is somebody else's, or what its configuration names is
            not there any more or has changed.
        nas.record.journal.JournalError: the directory is no run, or another process is running it.
        RunFailed: nothing succeeded.
    """
    with open_for_writing(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        history = fold(journal.events())
        if history.finished is not None:
            return history
        code = named_code(journal.config)
        if (
            code
            and not trust
            and not is_sealed(journal.config, journal.environment.get("seal", ""))
        ):
            raise ValueError(
                f"the run {directory} was begun by somebody else or on another machine, and "
                f"going on with it runs the code {', '.join(code)}: "
                "look at that code, then pass --trust"
            )
        parts = compose(config)
        run = Run(config, parts, journal, history, watch)
        run.take_up(changed_data=changed_data)
        return run.to_its_end()


def check_unchanged(space: SearchSpace, trial: Trial) -> None:
    """Refuses a space whose program has changed since the trial was proposed: its scores and
    weights belong to another network.

    Raises:
        ValueError: the trial's decisions do not give the network that the journal recorded.
    """
    advice = (
        f"put the space {space.name!r} back as it was when the run was made, or begin a new run"
    )
    try:
        key = canonical_key(space.graph(trial.architecture))
    except ValueError as error:
        raise ValueError(
            f"trial {trial.number} cannot be replayed, so the space has changed since: {error}; "
            f"{advice}"
        ) from error
    if key != trial.canonical:
        raise ValueError(
            f"the space has changed since the run: trial {trial.number} is another network now "
            f"than the one that was trained; {advice}"
        )


def winner(history: History, arm: str) -> int | None:
    """The trial number of the arm's finalist with the best mean validation score in the full
    trainings; None where there is none.
    """
    means = {}
    for finalist in history.finalists:
        if finalist.arm == arm:
            scores = [
                final.result.validation
                for final in history.finals
                if final.trial == finalist.trial and isinstance(final.result, FinalResult)
            ]
            if scores:
                means[finalist.trial] = sum(scores) / len(scores)
    return max(means, key=lambda trial: (means[trial], -trial), default=None)


def weights_file(directory: Path, trial: int, seed_index: int | None = None) -> Path:
    """Where the trained weights of a trial are, or of a finalist's full training."""
    return (
        directory
        / "weights"
        / (
            f"trial-{trial:05d}.safetensors"
            if seed_index is None
            else f"final-{trial:05d}-{seed_index}.safetensors"
        )
    )


def checkpoint_file(directory: Path, trial: int) -> Path:
    """Where a training pauses that began in this trial; its promotions go on from there, and pause
    there again.
    """
    return directory / CHECKPOINTS / f"trial-{trial:05d}.safetensors"


def final_seed(config: RunConfig, index: int) -> int:
    """The seed of a finalist's full training number `index`; never one that the search has used."""
    return derive(config.seed, "final", index)


class Run:
    """A run in progress: the journal, the history folded from it, and the means to go on. `start`,
    `resume` and `nas.outside` make it.
    """

    def __init__(
        self, config: RunConfig, parts: Parts, journal: Journal, history: History, watch: Watch
    ) -> None:
        self.config, self.parts, self.journal, self.history, self.watch = (
            config,
            parts,
            journal,
            history,
            watch,
        )

    def record(self, *events: Event) -> None:
        """Folds first: an event that does not fit never reaches the journal."""
        history = fold(events, self.history)
        self.journal.append(events)
        self.history = history
        self.watch(history, events)

    def take_up(self, *, changed_data: bool = False) -> None:
        """Begins to go on with a run that was interrupted.

        Raises:
            ValueError: the space has changed since; or the data, unless `changed_data`.
        """
        # A run of an earlier version does not say what its data were.
        if (
            not changed_data
            and self.journal.environment.get("data", self.parts.data) != self.parts.data
        ):
            table = (
                self.config.evaluator.path
                if isinstance(self.config.evaluator, TableSection)
                else None
            )
            what = (
                f"the task {self.config.task.name!r}"
                if table is None and self.config.task is not None
                else f"the table {table}"
            )
            raise ValueError(
                f"the data of {what} are not those that the run {self.journal.directory} began "
                "with, so scores from before and from now on would be of two "
                "kinds: put the data back as they were, or begin a new run (`nas resume "
                "--changed-data` goes on all the same)"
            )
        for folder in ("weights", CHECKPOINTS):
            for unfinished in self.journal.directory.glob(f"{folder}/*.unfinished"):
                unfinished.unlink(missing_ok=True)
        for trial in self.history.trials:
            check_unchanged(self.parts.space, trial)
        self.record(resumed_event())

    def to_its_end(self, reason: str | None = None) -> History:
        """What is left to do, then the event that ends the run, with this reason or the one for
        which the first arm ended.
        """
        with executor_of(self.config) as executor:
            reasons = [self._search(arm, executor) for arm in self.parts.arms]
            shutil.rmtree(self.journal.directory / CHECKPOINTS, ignore_errors=True)
            self._choose_finalists()
            self._train_finalists(executor)
        self.record(finished_event(reason or reasons[0]))
        return self.history

    def propose(self, arm: str, proposals: Sequence[Proposal], note: str = "") -> None:
        """A new round of the arm, journalled; `finish_round` evaluates it."""
        transfer = (
            self.config.evaluator.transfer
            if isinstance(self.config.evaluator, TrainSection)
            else None
        )
        donors = (
            []
            if transfer is None
            else [
                donor_of(self.parts.space, self.history, arm, proposal, transfer)
                for proposal in proposals
            ]
        )
        trials = self.history.next_round(arm, proposals, self.config.seed, donors)
        self.record(round_event(len(self.history.of_arm(arm).rounds), arm, trials, note))

    def _search(self, arm: str, executor: Executor) -> str:
        """Rounds until the budget is used, a rule ends the search or nothing new is found; says
        which.
        """
        while True:
            history = self.history.of_arm(arm)
            if history.rounds and history.rounds[-1].ranking is None:
                self.finish_round(arm, executor)
                continue
            if len(history.failed) >= HOPELESS and not history.observed:
                reason = f"none of {len(history.failed)} evaluations succeeded"
                break
            strategy, budget = self.parts.arms[arm], budget_of(arm, self.history, self.config)
            count = min(
                self.config.batch, int((budget - history.spent + ROUNDING) / rungs_of(strategy)[0])
            )
            if count < 1:
                reason = "the budget is used"
                break
            stopped = (
                reason_to_stop(
                    history, self.config, lambda: search_seconds(self.journal.events(), SEARCH)
                )
                if arm == SEARCH
                else None
            )
            if stopped is not None:
                reason = stopped
                break
            asked = strategy.ask(
                self.parts.space,
                seen_by(strategy, history, self.config.constraints),
                count,
                self.config.seed,
            )
            if not asked.proposals:
                reason = "no new architecture is left to propose"
                break
            proposals = history.affordable(asked.proposals, budget)
            if not proposals:
                reason = "the budget is used"
                break
            self.propose(arm, proposals, asked.note)
        # The search comes first, so it is the one that ends a run in which nothing succeeds; a
        # baseline without luck costs only itself.
        if not self.history.observed:
            raise RunFailed(_hopeless(history))
        unkept = none_feasible(history, self.config.constraints)
        return reason if unkept is None else f"{reason}; {unkept}"

    def finish_round(self, arm: str, executor: Executor) -> None:
        """Evaluates what the last round still waits for, and judges what the surrogate had said of
        it.
        """
        pending = self.history.of_arm(arm).pending
        made = {evaluation(self.history, trial): trial.outcome for trial in self.history.observed}
        known = {trial.number: made.get(evaluation(self.history, trial)) for trial in pending}
        for number, outcome in known.items():
            if outcome is not None:
                # The other arm has evaluated the same network: a duplicate costs no training.
                self.record(outcome_event(number, outcome))
        jobs = [self._job(trial) for trial in pending if known[trial.number] is None]
        for job, outcome in executor.run(jobs):
            self._check_disk(job, outcome)
            assert isinstance(outcome, Observation | Failed)
            self.record(
                outcome_event(
                    job.trial,
                    completed(
                        self.parts.space, job.architecture, outcome, needed_numbers(self.config)
                    ),
                )
            )
            if job.checkpoint is not None and (job.fidelity == 1.0 or isinstance(outcome, Failed)):
                # Nothing goes on from there any more. Where the process ends before this, the end
                # of the search removes it.
                Path(job.checkpoint).unlink(missing_ok=True)
        history = self.history.of_arm(arm)
        last = history.rounds[-1]
        self.record(
            round_end_event(
                last.number, arm, scorecard([self.history.trial(number) for number in last.trials])
            )
        )

    def _choose_finalists(self) -> None:
        if self.history.finalists or not self.config.finalists.count:
            return
        self.record(
            *(
                finalist_event(each)
                for arm in self.parts.arms
                for each in finalists(self.history, self.config, arm)
            )
        )

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
                self.record(
                    final_event(
                        Final(job.trial, job.seed, done[original.trial, original.seed].result)
                    )
                )

    def _final_jobs(self) -> Iterator[tuple[Job, str]]:
        for finalist in self.history.finalists:
            trial = self.history.trial(finalist.trial)
            for index in range(final_count(self.config)):
                weights = str(weights_file(self.journal.directory, trial.number, index))
                yield (
                    Job(
                        trial=trial.number,
                        architecture=trial.architecture,
                        seed=final_seed(self.config, index),
                        weights=weights,
                        final=True,
                    ),
                    trial.canonical,
                )

    def _job(self, trial: Trial) -> Job:
        """The evaluation of a trial; a training in parts is paused in the file of the trial that it
        began with.
        """
        began = self.history.beginning(trial)
        in_parts = trial.fidelity < 1 or trial.continues is not None
        checkpoint = (
            str(checkpoint_file(self.journal.directory, began.number)) if in_parts else None
        )
        weights = self._weights(trial.number)
        # A promotion whose checkpoint is lost begins where the first training began.
        donor = None if began.donor is None else self._donor(began.donor, trial.number)
        return Job(
            trial.number,
            trial.architecture,
            trial.seed,
            weights,
            fidelity=trial.fidelity,
            checkpoint=checkpoint,
            donor=donor,
        )

    def _donor(self, number: int, trial: int) -> Donor:
        """Raises `RunFailed` where its weights are gone: what a trial's score comes from stands in
        the journal, and must be what happens.
        """
        path = weights_file(self.journal.directory, number)
        if not path.is_file():
            raise RunFailed(
                f"trial {trial} begins with the weights of trial {number}, and {path} is gone: "
                "put it back and resume, or begin a new run"
            )
        return Donor(self.history.trial(number).architecture, path)

    def _weights(self, trial: int) -> str | None:
        return (
            str(weights_file(self.journal.directory, trial))
            if self.config.keep_weights == "all"
            else None
        )

    def _check_disk(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and outcome.kind == DISK_FULL:
            directory = self.journal.directory
            raise RunFailed(
                f"the disk is full: trial {job.trial} could not be finished ({outcome.reason}). "
                f"What was finished is kept; free space and `nas resume {directory}`"
            )


def _hopeless(history: History) -> str:
    shown = [
        f"  trial {trial.number}: {trial.outcome.reason}"
        for trial in history.failed[:3]
        if isinstance(trial.outcome, Failed)
    ]
    return "\n".join(
        [f"none of {len(history.failed)} evaluations succeeded. The first reasons:", *shown]
    )
