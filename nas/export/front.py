"""A whole front is exported: each member in its own directory, with an index of the values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.config.arms import SEARCH
from nas.config.stored_run import StoredRun, read_run
from nas.export.destination import appearing, check_free
from nas.export.exporting import WEIGHTS, Exported, export
from nas.export.formats import Format, check_format
from nas.export.weights import choose
from nas.objectives.constraints import Constraint, feasible
from nas.objectives.fronts import members
from nas.objectives.objective import Objective
from nas.record.trials import Trial
from nas.report.front import ARROWS, columns
from spaces import SearchSpace


@dataclass(frozen=True)
class ExportedFront:
    """The result of a front's export.

    Attributes:
        directory: holds the members' directories, `README.md` and `front.json`.
        objectives: of the run.
        members: the exports, the best in the first objective first.
        values: of each member, one number for each objective, as it was measured.
    """

    directory: Path
    objectives: tuple[Objective, ...]
    members: tuple[Exported, ...]
    values: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON values."""
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
            shown.append(f"{member.directory.name}: {said}; weights: {WEIGHTS[member.weights]}")
        shown.append(
            f"{len(self.members)} networks of the front are in {self.directory}; each gives the "
            "same outputs in a process that has not this project (largest difference "
            f"{self.largest_difference:.1g})."
        )
        return "\n".join(shown)

    @property
    def largest_difference(self) -> float:
        """The largest difference between the outputs of a member and of its trained network."""
        return max(member.largest_difference for member in self.members)


def export_front(
    directory: str | Path,
    *,
    format: Format = "module",  # noqa: A002
    out: str | Path,
    space: SearchSpace | None = None,
    untrained: bool = False,
) -> ExportedFront:
    """Writes every member of the search's front to its own directory in `out`, with an index.

    The directories are called `trial-00012` and the like. `out` appears when all members are
    verified. An example: `export_front("runs/pareto", out="exports/pareto")`.

    Args:
        directory, format, out, space, untrained: as in `nas.export.export`.

    Raises:
        ValueError: the run has one objective or no feasible trial, weights of a member were not
            kept, or as in `nas.export.export`.
        nas.record.journal.JournalError: the directory is not a run.
        ExportError: as in `nas.export.export`.
    """
    directory, out = Path(directory), Path(out)
    check_format(format)
    check_free(out)
    run = read_run(directory)
    chosen = _members(run)
    for trial in chosen:
        # Weights that are missing are reported before the first network is written.
        choose(run, trial.number, untrained=untrained)
    values = tuple(
        tuple(objective.sign * objective.of(trial) for objective in run.config.objectives)
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
        result = ExportedFront(out, run.config.objectives, tuple(exported), values)
        (folder / "front.json").write_text(
            json.dumps(_index(result), indent=1) + "\n", encoding="utf-8"
        )
        (folder / "README.md").write_text(
            _readme(result, run.config.space, run.config.constraints), encoding="utf-8"
        )
    return result


def _members(run: StoredRun) -> tuple[Trial, ...]:
    config, history, directory = run.config, run.history, run.directory
    first, *others = config.objectives
    if not others:
        raise ValueError(
            f"the run {directory} has one objective, {first.name}, so it has no front: leave "
            "--pareto out to export its winner"
        )
    seen = feasible(history.of_arm(SEARCH), config.constraints)
    chosen = members(seen.observed, config.objectives)
    if not chosen:
        lacks = "no trial that keeps its constraints" if history.observed else "no evaluated trial"
        raise ValueError(
            f"the search of the run {directory} has {lacks} yet, so its front has no network to "
            "export"
        )
    return chosen


def _index(result: ExportedFront) -> dict[str, Any]:
    """As `to_dict`, but with paths relative to the index, so that the directory can be moved."""
    described = result.to_dict()
    del described["directory"]
    for member in described["members"]:
        member["directory"] = Path(member["directory"]).name
    return described


def _readme(result: ExportedFront, space: str, constraints: Sequence[Constraint]) -> str:
    names = [f"{objective.name} {ARROWS[objective.goal]}" for objective in result.objectives]
    heads = ["network", *names, "weights"]
    rows = []
    for member, cells in zip(result.members, columns(result.values), strict=True):
        name = member.directory.name
        rows.append([f"[{name}]({name}/README.md)", *cells, WEIGHTS[member.weights]])
    listed = ", ".join(f"`{constraint}`" for constraint in constraints)
    kept = f" All keep {listed}." if constraints else ""
    return "\n".join(
        [
            f"# {len(rows)} networks of the search space {space}",
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
