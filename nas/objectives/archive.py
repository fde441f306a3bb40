"""Archives: the best architecture of each cell, and how much of a space they illuminate (Mouret and
Clune, 2015, arXiv 1504.04909).

An archive is a mapping from cells to trials, a fold of what was observed. The figures compare it
with the best known of every cell that can be reached, so they need a table of the whole space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nas.objectives.descriptors import Cell, Descriptor, cell_of
from nas.record.history import Trial
from spaces import SearchSpace


@dataclass(frozen=True)
class Illumination:
    """How much of what is known an archive has found. Scores count from an offset, 0 where none is
    given.

    Attributes:
        coverage: the share of the reachable cells that are filled.
        quality_diversity: the sum of the filled cells' scores.
        quality_diversity_share: that sum as a share of the sum of all best known scores.
        global_performance: the best score found as a share of the best known.
        reliability: the mean over the reachable cells of found as a share of best known; an empty
            cell counts 0.
        precision: the same mean over the filled cells alone; 0 where none is filled.
    """

    coverage: float
    quality_diversity: float
    quality_diversity_share: float
    global_performance: float
    reliability: float
    precision: float


def archive(
    space: SearchSpace, observed: Iterable[Trial], descriptors: tuple[Descriptor, ...]
) -> dict[Cell, Trial]:
    """The best observed trial of each cell, cells in the order in which they were first filled; of
    equals the earlier trial.

    Raises:
        ValueError: see `nas.objectives.descriptors.cell_of`.
    """
    elites: dict[Cell, Trial] = {}
    for trial in observed:
        cell = cell_of(space, trial.architecture, descriptors)
        if cell not in elites or trial.score > elites[cell].score:
            elites[cell] = trial
    return elites


def scores(elites: Mapping[Cell, Trial]) -> dict[Cell, float]:
    """The score of each cell's elite."""
    return {cell: trial.score for cell, trial in elites.items()}


def illumination(
    found: Mapping[Cell, float], best: Mapping[Cell, float], offset: float = 0.0
) -> Illumination:
    """The figures of an archive whose cells score `found`, where `best` is the best known score of
    every reachable cell.

    Raises:
        ValueError: nothing is reachable, a best known score is not above the offset, or a cell was
            found that is not reachable.
    """
    if not best:
        raise ValueError(
            "no cell is known to be reachable, so there is nothing to compare an archive with"
        )
    if min(best.values()) <= offset:
        raise ValueError(
            "scores are compared as shares, so each best known score must be above the offset "
            f"{offset}; the lowest is {min(best.values())}"
        )
    strange = [cell for cell in found if cell not in best]
    if strange:
        raise ValueError(
            f"the archive holds the cell {strange[0]}, which is not among the {len(best)} that "
            "are known to be reachable"
        )
    shares = [(score - offset) / (best[cell] - offset) for cell, score in found.items()]
    total = sum(score - offset for score in found.values())
    return Illumination(
        coverage=len(found) / len(best),
        quality_diversity=total,
        quality_diversity_share=total / sum(score - offset for score in best.values()),
        global_performance=max((score - offset for score in found.values()), default=0.0)
        / (max(best.values()) - offset),
        reliability=sum(shares) / len(best),
        precision=sum(shares) / len(shares) if shares else 0.0,
    )
