"""The time and memory that a run will need, estimated from a few short trainings.

    architectures drawn at random -> Rehearsal.evaluate by the run's own workers
        -> seconds of a whole evaluation, memory, bytes of weights
    the strategy asked with made-up scores
        -> seconds of its thinking, and how many first architectures the baseline shares

Writes no run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.config.arms import BASELINE, SEARCH
from nas.config.compose import Parts
from nas.config.plan import Plan
from nas.evaluators.evaluator import Failed, Observation
from nas.executors import Job, Outcome
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.trials import Proposal
from nas.search.durations import Interval, Pace, pace_of, total
from nas.seeds import derive, generator
from nas.strategies.strategy import novel, random_draws

# Relative uncertainty of a training's time that was extrapolated, and of the strategy's thinking
# time that was measured with made-up scores.
EXTRAPOLATED, MADE_UP = 0.15, 0.5
# What makes the evaluator of a rehearsal, as `module:function`.
REHEARSAL = "nas.search.rehearsal_evaluator:rehearsal"


@dataclass(frozen=True)
class Rehearsed:
    """What a run is likely to need. Times are None if no architecture could be trained.

    Attributes:
        search: seconds of wall clock for the evaluations of both arms and the strategy's thinking.
        finalists: the same for the full trainings.
        run: both together.
        evaluation: mean seconds of one evaluation; None for a table, whose look-ups take no time.
        thinking: seconds that the strategy takes for a batch.
        evaluations, trainings: how many there will be at most; networks that both arms start from
            are counted once.
        workers: how many of them side by side.
        weights: bytes of trained weights on the disk.
        memory: the most bytes that a training took: of the GPU, or on a CPU of its worker's
            process.
        drawn: how many architectures were tried.
        failures: the reasons of those that could not be built or trained.
        too_long: how many would exceed `executor.time_limit`.
    """

    search: Interval | None
    finalists: Interval | None
    run: Interval | None
    evaluation: float | None
    thinking: float
    evaluations: int
    trainings: int
    workers: int
    weights: int | None
    memory: int | None
    drawn: int
    failures: tuple[str, ...]
    too_long: int


def rehearse(parts: Parts, count: int, seed: int = 0) -> Rehearsed:
    """What the run is likely to need.

    Args:
        parts: of the run.
        count: how many random architectures are trained for a few batches. With a table none is,
            since a look-up takes no time.
        seed: of these architectures and trainings.

    Raises:
        nas.executors.WorkerError: a worker cannot start.
    """
    plan, table = parts.plan, not parts.plan.trains
    shared, thinking = _thinking(parts)
    outcomes, sizes = ([], []) if table else _train(parts, count, seed)
    observed = [outcome for outcome in outcomes if isinstance(outcome, Observation)]
    seconds = [0.0] if table else [outcome.seconds for outcome in observed]
    workers = parts.workers.count
    evaluations = plan.budget * len(parts.arms) - (shared if BASELINE in parts.arms else 0)
    trainings = plan.finalists * len(parts.arms) * plan.trainings
    search = finalists = run = None
    if seconds:
        one = pace_of(seconds, uncertainty=EXTRAPOLATED)
        asks = (-(-plan.budget // plan.batch), Pace(thinking, 0.0, 1, MADE_UP))
        work = (evaluations, _by_workers(one, plan.batch, workers)), asks
        full = (trainings, _by_workers(one, trainings, workers, plan.longer))
        search, finalists, run = total(work), total([full]), total([*work, full])
    kept = trainings + (evaluations if plan.keeps_weights else 0)
    memory = [value for outcome in observed for name, value in outcome.metrics if name == "memory"]
    limits = parts.workers.time_limits
    return Rehearsed(
        search=search,
        finalists=finalists,
        run=run,
        evaluation=None if table or not seconds else sum(seconds) / len(seconds),
        thinking=thinking,
        evaluations=evaluations,
        trainings=trainings,
        workers=workers,
        weights=0 if table else round(kept * sum(sizes) / len(sizes)) if sizes else None,
        memory=round(max(memory)) if memory else None,
        drawn=len(outcomes),
        failures=tuple(outcome.reason for outcome in outcomes if isinstance(outcome, Failed)),
        too_long=0 if limits is None else sum(value > limits[0] for value in seconds),
    )


def _train(parts: Parts, count: int, seed: int) -> tuple[list[Outcome], list[int]]:
    """The outcomes, and the sizes in bytes of the weights, which are written to be measured."""
    drawn = novel(
        parts.space, EMPTY, random_draws(parts.space, EMPTY, derive(seed, "rehearsal")), count
    )
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal-") as folder,
        parts.workers.executor(REHEARSAL) as executor,
    ):
        jobs = [
            Job(
                trial=number,
                architecture=proposal.architecture,
                seed=derive(seed, "trial", number),
                weights=str(Path(folder, str(number))),
            )
            for number, proposal in enumerate(drawn)
        ]
        outcomes = {job.trial: outcome for job, outcome in executor.run(jobs)}
        sizes = [file.stat().st_size for file in Path(folder).iterdir()]
    return [outcomes[number] for number in sorted(outcomes)], sizes


def _by_workers(one: Pace, together: int, workers: int, longer: float = 1.0) -> Pace:
    """The pace of evaluations in batches of `together`: the last of a batch leave workers idle."""
    share = longer * -(-together // workers) / together if together else 0.0
    return Pace(one.mean * share, one.deviation * share, one.count, one.uncertainty)


def _thinking(parts: Parts) -> tuple[int, float]:
    """How many architectures the search and the baseline share, and the strategy's thinking time.

    They share those that the strategy draws at random at first. The time, in seconds, is that of
    one call when half of the budget is used.
    """
    plan, history, shared = parts.plan, EMPTY, 0
    while len(history.trials) < plan.budget:
        proposals, seconds = _ask(parts, history)
        history = _made_up(plan, history, proposals)
        if not proposals or any(proposal.origin != "random" for proposal in proposals):
            break
        shared += len(proposals)
    missing = plan.budget // 2 - len(history.trials)
    if missing > 0:
        draws = novel(parts.space, history, random_draws(parts.space, history, plan.seed), missing)
        seconds = _ask(parts, _made_up(plan, history, draws))[1]
    return shared, seconds


def _ask(parts: Parts, history: History) -> tuple[Sequence[Proposal], float]:
    plan, began = parts.plan, time.perf_counter()
    asked = parts.arms[SEARCH].ask(parts.space, history, plan.batch, plan.seed)
    return asked.proposals, time.perf_counter() - began


def _made_up(plan: Plan, history: History, proposals: Sequence[Proposal]) -> History:
    """The history after a round in which these proposals got random scores."""
    random = generator(plan.seed, "made up", len(history.trials))
    trials = history.next_round(SEARCH, proposals, plan.seed)
    names = [objective.name for objective in plan.objectives]
    ends = []
    for trial in trials:
        score = random.random()
        metrics = tuple((name, 1 + random.random()) for name in names)
        ends.append(outcome_event(trial.number, Observation(score, 1.0, metrics=metrics)))
    return fold([round_event(len(history.rounds), SEARCH, trials), *ends], history)
