"""What a run will take, measured before it: a few architectures are trained for a part of an epoch,
by the run's own workers. Writes no run.

architectures drawn -> Rehearsal.evaluate, side by side -> seconds of a whole evaluation, memory,
bytes of weights the strategy asked about made-up scores -> seconds of its thinking, and how many
first architectures the baseline takes over
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.config.compose import Parts, devices_of, executor_of, final_count, final_recipe
from nas.config.config import RunConfig, TableSection
from nas.evaluators.evaluator import Failed, Observation
from nas.executors import Job, Outcome
from nas.record.arms import BASELINE, SEARCH
from nas.record.history import EMPTY, History, Proposal, fold, outcome_event, round_event
from nas.search.durations import Pace, Range, pace_of, total
from nas.seeds import derive, generator
from nas.strategies.strategy import novel, random_draws

# How far a whole training may lie off the extrapolated one, and the strategy's thinking off that
# about made-up scores.
EXTRAPOLATED, MADE_UP = 0.15, 0.5


@dataclass(frozen=True)
class Rehearsed:
    """What a run is likely to take. What is not known, because nothing could be trained, is None.

    Attributes:
        search: seconds of wall clock for the evaluations of both arms and the strategy's thinking.
        finalists: the same for the full trainings.
        run: both together.
        evaluation: mean seconds of one evaluation; None for a table, where it is none.
        thinking: seconds that the strategy takes for a batch.
        evaluations, trainings: how many there will be at most; networks that both arms start from
            are counted once.
        workers: how many of them side by side.
        weights: bytes of trained weights on the disk.
        memory: the most bytes that a training took: of the card, or on a CPU of its worker's
            process.
        drawn: how many architectures were tried.
        failures: the reasons of those that could not be built or trained.
        too_long: how many would pass `executor.time_limit`.
    """

    search: Range | None
    finalists: Range | None
    run: Range | None
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


def rehearse(config: RunConfig, parts: Parts, count: int, seed: int = 0) -> Rehearsed:
    """The forecast, from `count` architectures drawn at random; a table's are not tried, as looking
    up takes no time.

    Raises:
        nas.executors.WorkerError: a worker cannot start.
    """
    shared, thinking = _thinking(config, parts)
    table = isinstance(config.evaluator, TableSection)
    outcomes, sizes = ([], []) if table else _train(config, parts, count, seed)
    observed = [outcome for outcome in outcomes if isinstance(outcome, Observation)]
    seconds = [0.0] if table else [outcome.seconds for outcome in observed]
    workers = 1 if config.executor.name == "inline" else len(devices_of(config))
    evaluations = config.budget * len(parts.arms) - (shared if BASELINE in parts.arms else 0)
    trainings = config.finalists.count * len(parts.arms) * final_count(config)
    search = finalists = run = None
    if seconds:
        one = pace_of(seconds, doubt=EXTRAPOLATED)
        longer = 1.0 if table else final_recipe(config).epochs / config.training.epochs
        asks = (-(-config.budget // config.batch), Pace(thinking, 0.0, 1, MADE_UP))
        work = (evaluations, _by_workers(one, config.batch, workers)), asks
        full = (trainings, _by_workers(one, trainings, workers, longer))
        search, finalists, run = total(work), total([full]), total([*work, full])
    kept = trainings + (evaluations if config.keep_weights == "all" else 0)
    memory = [value for outcome in observed for name, value in outcome.metrics if name == "memory"]
    limit = config.executor.time_limit
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
        too_long=0 if limit is None else sum(value > limit for value in seconds),
    )


def _train(
    config: RunConfig, parts: Parts, count: int, seed: int
) -> tuple[list[Outcome], list[int]]:
    """The outcome of each, and the bytes of the weights that were written, for this one moment."""
    drawn = novel(
        parts.space, EMPTY, random_draws(parts.space, EMPTY, derive(seed, "rehearsal")), count
    )
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal-") as folder,
        executor_of(config, "nas.search.rehearsal_evaluator:rehearsal") as executor,
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
    """The pace of evaluations that are begun so many together: the last of them do not fill the
    workers.
    """
    share = longer * -(-together // workers) / together if together else 0.0
    return Pace(one.mean * share, one.deviation * share, one.count, one.doubt)


def _thinking(config: RunConfig, parts: Parts) -> tuple[int, float]:
    """How many architectures the strategy draws at random first, which are the baseline's too; and
    seconds of asking it when half of the budget is used.
    """
    history, shared = EMPTY, 0
    while len(history.trials) < config.budget:
        proposals, seconds = _ask(config, parts, history)
        history = _made_up(config, history, proposals)
        if not proposals or any(proposal.origin != "random" for proposal in proposals):
            break
        shared += len(proposals)
    missing = config.budget // 2 - len(history.trials)
    if missing > 0:
        draws = novel(
            parts.space, history, random_draws(parts.space, history, config.seed), missing
        )
        seconds = _ask(config, parts, _made_up(config, history, draws))[1]
    return shared, seconds


def _ask(config: RunConfig, parts: Parts, history: History) -> tuple[Sequence[Proposal], float]:
    began = time.perf_counter()
    asked = parts.arms[SEARCH].ask(parts.space, history, config.batch, config.seed)
    return asked.proposals, time.perf_counter() - began


def _made_up(config: RunConfig, history: History, proposals: Sequence[Proposal]) -> History:
    """The history after a round in which these had scores at random."""
    random, trials = (
        generator(config.seed, "made up", len(history.trials)),
        history.next_round(SEARCH, proposals, config.seed),
    )
    names = [objective.name for objective in config.objectives]
    ends = [
        outcome_event(
            trial.number,
            Observation(
                random.random(), 1.0, metrics=tuple((name, 1 + random.random()) for name in names)
            ),
        )
        for trial in trials
    ]
    return fold([round_event(len(history.rounds), SEARCH, trials), *ends], history)
