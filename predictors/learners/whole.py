"""The predictor `whole`: a Gaussian process on numbers of the whole network, with a prior.

Shapes: N training graphs, M graphs, R numbers in the row of a network (see
`predictors.prior.experts`), K experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance, part
from predictors.frame.untrusted import checked
from predictors.prior.attached import attached_rows
from predictors.prior.experts import View
from predictors.prior.process import (
    Averaged,
    Features,
    averaged,
    conditioned,
    features_of,
    process,
    restored,
)
from predictors.prior.stored import load_prior
from predictors.reading.features import Encoding
from spaces.graph import Graph

# An assumption with less weight than this is dropped.
LEAST_WEIGHT = 0.02
# The parameters are chosen on at most this many training graphs, and on fewer for each fold.
MOST, MOST_IN_A_FOLD = 400, 200


@dataclass(frozen=True)
class Whole:
    r"""A Gaussian process of normal scores on the numbers of whole networks.

    The numbers are sizes, counts and lengths of paths (see `predictors.prior.networks.WHOLE`),
    which a `predictors.prior.attached.Reading` attaches to the graphs. With a prior, the process
    is

    .. math::
        y(x) = s \, b(x) + \sum_k w_k \, e_k(x) + f(x)

    where b is the blend of the experts' opinions, e_k the opinion of one of them, and f a process
    with the kernel of `gp` on the numbers. The weights s and w_k are normal: that of the blend
    around the correlation that is expected of experts at this distance, the others around 0. So
    without labels the prediction is that of the experts, and labels correct it.

    The labels are either scores, or costs, or nothing that an expert knows. The prediction averages
    over these three assumptions, weighted by how likely each makes the labels.

    Attributes:
        prior: `shipped`, `none`, or the directory of another one.
    """

    name: ClassVar[str] = "whole"
    reads_networks: ClassVar[bool] = True

    prior: str = "shipped"

    def __post_init__(self) -> None:
        load_prior(self.prior)

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The process conditioned on the scores.

        Raises:
            ValueError: see `predictor.check_training`; or no graph has numbers attached.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        row_NR = attached_rows(training.encoded)
        read_N = np.logical_and.reduce(np.isfinite(row_NR), axis=1)
        if not read_N.any():
            raise ValueError(
                "the predictor whole reads the numbers of whole networks, and none of the training "
                "graphs has any: their space only describes architectures, or they were not read "
                "by predictors.prior.attached.Reading"
            )
        # As in a prediction, a network that cannot be read is taken for the average one.
        row_NR = np.where(read_N[:, None], row_NR, row_NR[read_N].mean(0))
        normal_N = training.normal_N
        order_N = np.random.default_rng([seed, 2]).permutation(len(normal_N))
        prior = load_prior(self.prior)
        views: list[View | None] = [None]
        if prior is not None:
            known = [prior.view(row_NR, cost=cost) for cost in (False, True)]
            views += [view for view in known if view is not None]
        chosen = np.sort(order_N[:MOST])
        assumptions = [features_of(row_NR, view) for view in views]
        found = [process(each, row_NR[chosen], normal_N[chosen]) for each in assumptions]
        surprise_A = np.array([surprise for _, surprise in found])
        weight_A = np.exp(surprise_A.min() - surprise_A)
        weight_A = np.where(weight_A < LEAST_WEIGHT * weight_A.sum(), 0.0, weight_A)
        kept = np.flatnonzero(weight_A)
        weights = tuple((weight_A[kept] / weight_A.sum()).tolist())
        models = tuple(
            conditioned(assumptions[place], found[place][0], row_NR, normal_N)
            for place in kept.tolist()
        )
        model = Averaged(weights, models)
        if not training.has_folds:
            return Learnt(model, ignorance(len(normal_N)))
        left_out = [
            _left_out(assumptions[place], row_NR, training, order_N) for place in kept.tolist()
        ]
        return Learnt(model, averaged(weights, left_out))


def restore_whole(
    settings: Whole, encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Averaged:
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    models = tuple(
        restored(each, part(arrays, f"{place}.")) for place, each in enumerate(state["models"])
    )
    shares = tuple(checked(share, "a share", least=0, most=1) for share in state["shares"])
    if len(shares) != len(models) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"there must be a share for each of the {len(models)} models, and their sum must be 1; "
            f"the shares are {shares}"
        )
    return Averaged(shares, models)


def _left_out(
    features: Features, row_NR: np.ndarray, training: Training, order_N: np.ndarray
) -> Belief:
    """The held-out prediction of each training graph, with parameters chosen without its fold."""
    parts = np.zeros((3, len(order_N)))
    for fold in range(NUM_FOLDS):
        out = np.flatnonzero(training.fold_N == fold)
        known = np.flatnonzero(training.fold_N != fold)
        # A random permutation of the known graphs: those with low numbers are a random subset.
        permutation = np.argsort(np.argsort(order_N)[known])
        chosen = np.flatnonzero(permutation < MOST_IN_A_FOLD)
        known_NW, normal_N = row_NR[known], training.normal_N[known]
        kernel, _ = process(features, known_NW[chosen], normal_N[chosen])
        belief = conditioned(features, kernel, known_NW, normal_N).believe(row_NR[out])
        parts[:, out] = belief.mean, belief.aleatoric, belief.epistemic
    return Belief(*parts)
