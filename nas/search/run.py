"""Starts the run of a configuration, or resumes one, and leads it to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.config.arms import SEARCH
from nas.config.compose import Parts, compose
from nas.config.loading import parse_config
from nas.config.plug_ins import named_code
from nas.config.sections import RunConfig
from nas.config.stored_run import RECORDING
from nas.config.warm_start import begun_from, enlarged_prior, keep, kept, learnt
from nas.evaluators.recorded import RecordedTrainings
from nas.record.environment import environment
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import create, open_for_writing
from nas.record.shapes import shapes_to_json
from nas.record.trust import is_sealed, refuse_foreign_code, seal
from nas.search import recording
from nas.search.loop import Run, Watch
from predictors.prior.stored import digest


def start(config: RunConfig, directory: Path, watch: Watch) -> History:
    """Starts a run and leads it to its end; returns its history.

    Args:
        config: the run's.
        directory: the run's; made if it does not exist.
        watch: called after every event, with the history and the new events.

    Raises:
        ValueError: the configuration names something that does not exist. Nothing was written.
        nas.record.journal.JournalError: the directory holds a run already, or cannot be written.
        nas.search.loop.RunFailed: no evaluation succeeded, or the disk is full.
    """
    parts = compose(config)
    prior = enlarged_prior(config, parts.space)
    if prior is not None:
        parts = replace(parts, prior=digest(prior))
    resolved = config.model_dump(mode="json")
    with create(directory, resolved, described(parts, resolved)) as journal:
        if prior is not None:
            parts = begun_from(keep(prior, directory, config), parts, config)
            watch(EMPTY, (learnt(prior, config),))
        return Run(parts, journal, EMPTY, watch).to_its_end()


def record(
    config: RunConfig, directory: Path, watch: Watch, *, count: int | None, seeds: int
) -> RecordedTrainings:
    """Trains many architectures with several seeds, and writes a table (`nas.search.recording`).

    Args:
        config, count, seeds: see `nas.search.recording.recording_of`.
        directory: the recording's; made if it does not exist.
        watch: called after every event, with the history and the new events.

    Raises:
        ValueError: the configuration trains nothing, or the space is too large to be trained whole.
            Nothing was written.
        nas.record.journal.JournalError: the directory holds a run already, or cannot be written.
        nas.search.loop.RunFailed: the disk is full.
    """
    config = recording.recording_of(config, count, seeds)
    parts = compose(config)
    proposals = recording.chosen(parts.space, count, config.seed)
    resolved = config.model_dump(mode="json")
    kept = {**described(parts, resolved), RECORDING: True}
    with create(directory, resolved, kept) as journal:
        run = Run(parts, journal, EMPTY, watch)
        run.propose(SEARCH, proposals)
        return recording.to_its_end(run, config)


def resume(
    directory: Path, watch: Watch, *, trust: bool = False, changed_data: bool = False
) -> History:
    """Resumes an interrupted run and leads it to its end; a finished one is left as it is.

    Args:
        directory: the run's.
        watch: called after every event, with the history and the new events.
        trust: run the code that the run's configuration names (`my_file.py:space`) although
            another user began the run, or this user on another machine.
        changed_data: resume although the data of the task or of the table have changed since the
            run began.

    Raises:
        ValueError: the run names code and was begun by somebody else, or what its configuration
            names has changed or is no longer there, such as the prior of its predictor.
        nas.record.journal.JournalError: the directory is no run, or another process is running it.
        nas.search.loop.RunFailed: no evaluation succeeded, or the disk is full.
    """
    with open_for_writing(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        history = fold(journal.events())
        if history.finished is not None:
            return history
        seal_of_run = journal.environment.get("seal", "")
        refuse_foreign_code(
            named_code(journal.config),
            own=trust or is_sealed(journal.config, seal_of_run),
            claim=f"the run {directory} was begun by somebody else or on another machine. It names",
            kind="run",
            remedy="look at that code, then pass --trust",
        )
        parts = compose(config)
        if config.warm_start is not None:
            parts = begun_from(kept(journal, config, parts.space, history), parts, config)
        run = Run(parts, journal, history, watch)
        run.take_up(changed_data=changed_data)
        if RECORDING in journal.environment:
            recording.to_its_end(run, config)
            return run.history
        return run.to_its_end()


def described(parts: Parts, resolved: dict[str, Any]) -> dict[str, Any]:
    """What a journal records when a run begins: versions, machine, shapes, data, prior, seal.

    Args:
        parts: of the run.
        resolved: its whole configuration as JSON values; the seal is computed from it.
    """
    return {
        **environment(),
        "shapes": shapes_to_json(parts.space.shapes),
        "data": parts.data,
        **({"prior": parts.prior} if parts.prior else {}),
        "seal": seal(resolved),
    }
