"""The loop of a run: ask, journal, evaluate, journal, until the budget is used.

Then the finalists are trained fully and tested. The next step follows from the journal alone, so
resuming after a crash uses the same code as starting.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nas.config.arms import SEARCH, budget_of
from nas.config.compose import Parts
from nas.evaluators.evaluator import Donor, Failed, FinalResult, Observation
from nas.executors import DISK_FULL, Executor, Job, Outcome
from nas.objectives.constraints import none_feasible, seen_by
from nas.objectives.graph_numbers import completed
from nas.record.events import (
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.record.files import CHECKPOINTS, checkpoint_file, weights_file
from nas.record.folding import fold
from nas.record.history import ROUNDING, History
from nas.record.journal import Event, Journal
from nas.record.scorecard import scorecard
from nas.record.trials import Final, Proposal, Trial
from nas.record.unchanged import check_unchanged
from nas.search.donors import donor_of, evaluation
from nas.search.durations import search_seconds
from nas.search.finalists import final_seed, finalists
from nas.search.stopping import reason_to_stop
from nas.strategies.rungs import rungs_of

# A run stops when so many evaluations have failed and none has succeeded.
HOPELESS = 20

# Called with the history and the latest events. Two events are in no journal: `choosing`, before
# the strategy is asked, which may take a while, and `learnt`, of a run that begins from an older
# one.
Watch = Callable[[History, tuple[Event, ...]], None]


class RunFailed(Exception):
    """The run cannot be continued. The message gives the reason, with the first failures."""


class Run:
    """A run in progress: its parts, the journal, and the history folded from the journal.

    Made by `nas.search.run.start` and `resume`, and by `nas.outside`.
    """

    def __init__(self, parts: Parts, journal: Journal, history: History, watch: Watch) -> None:
        self.parts, self.plan = parts, parts.plan
        self.journal, self.history, self.watch = journal, history, watch

    def record(self, *events: Event) -> None:
        """Folds the events, then journals them: an event that does not fit is never journalled."""
        history = fold(events, self.history)
        self.journal.append(events)
        self.history = history
        self.watch(history, events)

    def take_up(self, *, changed_data: bool = False) -> None:
        """Prepares an interrupted run to be continued: checks it, cleans up, records `resumed`.

        Raises:
            ValueError: the space or the predictor's prior has changed since; or the data, unless
                `changed_data`.
        """
        # The journal of an earlier version may have no fingerprint of the data.
        known = self.journal.environment.get("data", self.parts.data)
        if known != self.parts.data and not changed_data:
            raise ValueError(
                f"the data of {self.parts.source} are not those that the run "
                f"{self.journal.directory} began with, so scores from before and from now on "
                "would be of two kinds: put the data back as they were, or begin a new run "
                "(`nas resume --changed-data` goes on all the same)"
            )
        # Neither the shipped prior nor a run of an earlier version has a digest there.
        prior = self.journal.environment.get("prior", "")
        if prior and prior != self.parts.prior:
            raise ValueError(
                f"the prior of the predictor is not the one that the run {self.journal.directory} "
                "began with, so it would propose other architectures than with that one: put the "
                "files of predictor.prior back as they were, or begin a new run, which can learn "
                "from this one (warm_start)"
            )
        for folder in ("weights", CHECKPOINTS):
            for unfinished in self.journal.directory.glob(f"{folder}/*.unfinished"):
                unfinished.unlink(missing_ok=True)
        for trial in self.history.trials:
            check_unchanged(self.parts.space, trial)
        self.record(resumed_event())

    def to_its_end(self, reason: str | None = None) -> History:
        """Does everything that is left of the run, then records its end.

        Args:
            reason: why the run ends; by default the reason for which the first arm ended.
        """
        with self.parts.workers.executor() as executor:
            reasons = [self._search(arm, executor) for arm in self.parts.arms]
            shutil.rmtree(self.journal.directory / CHECKPOINTS, ignore_errors=True)
            self._choose_finalists()
            self.train_finalists(executor)
        self.record(finished_event(reason or reasons[0]))
        return self.history

    def propose(self, arm: str, proposals: Sequence[Proposal], note: str = "") -> None:
        """Journals a new round of the arm; `finish_round` evaluates it."""
        donors = list[int | None]()
        if self.parts.transfer is not None:
            donors = [
                donor_of(self.parts.space, self.history, arm, proposal, self.parts.transfer)
                for proposal in proposals
            ]
        trials = self.history.next_round(arm, proposals, self.plan.seed, donors)
        self.record(round_event(len(self.history.of_arm(arm).rounds), arm, trials, note))

    def finish_round(self, arm: str, executor: Executor) -> None:
        """Evaluates the pending trials of the last round, and journals how right the surrogate was.

        A network that another arm has evaluated already is not evaluated again.
        """
        pending = self.history.of_arm(arm).pending
        made = {evaluation(self.history, trial): trial.outcome for trial in self.history.observed}
        known = {trial.number: made.get(evaluation(self.history, trial)) for trial in pending}
        for number, outcome in known.items():
            if outcome is not None:
                self.record(outcome_event(number, outcome))
        jobs = [self._job(trial) for trial in pending if known[trial.number] is None]
        for job, outcome in executor.run(jobs):
            self._check_disk(job, outcome)
            assert isinstance(outcome, Observation | Failed)
            outcome = completed(self.parts.space, job.architecture, outcome, self.parts.needed)
            self.record(outcome_event(job.trial, outcome))
            ended = job.fidelity == 1.0 or isinstance(outcome, Failed)
            if job.checkpoint is not None and ended:
                # No training continues from it any more. If the process ends before this line, the
                # end of the search removes it.
                Path(job.checkpoint).unlink(missing_ok=True)
        last = self.history.of_arm(arm).rounds[-1]
        card = scorecard([self.history.trial(number) for number in last.trials])
        self.record(round_end_event(last.number, arm, card))

    def _search(self, arm: str, executor: Executor) -> str:
        """Runs rounds of the arm until it ends, and returns the reason."""
        while (reason := self._round(arm, executor)) is None:
            pass
        # The search comes first, so a run without any success ends here. A baseline without
        # success costs only itself.
        if not self.history.observed:
            raise RunFailed(_hopeless(self.history.of_arm(arm)))
        unkept = none_feasible(self.history.of_arm(arm), self.plan.constraints)
        return reason if unkept is None else f"{reason}; {unkept}"

    def _round(self, arm: str, executor: Executor) -> str | None:
        """Finishes the arm's last round or proposes the next; or returns why the arm has ended."""
        history, plan = self.history.of_arm(arm), self.plan
        if history.rounds and history.rounds[-1].ranking is None:
            self.finish_round(arm, executor)
            return None
        if len(history.failed) >= HOPELESS and not history.observed:
            return f"none of {len(history.failed)} evaluations succeeded"
        strategy = self.parts.arms[arm]
        budget = budget_of(arm, self.history, plan.budget, may_stop=plan.may_stop)
        left = budget - history.spent + ROUNDING
        count = min(plan.batch, int(left / rungs_of(strategy)[0]))
        if count < 1:
            return "the budget is used"
        if arm == SEARCH:
            reason = reason_to_stop(
                history, plan, lambda: search_seconds(self.journal.events(), SEARCH)
            )
            if reason is not None:
                return reason
        seen = seen_by(strategy, history, plan.constraints)
        self.watch(self.history, (Event("choosing", {"arm": arm}),))
        asked = strategy.ask(self.parts.space, seen, count, plan.seed)
        if not asked.proposals:
            return "no new architecture is left to propose"
        proposals = history.affordable(asked.proposals, budget)
        if not proposals:
            return "the budget is used"
        self.propose(arm, proposals, asked.note)
        return None

    def _choose_finalists(self) -> None:
        plan = self.plan
        if self.history.finalists or not plan.finalists:
            return
        chosen = [
            finalists(self.history, arm, plan.finalists, plan.objectives, plan.constraints)
            for arm in self.parts.arms
        ]
        self.record(*(finalist_event(each) for of_arm in chosen for each in of_arm))

    def train_finalists(self, executor: Executor, *, keep_weights: bool = True) -> None:
        """Trains every finalist with every seed; a network that both arms chose, once."""
        jobs, duplicates = [], []
        first: dict[tuple[str, int], Job] = {}
        done = {(final.trial, final.seed): final for final in self.history.finals}
        for job, canonical in self._final_jobs(keep_weights):
            if (canonical, job.seed) in first:
                duplicates.append((job, first[canonical, job.seed]))
                continue
            first[canonical, job.seed] = job
            if (job.trial, job.seed) not in done:
                jobs.append(job)
        for job, result in executor.run(jobs):
            self._check_disk(job, result)
            assert isinstance(result, FinalResult | Failed)
            self.record(final_event(Final(job.trial, job.seed, result)))
        done = {(final.trial, final.seed): final for final in self.history.finals}
        for job, original in duplicates:
            if (job.trial, job.seed) not in done:
                result = done[original.trial, original.seed].result
                self.record(final_event(Final(job.trial, job.seed, result)))

    def _final_jobs(self, keep_weights: bool) -> Iterator[tuple[Job, str]]:
        """Each full training, with the canonical key of its network."""
        for finalist in self.history.finalists:
            trial = self.history.trial(finalist.trial)
            for index in range(self.plan.trainings):
                kept = weights_file(self.journal.directory, trial.number, index)
                weights = str(kept) if keep_weights else None
                seed = final_seed(self.plan.seed, index)
                job = Job(trial.number, trial.architecture, seed, weights, final=True)
                yield job, trial.canonical

    def _job(self, trial: Trial) -> Job:
        """The evaluation of a trial.

        A training in parts is paused in the file of the trial that it began with.
        """
        began = self.history.beginning(trial)
        in_parts = trial.fidelity < 1 or trial.continues is not None
        checkpoint = checkpoint_file(self.journal.directory, began.number) if in_parts else None
        weights = weights_file(self.journal.directory, trial.number)
        return Job(
            trial.number,
            trial.architecture,
            trial.seed,
            weights=str(weights) if self.plan.keeps_weights else None,
            fidelity=trial.fidelity,
            checkpoint=None if checkpoint is None else str(checkpoint),
            # A promotion whose checkpoint is lost begins with the weights of the first training.
            donor=None if began.donor is None else self._donor(began.donor, trial.number),
        )

    def _donor(self, number: int, trial: int) -> Donor:
        """The trial `number` as the donor of `trial`.

        The journal says which weights a score comes from, so a run whose donor has lost its weights
        fails (`RunFailed`) rather than begin with others.
        """
        path = weights_file(self.journal.directory, number)
        if not path.is_file():
            raise RunFailed(
                f"trial {trial} begins with the weights of trial {number}, and {path} is gone: "
                "put it back and resume, or begin a new run"
            )
        return Donor(self.history.trial(number).architecture, path)

    def _check_disk(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and outcome.kind == DISK_FULL:
            raise RunFailed(
                f"the disk is full: trial {job.trial} could not be finished ({outcome.reason}). "
                "What was finished is kept; free space and "
                f"`nas resume {self.journal.directory}`"
            )


def _hopeless(history: History) -> str:
    shown = [
        f"  trial {trial.number}: {trial.outcome.reason}"
        for trial in history.failed[:3]
        if isinstance(trial.outcome, Failed)
    ]
    heading = f"none of {len(history.failed)} evaluations succeeded. The first reasons:"
    return "\n".join([heading, *shown])
