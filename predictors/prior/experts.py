"""What is known from many tables: an expert for each of their columns, and what they say.

An expert learnt the normal scores of one column of one table: extremely randomised trees learnt
them from the numbers of whole networks, and graph networks from their coarse graphs. Its opinion of
networks that it never saw is worth more if they are like those that it knows. So how much an expert
counts depends on the distance between the networks, and no label is needed to know it.

Shapes: K experts, M networks, N networks of a space or of a training set, W numbers of a network,
G heads of the graph networks, R = W + G numbers in the row of a network: its own, and what each
head says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from predictors.learners.forest import Forest
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
from predictors.prior.networks import WHOLE

# The numbers that say what kind of task a network is for: images or texts, their size, and the
# number of classes.
TASK = tuple(
    WHOLE.index(name)
    for name in (
        "log2 channels at the end",
        "log2 positions at the end",
        "log2 positions of the input",
        "share of multiply-adds in linear layers",
        "share of multiply-adds in attention",
    )
)
# How much the distance in these numbers counts beside that in all numbers, and how fast the weight
# of an expert falls with the distance. Chosen on whole spaces left out (docs/pretrained.md).
TASK_WEIGHT, SHARPNESS = 2.0, 5.0
# The squared difference in one number, in standard deviations, counts no more than this: a number
# that never varied says that the networks are new, not how new.
MOST_SQUARE = 4.0
# An expert of fewer than `ENOUGH` networks counts as one that is farther, by `FEWNESS` if it knows
# a tenth of them. Chosen on runs of 10 to 200 architectures (docs/pretrained.md).
ENOUGH, FEWNESS = 600, 0.4
# Trees do not extrapolate. So an expert tells networks apart if their sizes are at most by this, in
# powers of two, outside of those that its trees divide.
MARGIN = 1.0
SIZES = tuple(WHOLE.index(name) for name in ("log2 parameters", "log2 multiply-adds"))
# Normal scores at which an expert knows its column's values.
LEVELS = tuple(np.linspace(-2.5, 2.5, 21).tolist())
# An expert at this distance or farther says nothing; below 1 less than this it counts fully.
FARTHEST = 2.0
# The correlation with scores that is expected of experts that count fully, and the standard
# deviation of the weight of a single one of them.
EXPECTED, EXPERT_DEVIATION = 0.8, 0.2


@dataclass(frozen=True)
class Expert:
    """Where an expert learnt.

    Attributes:
        table: the published table.
        column: its column.
        cost: whether the column is a cost, which it learnt negated.
        networks: how many networks it learnt from.
        values: the column's own values at the normal scores `LEVELS`, in its own units.
    """

    table: str
    column: str
    cost: bool
    networks: int
    values: tuple[float, ...]

    def in_own_units(self, normal_M: np.ndarray) -> np.ndarray:
        """(M,) normal scores of its table, as values of its column."""
        return np.interp(normal_M, LEVELS, self.values)


@dataclass(frozen=True, eq=False)
class Prior:
    """K experts.

    Attributes:
        experts: where each learnt.
        forest: an ensemble of trees for each, which predicts normal scores.
        center_KW: the mean numbers of the networks that each knows.
        spread_W: the standard deviation of each number over all networks of all tables.
        networks: graph networks, whose G heads predict normal scores too.
        share_GK: how much each head counts in each expert, of networks that its trees think good.
            The trees count the rest.
        fade: how fast that falls with the normal score that the trees give; 0: it is half of it for
            all networks.
    """

    experts: tuple[Expert, ...]
    forest: Forest
    center_KW: np.ndarray
    spread_W: np.ndarray
    networks: GraphNetworks
    share_GK: np.ndarray
    fade: float

    def only(self, experts: Sequence[int]) -> Prior:
        """The experts with these numbers."""
        return Prior(
            tuple(self.experts[number] for number in experts),
            self.forest.only(experts),
            self.center_KW[list(experts)],
            self.spread_W,
            self.networks,
            self.share_GK[:, list(experts)],
            self.fade,
        )

    def without(self, tables: Sequence[str]) -> Prior:
        """The experts of other tables."""
        return self.only(
            [place for place, expert in enumerate(self.experts) if expert.table not in tables]
        )

    @property
    def heard(self) -> GraphNetworks:
        """The graph networks, if an expert listens to them; else none."""
        return self.networks if self.share_GK.any() else NO_NETWORKS

    def opinions(self, row_MR: np.ndarray) -> np.ndarray:
        """(M, K) the normal score in its table that each expert gives to each network.

        The heads have their share for networks that the trees think good, and fade for bad ones: a
        table has few bad networks, of few kinds, and the heads extrapolate from them. Of rows
        without what the heads say, only the trees are asked.
        """
        grown_MK = self.forest.predict(row_MR[:, : len(WHOLE)])
        said_MG = row_MR[:, len(WHOLE) :]
        if not said_MG.size:
            return grown_MK
        heard_MK = 1 / (1 + np.exp(-self.fade * grown_MK))
        return grown_MK + heard_MK * (said_MG @ self.share_GK - grown_MK * self.share_GK.sum(0))

    def distances(self, row_NR: np.ndarray) -> np.ndarray:
        """(K,) how far these networks, as a whole, are from those that each expert knows.

        An expert that learnt from few networks counts as one that is farther.
        """
        mean_W = row_NR[:, : len(WHOLE)].mean(0)
        square_KW = ((self.center_KW - mean_W) / self.spread_W) ** 2
        square_KW = MOST_SQUARE * square_KW / (MOST_SQUARE + square_KW)
        far_K = np.sqrt(square_KW.mean(1) + TASK_WEIGHT * square_KW[:, list(TASK)].mean(1))
        known_K = np.array([expert.networks for expert in self.experts], dtype=np.float64)
        return far_K + FEWNESS * np.log10(np.maximum(ENOUGH / known_K, 1.0))

    def tells_apart(self, row_NR: np.ndarray) -> np.ndarray:
        """(K,) whether some of these networks are of sizes that each expert tells apart."""
        size_NS, bound_KS2 = row_NR[:, list(SIZES)], self._divided
        within_NKS = (size_NS[:, None] >= bound_KS2[:, :, 0] - MARGIN) & (
            size_NS[:, None] <= bound_KS2[:, :, 1] + MARGIN
        )
        return np.logical_or.reduce(np.logical_and.reduce(within_NKS, axis=2), axis=0)

    @cached_property
    def _divided(self) -> np.ndarray:
        """(K, S, 2) the lowest and highest threshold of each size in each expert's trees."""
        forest, count = self.forest, len(self.experts)
        tree_L = np.repeat(np.arange(len(forest.nodes_T)), forest.nodes_T)
        expert_L = np.repeat(np.arange(count), forest.trees_K)[tree_L]
        root_L = (np.cumsum(forest.nodes_T) - forest.nodes_T)[tree_L]
        inner_L = forest.left_L != np.arange(len(tree_L)) - root_L
        bound_KS2 = np.tile([-np.inf, np.inf], (count, len(SIZES), 1))
        for place, number in enumerate(SIZES):
            there_L = inner_L & (forest.feature_L == number)
            for expert in np.unique(expert_L[there_L]):
                threshold_L = forest.threshold_L[there_L & (expert_L == expert)]
                bound_KS2[expert, place] = threshold_L.min(), threshold_L.max()
        return bound_KS2

    def view(self, row_NR: np.ndarray, *, cost: bool) -> View | None:
        """What the experts of scores, or of costs, say of networks like these.

        Returns:
            None if there are no such experts that count, or all say the same of these networks.
        """
        distance_K, tells_K = self.distances(row_NR), self.tells_apart(row_NR)
        near = [
            place
            for place, expert in enumerate(self.experts)
            if expert.cost == cost and distance_K[place] < FARTHEST and tells_K[place]
        ]
        if not near:
            return None
        asked = self.only(near)
        opinion_NK = asked.opinions(row_NR)
        scale_K = opinion_NK.std(0)
        speaking = np.flatnonzero(scale_K > 1e-6)
        if not len(speaking):
            return None
        asked, near_K = asked.only(speaking.tolist()), distance_K[near][speaking]
        mean_K, scale_K = opinion_NK.mean(0)[speaking], scale_K[speaking]
        weight_K = np.exp(-SHARPNESS * (near_K - near_K.min()))
        weight_K = weight_K / weight_K.sum()
        blend_N = ((opinion_NK[:, speaking] - mean_K) / scale_K) @ weight_K
        spread = float(blend_N.std())
        if spread < 1e-6:
            return None
        return View(
            asked,
            mean_K,
            scale_K,
            weight_K / spread,
            EXPERT_DEVIATION * _counting(near_K),
            expected_correlation(near_K.min()),
        )


def expected_correlation(distance: float) -> float:
    """The correlation that is expected of an expert's opinions with scores, at this distance."""
    return float(EXPECTED * _counting(distance))


def _counting(distance: np.ndarray | float) -> np.ndarray:
    """How much an expert at this distance counts, from 0 to 1."""
    return np.clip(FARTHEST - np.asarray(distance), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class View:
    """The opinions of some experts, in units of a reference set of networks.

    Attributes:
        prior: the experts.
        mean_K, scale_K: mean and standard deviation of each one's opinions of the reference set.
        weight_K: of each in the blend, whose standard deviation over the reference set is 1.
        deviation_K: the standard deviation of each one's own weight beside the blend.
        expected: the correlation of the blend with scores that is expected.
    """

    prior: Prior
    mean_K: np.ndarray
    scale_K: np.ndarray
    weight_K: np.ndarray
    deviation_K: np.ndarray
    expected: float

    def opinions(self, row_MR: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The blend (M,), and each expert's opinion (M, K), in standard units."""
        opinion_MK = (self.prior.opinions(row_MR) - self.mean_K) / self.scale_K
        return opinion_MK @ self.weight_K, opinion_MK
