"""A run that begins from an older one, whose scores become one more expert of its prior.

The enlarged prior is kept in the new run's own directory, in a folder with a digest in its name,
and is read from there when the run begins and when it is resumed. So a resumed run proposes the
same, also if the older run has gone on since or is gone.

Shapes: N networks of the older run, W numbers of a network.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy

from nas.config.arms import SEARCH
from nas.config.compose import Parts
from nas.config.sections import ConfigError, RunConfig
from nas.config.stored_run import StoredRun, read_run
from nas.config.strategy import predictor_of, strategy_of
from nas.record.history import History
from nas.record.journal import Event, Journal
from nas.record.journal_file import JournalError, journal_errors
from nas.record.shapes import with_shapes
from nas.record.trials import Trial
from nas.record.trust import refuse_foreign_code
from nas.record.unchanged import check_unchanged
from nas.seeds import derive
from nas.strategies.reading import reader_of
from predictors.prior.experts import Prior
from predictors.prior.growing import enlarged, expert_forest, expert_of
from predictors.prior.stored import digest, load_prior, save_prior
from spaces import SearchSpace
from spaces.canonical import simplify
from spaces.load import load_space

# Fewer scores than this teach nothing that a new run should trust.
LEAST = 10
# Larger scores count as these, so that differences between scores are numbers too.
MOST = 1e300
_FOLDER = "prior-"


def enlarged_prior(config: RunConfig, space: SearchSpace) -> Prior | None:
    """The prior of the run's predictor with an expert that learns from the older run.

    Args:
        config: of the new run.
        space: of the new run.

    Returns:
        None if the configuration names no older run.

    Raises:
        ConfigError: the older run cannot be read, has too few scores, or names code that this user
            did not name; or one of the two spaces only describes architectures.
    """
    if config.warm_start is None:
        return None
    older = Path(config.warm_start).resolve()
    try:
        _check_builds(space, "this run")
        whole_NW, score_N = _learnable(read_run(older), config.space)
    except (ValueError, JournalError) as error:
        raise ConfigError(f"warm_start: {error}") from error
    known = load_prior(predictor_of(config).prior)
    if known is None:
        # The distances between networks are in the units of the shipped prior all the same.
        shipped = load_prior("shipped")
        assert shipped is not None
        known = shipped.only([])
    expert = expert_of(older.name, "score", score_N, cost=False)
    seed = derive(config.seed, "warm start") % 2**32
    forest = expert_forest(whole_NW, score_N, cost=False, seed=seed)
    return enlarged(known, expert, forest, whole_NW)


def learnt(prior: Prior, config: RunConfig) -> Event:
    """What the watch of a run is told of the older one; no journal has this event."""
    return Event("learnt", {"run": config.warm_start, "networks": prior.experts[-1].networks})


def keep(prior: Prior, directory: Path, config: RunConfig) -> Path:
    """Writes the prior into a new run's directory, all of it or nothing; returns its folder."""
    folder = _folder(directory, digest(prior))
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with journal_errors(directory):
        save_prior(prior, unfinished, {"warm_start": config.warm_start})
        unfinished.rename(folder)
    return folder


def kept(journal: Journal, config: RunConfig, space: SearchSpace, history: History) -> Path:
    """The folder of the prior in the directory of a run that is resumed.

    If the run was cut short before the prior was written, it is made and written now.

    Raises:
        ValueError: the prior is gone or has changed, or has to be made again and the older run has
            changed since.
    """
    named = str(journal.environment.get("prior"))
    folder = _folder(journal.directory, named)
    back = "put the folder back as it was, or begin a new run"
    if folder.is_dir():
        try:
            prior = load_prior(str(folder))
        except ValueError as error:
            raise ValueError(
                f"what the run {journal.directory} learnt from the run {config.warm_start} cannot "
                f"be read: {back}: {error}"
            ) from error
        if prior is None or digest(prior) != named:
            raise ValueError(
                f"what is in {folder} is not what the run {journal.directory} learnt from the run "
                f"{config.warm_start} when it began: {back}"
            )
        return folder
    prior = None if history.rounds else enlarged_prior(config, space)
    if prior is None or digest(prior) != named:
        raise ValueError(
            f"the run {journal.directory} began from the run {config.warm_start}, and what it "
            f"learnt there is no longer in {folder}: {back}"
        )
    return keep(prior, journal.directory, config)


def begun_from(folder: Path, parts: Parts, config: RunConfig) -> Parts:
    """The parts of a run, with the prior in this folder as its predictor's."""
    named = folder.name.removeprefix(_FOLDER)
    return replace(parts, prior=named, arms={**parts.arms, SEARCH: strategy_of(config, folder)})


def _folder(directory: Path, named: str) -> Path:
    return directory / f"{_FOLDER}{named}"


def _learnable(run: StoredRun, named: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(N, W) the numbers of the run's networks and (N,) their scores at full fidelity.

    Args:
        run: the older one.
        named: the new run's space, which the user named: code that is his own.

    Raises:
        ValueError: see `enlarged_prior`.
    """
    where = run.config.space
    refuse_foreign_code(
        [where],
        own=run.is_own or where == named,
        claim=f"the run {run.directory} was begun by somebody else or on another machine. Its "
        "space is",
        kind="run",
        remedy="begin from it in a run whose own space is that code, or from another run",
    )
    journal = f"the journal of {run.directory}"
    space = with_shapes(load_space(where), run.environment.get("shapes"), journal)
    _check_builds(space, f"the run {run.directory}")
    # The journal of somebody else may hold any number.
    trials = _comparable([trial for trial in run.history.observed if _is_finite(trial.score)])
    for trial in trials:
        check_unchanged(space, trial)
    graphs = [space.graph(trial.architecture) for trial in trials]
    # What a network scores whose output does not depend on its input says nothing about others.
    connected = [place for place, graph in enumerate(graphs) if simplify(graph).edges]
    whole_NW = reader_of(space).rows([graphs[place] for place in connected])
    assert whole_NW is not None
    score_N = numpy.array([float(trials[place].score) for place in connected])
    score_N = numpy.clip(score_N, -MOST, MOST)
    read_N = numpy.isfinite(whole_NW).all(1)
    if read_N.sum() < LEAST:
        raise ValueError(
            f"the run {run.directory} has {read_N.sum()} different networks that can be read and "
            f"have a finite score after a whole evaluation; at least {LEAST} are needed to learn "
            "from: let it go on, or leave warm_start out"
        )
    return whole_NW[read_N], score_N[read_N]


def _comparable(observed: Sequence[Trial]) -> list[Trial]:
    """The trials of a whole evaluation, one for each architecture."""
    first = {trial.canonical: trial for trial in reversed(observed) if trial.fidelity == 1.0}
    return sorted(first.values(), key=lambda trial: trial.number)


def _is_finite(score: float) -> bool:
    try:
        return math.isfinite(score)
    except OverflowError:
        # A whole number beyond those of a float.
        return False


def _check_builds(space: SearchSpace, whose: str) -> None:
    if not space.builds:
        raise ValueError(
            f"the space {space.name!r} of {whose} only describes architectures, and an expert "
            "learns from networks and judges networks: leave warm_start out"
        )
