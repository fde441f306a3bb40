"""What a prior says of the architectures of a space before any of them is labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from nas.strategies.prior import references
from nas.strategies.reading import reader_of
from predictors.prior.experts import FARTHEST, Prior
from predictors.prior.stored import load_prior
from predictors.prior.unlabelled import Unlabelled, networks_among, unlabelled
from spaces import SearchSpace

# Tables of costs do not have the names of the spaces whose architectures they hold.
_SPACES_OF = {
    "nasbench201_latency": ("nasbench201",),
    "accel_latency": ("accel_nasbench",),
    "edgetran": ("flexibert2", "flexibert2_on_devices"),
}


@dataclass(frozen=True)
class AskedTable:
    """A published table whose experts a prediction is made of.

    Attributes:
        table: its name.
        columns: the columns that the experts learnt.
        networks: how many networks they learnt from.
        distance: from the networks of the space to those.
        share: of these experts in the prediction, from 0 to 1.
        is_own: whether the table holds labels of the space itself.
    """

    table: str
    columns: tuple[str, ...]
    networks: int
    distance: float
    share: float
    is_own: bool


@dataclass(frozen=True, eq=False)
class KnownSpace:
    """What a prior knows of a space.

    Attributes:
        predictor: predicts in standard units, higher is better, also if costs are predicted.
        tables: what it listens to, the nearest first.
    """

    predictor: Unlabelled
    tables: tuple[AskedTable, ...]

    @property
    def correlation(self) -> float:
        """The rank correlation with scores, or costs, that is expected."""
        return self.predictor.trust


def known_prior(name: str) -> Prior:
    """The prior of that name.

    Raises:
        ValueError: there is no such prior, or it is `none`.
    """
    prior = load_prior(name)
    if prior is None:
        raise ValueError(
            "without a label every prediction is the prior's, and `--prior none` is no prior: name "
            "the directory of another one, or leave --prior out"
        )
    return prior


def known_space(space: SearchSpace, prior: Prior, *, cost: bool, seed: int) -> KnownSpace:
    """What the prior says of the space.

    Args:
        space: its networks are made for its own shapes.
        prior: the experts.
        cost: whether costs are predicted, not scores.
        seed: of the random architectures whose mean and deviation are the units.

    Raises:
        ValueError: it says nothing: the space makes no networks, they cannot be read, or no expert
            knows networks like these.
    """
    reader, kind = (
        reader_of(space, None if cost else prior, executed=cost),
        "cost" if cost else "score",
    )
    if reader.network is None:
        raise ValueError(
            f"the space {space.name!r} only describes its architectures. A prior reads networks, "
            "so it says nothing of them: fit a predictor to labels, with `nas predictor fit`"
        )
    drawn = references(space, seed)
    predictor = unlabelled(prior, reader, drawn, cost=cost)
    row_NR = reader.rows(networks_among(drawn, reader))
    assert row_NR is not None
    row_NR = row_NR[numpy.isfinite(row_NR).all(1)]
    if not len(row_NR):
        raise ValueError(
            f"a prior reads the shapes and costs of whole networks, and those of {space.name!r} "
            "cannot be inferred; `nas space check` says more"
        )
    if predictor is None:
        asked = [row for row, each in enumerate(prior.experts) if each.cost == cost]
        if not asked:
            raise ValueError(f"the prior has no expert of any {kind}, so it ranks no space by one")
        distance_K = prior.distances(row_NR)
        nearest = min(asked, key=lambda row: distance_K[row])
        if distance_K[nearest] < FARTHEST:
            raise ValueError(
                f"to the experts of {kind}s all networks of {space.name!r} look alike, or they are "
                "of other sizes than all that they know, so they cannot rank them: fit a predictor "
                "to labels, with `nas predictor fit`"
            )
        raise ValueError(
            f"the prior knows no networks like those of {space.name!r}: the nearest of its tables "
            f"of {kind}s, {prior.experts[nearest].table}, is at distance "
            f"{distance_K[nearest]:.2f}, and from {FARTHEST:.1f} on none is asked. Evaluate some "
            "architectures first"
        )
    return KnownSpace(predictor, _tables(space, predictor, row_NR))


def _tables(
    space: SearchSpace, predictor: Unlabelled, row_NR: numpy.ndarray
) -> tuple[AskedTable, ...]:
    """The tables that the prediction is made of, the nearest first."""
    view = predictor.view
    distance_K, share_K = view.prior.distances(row_NR), view.weight_K / view.weight_K.sum()
    rows: dict[str, list[int]] = {}
    for row, expert in enumerate(view.prior.experts):
        rows.setdefault(expert.table, []).append(row)
    tables = [
        AskedTable(
            table,
            tuple(view.prior.experts[row].column for row in of_table),
            max(view.prior.experts[row].networks for row in of_table),
            float(distance_K[of_table].min()),
            float(share_K[of_table].sum()),
            space.name in _SPACES_OF.get(table, (table,)),
        )
        for table, of_table in rows.items()
    ]
    return tuple(sorted(tables, key=lambda asked: asked.distance))
