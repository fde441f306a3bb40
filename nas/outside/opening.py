"""The run behind an environment: made, or opened again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.config.compose import Parts, compose
from nas.config.config import ConfigError, Named, RunConfig, parse_config
from nas.record.arms import OUTSIDE, SEARCH
from nas.record.history import EMPTY, History, fold
from nas.record.journal import FILE, Journal, create, open_for_writing
from nas.search.run import Run, Watch, described
from nas.strategies import Asked
from spaces import SearchSpace


@dataclass(frozen=True)
class Elsewhere:
    """The strategy of an arm whose architectures come from outside: it has none to propose by
    itself.
    """

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        return Asked(())


def open_run(
    config: RunConfig, directory: Path, agent: Mapping[str, Any] | None, watch: Watch
) -> Run:
    """A new run in the directory, or the one that is there.

    Args:
        config: whose strategy does not count: the run's is `outside`, with the agent as its
            setting.
        directory: the run's.
        agent: what the agent is, as JSON.
        watch: called after every event.

    Raises:
        ValueError: the configuration names what is not there, or the run in the directory has
            another configuration or is finished.
        nas.record.journal.JournalError: the directory cannot be used.
    """
    named = config.model_copy(update={"strategy": Named(name=OUTSIDE, **_settings(agent))})
    resolved = named.model_dump(mode="json")
    config = parse_config(resolved, "the configuration")
    parts = _parts(config)
    if not (directory / FILE).is_file():
        journal = create(directory, resolved, described(parts, resolved))
        return Run(config, parts, journal, EMPTY, watch)
    journal = open_for_writing(directory)
    try:
        run = Run(config, parts, journal, _history(journal, resolved), watch)
        run.take_up()
    except BaseException:
        journal.close()
        raise
    return run


def _parts(config: RunConfig) -> Parts:
    """The run's parts, checked as those of any search: a strategy for any objectives stands in for
    the one outside.
    """
    composed = compose(config.model_copy(update={"strategy": Named(name="nsga2")}))
    return replace(composed, arms={**composed.arms, SEARCH: Elsewhere()})


def _settings(agent: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        return {} if agent is None else {"agent": json.loads(json.dumps(agent, allow_nan=False))}
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"what `agent` says is kept as JSON, with finite numbers: {error}; got {agent}"
        ) from error


def _history(journal: Journal, given: Mapping[str, Any]) -> History:
    differing = [
        key for key in {**journal.config, **given} if journal.config.get(key) != given.get(key)
    ]
    if differing:
        said = ", ".join(
            f"{key} is {journal.config.get(key)!r}, not {given.get(key)!r}" for key in differing
        )
        raise ConfigError(
            f"the run in {journal.directory} has another configuration: {said}; go on with its "
            "own, or name another directory"
        )
    history = fold(journal.events())
    if history.finished is not None:
        raise ConfigError(
            f"the run in {journal.directory} is finished ({history.finished}): `nas status` "
            "shows it; name another directory to begin anew"
        )
    return history
