"""A run as its directory keeps it: the configuration, checked, and everything that happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.config.loading import parse_config
from nas.config.plan import Plan, plan_of
from nas.config.sections import RunConfig
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import Event, open_for_reading
from nas.record.trust import is_sealed

# What the environment of a recording (`nas.search.recording`) has besides that of a search.
RECORDING = "recording"
# The table of a recording, in its directory.
TABLE = "table.npz"


@dataclass(frozen=True)
class StoredRun:
    """What a run's directory says, at the moment when it was read.

    Attributes:
        directory: the run's.
        config: the checked configuration; `settings` are the JSON values that it was made of.
        environment: versions and machine, the shapes of the data, and the seal.
        created: when the run was begun, in seconds since the epoch.
        events: everything in the journal; `history` is their fold.
    """

    directory: Path
    config: RunConfig
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    created: float
    events: tuple[Event, ...]
    history: History

    @property
    def plan(self) -> Plan:
        """How much the run evaluates, towards what, and when it ends."""
        return plan_of(self.config)

    @property
    def is_recording(self) -> bool:
        """Whether the run trains without a search, for a table."""
        return RECORDING in self.environment

    @property
    def is_own(self) -> bool:
        """Whether this user began the run on this machine; see `nas.record.trust`."""
        return is_sealed(self.settings, self.environment.get("seal", ""))


def read_run(directory: str | Path, *, recordings: bool = False) -> StoredRun:
    """The run in a directory, also while another process goes on with it.

    Args:
        directory: the run's.
        recordings: whether it may be a recording, which has trainings and no search.

    Raises:
        ValueError: it is a recording and may not be.
        nas.record.journal.JournalError: the directory is no run, or its journal cannot be read.
        ConfigError: its configuration is not one that this version knows.
    """
    directory = Path(directory)
    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        events = journal.events()
        run = StoredRun(
            directory=directory,
            config=config,
            settings=journal.config,
            environment=journal.environment,
            created=journal.created,
            events=events,
            history=fold(events),
        )
    if run.is_recording and not recordings:
        raise ValueError(
            f"{directory} is a recording, which has trainings and no search: `nas status` says how "
            f"far it is, and its table is {directory / TABLE}, for `evaluator: {{name: table, "
            "path: ...}` or `nas predictor fit`"
        )
    return run
