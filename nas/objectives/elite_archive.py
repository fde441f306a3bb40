"""MAP-Elites' archive, the best architecture of each cell, and how much of a space it covers.

An archive is a mapping from cells to trials (Mouret and Clune, 2015, arXiv 1504.04909). It is
computed from the observed trials. Its figures compare it with the best known score of every
reachable cell, so they need a table of the whole space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nas.objectives.descriptors import Cell, Descriptor, cell_of
from nas.record.trials import Trial
from spaces import SearchSpace


@dataclass(frozen=True)
class Illumination:
    """How much an archive has found of what is known to exist.

    All scores are counted from an offset, by default 0.

    Attributes:
        coverage: the share of the reachable cells that are filled.
        quality_diversity: the sum of the filled cells' scores.
        quality_diversity_share: that sum as a share of the sum of all best known scores.
        global_performance: the best score found as a share of the best known.
        reliability: the mean over the reachable cells of the score found as a share of the best
            known; an empty cell counts 0.
        precision: the same mean over the filled cells alone; 0 if none is filled.
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
    """The best observed trial of each cell; of equal scores the earlier trial.

    Cells are in the order in which they were first filled.

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
    """The figures of an archive.

    Args:
        found: the score of each filled cell.
        best: the best known score of every reachable cell.
        offset: what scores are counted from.

    Raises:
        ValueError: no cell is reachable, a best known score is not above the offset, or a filled
            cell is not reachable.

    >>> illumination({(0,): 5.0}, {(0,): 10.0, (1,): 20.0}).coverage
    0.5
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
    unreachable = [cell for cell in found if cell not in best]
    if unreachable:
        raise ValueError(
            f"the archive holds the cell {unreachable[0]}, which is not among the {len(best)} "
            "that are known to be reachable"
        )
    shares = [(score - offset) / (best[cell] - offset) for cell, score in found.items()]
    total = sum(score - offset for score in found.values())
    best_found = max((score - offset for score in found.values()), default=0.0)
    return Illumination(
        coverage=len(found) / len(best),
        quality_diversity=total,
        quality_diversity_share=total / sum(score - offset for score in best.values()),
        global_performance=best_found / (max(best.values()) - offset),
        reliability=sum(shares) / len(best),
        precision=sum(shares) / len(shares) if shares else 0.0,
    )
