"""A whole front as files: every member in a directory of its own, each proved as a single export
is, and an index of the trade-offs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.config.config import RunConfig, parse_config
from nas.export.exporting import Exported, appearing, check_free, export
from nas.export.formats import Format, check_format
from nas.export.weights import choose
from nas.objectives.constraints import feasible
from nas.objectives.objective import Objective
from nas.record.arms import SEARCH
from nas.record.history import History, Trial, fold
from nas.record.journal import open_for_reading
from nas.report.front import ARROWS, columns
from nas.search.finalists import members
from spaces import SearchSpace

_WEIGHTS = {
    "final": "a full training",
    "search": "its training in the search",
    "fresh": "fresh, untrained",
}


@dataclass(frozen=True)
class ExportedFront:
    """What an export of a front made.

    Attributes:
        directory: holds the members' directories, `README.md` and `front.json`.
        objectives: the run's.
        members: the exports, the best in the first objective first.
        values: of each member, one number an objective, as they were measured.
    """

    directory: Path
    objectives: tuple[Objective, ...]
    members: tuple[Exported, ...]
    values: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        names = [objective.name for objective in self.objectives]
        return {
            "directory": str(self.directory),
            "objectives": [vars(objective) for objective in self.objectives],
            "members": [
                {**member.to_dict(), "values": dict(zip(names, values, strict=True))}
                for member, values in zip(self.members, self.values, strict=True)
            ],
        }

    def __str__(self) -> str:
        shown = []
        for member, cells in zip(self.members, columns(self.values), strict=True):
            said = ", ".join(
                f"{objective.name} {cell}"
                for objective, cell in zip(self.objectives, cells, strict=True)
            )
            shown.append(f"{member.directory.name}: {said}; weights: {_WEIGHTS[member.weights]}")
        proved = (
            "each gives the same outputs in a process that has not this project (largest "
            f"difference {self.largest_difference:.1g})"
        )
        return "\n".join(
            [
                *shown,
                f"{len(self.members)} networks of the front are in {self.directory}; {proved}.",
            ]
        )

    @property
    def largest_difference(self) -> float:
        """Between the outputs of any member and its trained network."""
        return max(member.largest_difference for member in self.members)


def export_front(
    directory: str | Path,
    *,
    format: Format = "module",  # noqa: A002
    out: str | Path,
    space: SearchSpace | None = None,
    untrained: bool = False,
) -> ExportedFront:
    """Writes every member of the search's front to its own directory in `out`, `trial-00012`, with
    an index; `out` appears when all are proved.

    Args:
        directory, format, out, space, untrained: as in `nas.export.export`.

    Raises:
        ValueError: the run has one objective or nothing feasible, weights of a member were not
            kept, or as in `nas.export.export`.
        nas.record.journal.JournalError: the directory is no run.
        ExportError: as in `nas.export.export`.
    """
    directory, out = Path(directory), Path(out)
    check_format(format)
    check_free(out)
    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        history = fold(journal.events())
    chosen = _members(directory, config, history)
    for trial in chosen:
        # All weights are looked for before the first network is written.
        choose(directory, config, history, trial.number, untrained=untrained)
    values = tuple(
        tuple(objective.sign * objective.of(trial) for objective in config.objectives)
        for trial in chosen
    )
    with appearing(out) as folder:
        exported = []
        for trial in chosen:
            name = f"trial-{trial.number:05d}"
            made = export(
                directory,
                trial=trial.number,
                format=format,
                out=folder / name,
                space=space,
                untrained=untrained,
            )
            exported.append(replace(made, directory=out / name))
        result = ExportedFront(out, config.objectives, tuple(exported), values)
        (folder / "front.json").write_text(
            json.dumps(_index(result), indent=1) + "\n", encoding="utf-8"
        )
        (folder / "README.md").write_text(_readme(result, config), encoding="utf-8")
    return result


def _members(directory: Path, config: RunConfig, history: History) -> tuple[Trial, ...]:
    first, *others = config.objectives
    if not others:
        raise ValueError(
            f"the run {directory} has one objective, {first.name}, so it has no front: leave "
            "--pareto out to export its winner"
        )
    chosen = members(
        feasible(history.of_arm(SEARCH), config.constraints).observed, config.objectives
    )
    if not chosen:
        lacks = "no trial that keeps its constraints" if history.observed else "no evaluated trial"
        raise ValueError(
            f"the search of the run {directory} has {lacks} yet, so its front has no network to "
            "export"
        )
    return chosen


def _index(result: ExportedFront) -> dict[str, Any]:
    """As `to_dict`, with places beside the index, which may be moved."""
    described = result.to_dict()
    del described["directory"]
    for member in described["members"]:
        member["directory"] = Path(member["directory"]).name
    return described


def _readme(result: ExportedFront, config: RunConfig) -> str:
    heads = [
        "network",
        *(f"{objective.name} {ARROWS[objective.goal]}" for objective in result.objectives),
        "weights",
    ]
    rows = [
        [
            f"[{member.directory.name}]({member.directory.name}/README.md)",
            *cells,
            _WEIGHTS[member.weights],
        ]
        for member, cells in zip(result.members, columns(result.values), strict=True)
    ]
    kept = (
        f" All keep {', '.join(f'`{constraint}`' for constraint in config.constraints)}."
        if config.constraints
        else ""
    )
    return "\n".join(
        [
            f"# {len(rows)} networks of the search space {config.space}",
            "",
            "The front of a neural architecture search: no network that the search evaluated "
            "beats one of these in all objectives (arrows: where better is)."
            f"{kept} The values are those of the search; what a full training reached is in each "
            "network's own README. `front.json` holds the same.",
            "",
            f"| {' | '.join(heads)} |",
            f"|{'---|' * len(heads)}",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )
