"""Opening the run behind an environment: a new one, or the one that the directory holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.config.arms import OUTSIDE, SEARCH
from nas.config.compose import Parts, compose
from nas.config.loading import parse_config
from nas.config.sections import ConfigError, Named, RunConfig
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import Journal, create, open_for_writing
from nas.record.journal_file import FILE
from nas.search.loop import Run, Watch
from nas.search.run import described
from nas.strategies import Asked
from spaces import SearchSpace


@dataclass(frozen=True)
class Elsewhere:
    """The strategy of an arm whose architectures come from outside; it proposes nothing itself."""

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        return Asked(())


def open_run(
    config: RunConfig, directory: Path, agent: Mapping[str, Any] | None, watch: Watch
) -> Run:
    """A new run in the directory, or the one that is there.

    Args:
        config: the configuration. Its strategy is ignored: that of the run is `outside`, with the
            agent as its setting.
        directory: the run's directory.
        agent: the agent's name and hyper-parameters, as JSON.
        watch: called after every event.

    Raises:
        ValueError: the configuration names what does not exist, or the run in the directory has
            another configuration or is finished.
        nas.record.journal.JournalError: the directory cannot be used.
    """
    named = config.model_copy(update={"strategy": Named(name=OUTSIDE, **_settings(agent))})
    resolved = named.model_dump(mode="json")
    config = parse_config(resolved, "the configuration")
    parts = _parts(config)
    if not (directory / FILE).is_file():
        journal = create(directory, resolved, described(parts, resolved))
        return Run(parts, journal, EMPTY, watch)
    journal = open_for_writing(directory)
    try:
        run = Run(parts, journal, _history(journal, resolved), watch)
        run.take_up()
    except BaseException:
        journal.close()
        raise
    return run


def _parts(config: RunConfig) -> Parts:
    """The run's parts, checked as those of any search.

    `nsga2` stands in for the agent during the checks, since it accepts any objectives.
    """
    composed = compose(config.model_copy(update={"strategy": Named(name="nsga2")}))
    return replace(composed, arms={**composed.arms, SEARCH: Elsewhere()})


def _settings(agent: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        return {} if agent is None else {"agent": json.loads(json.dumps(agent, allow_nan=False))}
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"`agent` is kept as JSON, with finite numbers: {error}; got {agent}"
        ) from error


def _history(journal: Journal, given: Mapping[str, Any]) -> History:
    differing = [
        key for key in {**journal.config, **given} if journal.config.get(key) != given.get(key)
    ]
    if differing:
        difference = ", ".join(
            f"{key} is {journal.config.get(key)!r}, not {given.get(key)!r}" for key in differing
        )
        raise ConfigError(
            f"the run in {journal.directory} has another configuration: {difference}; go on with "
            "its own, or name another directory"
        )
    history = fold(journal.events())
    if history.finished is not None:
        raise ConfigError(
            f"the run in {journal.directory} is finished ({history.finished}): `nas status` "
            "shows it; name another directory to begin anew"
        )
    return history
