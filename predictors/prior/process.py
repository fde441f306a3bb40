"""A Gaussian process on numbers of whole networks, around what experts say of them.

Shapes: N training graphs, M graphs, R numbers in the row of a network (see `experts`), K experts,
A assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from predictors.frame.kernel import Kernel, most_likely_kernel
from predictors.frame.learner import Belief
from predictors.frame.untrusted import floats, number
from predictors.prior.attached import attached_rows
from predictors.prior.experts import View
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
from predictors.prior.networks import WHOLE
from predictors.prior.stored import view_arrays, view_from
from predictors.reading.batch import Encoded

# Standardised numbers are clipped to this many standard deviations from the mean.
MOST_DEVIATIONS = 4.0
# The standard deviation of the weight of the experts' blend around the expected one.
BLEND_DEVIATION = 0.5


@dataclass(frozen=True, eq=False)
class Features:
    """How the numbers of networks become what the process reads.

    Attributes:
        mean_R, factor_R: the mean of each number over the training graphs, and one over its
            standard deviation; the factor is 0 for a number that does not vary.
        view: the experts; None without a prior.
    """

    mean_R: np.ndarray
    factor_R: np.ndarray
    view: View | None

    def __call__(self, row_MR: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The standardised numbers (M, R), the experts' opinions (M, K + 1), and the mean (M,).

        The last column of the opinions is that of the blend. Each column is times the standard
        deviation of its weight. What is at the end of the rows beyond R is not read.
        """
        row_MR = row_MR[:, : len(self.mean_R)]
        standard_MR = np.clip(
            (row_MR - self.mean_R) * self.factor_R, -MOST_DEVIATIONS, MOST_DEVIATIONS
        )
        if self.view is None:
            return standard_MR, np.zeros((len(row_MR), 0)), np.zeros(len(row_MR))
        blend_M, opinion_MK = self.view.opinions(row_MR)
        opinion_MK = np.clip(opinion_MK, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        opinions = np.column_stack([opinion_MK * self.view.deviation_K, blend_M * BLEND_DEVIATION])
        return standard_MR, opinions, self.view.expected * blend_M


def features_of(row_NR: np.ndarray, view: View | None) -> Features:
    """How networks are read, learnt from the rows of the training networks.

    What the heads say is read by the experts alone, and not at all if they do not listen.
    """
    heard = view is not None and len(view.prior.heard)
    row_NR = row_NR if heard else row_NR[:, : len(WHOLE)]
    scale_R = row_NR.std(0)
    varies_R = scale_R > 1e-6 * np.maximum(1.0, np.abs(row_NR).max(0))
    varies_R[len(WHOLE) :] = False
    return Features(row_NR.mean(0), np.where(varies_R, 1 / np.where(varies_R, scale_R, 1), 0), view)


def process(features: Features, row_NR: np.ndarray, normal_N: np.ndarray) -> tuple[Kernel, float]:
    """The kernel on the numbers, and how unlikely the labels are under it."""
    standard_NR, opinion_NK, mean_N = features(row_NR)
    used_R = features.factor_R > 0
    group_R = np.zeros(int(used_R.sum()), dtype=np.int64)
    kernel, surprise = most_likely_kernel(
        standard_NR[:, used_R], group_R, normal_N - mean_N, opinion_NK @ opinion_NK.T
    )
    smooth_R, linear_R = np.zeros(len(used_R)), np.zeros(len(used_R))
    smooth_R[used_R], linear_R[used_R] = kernel.smooth_F, kernel.linear_F
    return Kernel(smooth_R, linear_R, kernel.amplitude, kernel.noise), surprise


@dataclass(frozen=True, eq=False)
class WholePosterior:
    """The process conditioned on the labels.

    Attributes:
        features: how networks are read.
        kernel: the covariance of f.
        row_NR: the numbers of the training networks.
        weight_N: of each training graph in the mean.
        inverse_NN: of the covariance matrix of the labels.
    """

    features: Features
    kernel: Kernel
    row_NR: np.ndarray
    weight_N: np.ndarray
    inverse_NN: np.ndarray

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`; the noise is the aleatoric part.

        A graph without numbers is taken for the average training network.
        """
        width = len(self.features.mean_R)
        row_MR = attached_rows(encoded)[:, :width]
        row_MR = np.pad(row_MR, ((0, 0), (0, width - row_MR.shape[1])), constant_values=np.nan)
        return self.believe(np.where(np.isfinite(row_MR), row_MR, self.features.mean_R))

    def believe(self, row_MR: np.ndarray) -> Belief:
        """The belief about networks with these numbers."""
        between_MN, own_M, mean_M = _covariances(self.features, self.kernel, row_MR, self.row_NR)
        explained_M = ((between_MN @ self.inverse_NN) * between_MN).sum(1)
        return Belief(
            mean_M + between_MN @ self.weight_N,
            np.full(len(mean_M), np.sqrt(self.kernel.noise)),
            np.sqrt(np.maximum(own_M - explained_M, 1e-6)),
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        view = self.features.view
        experts = None if view is None else [asdict(expert) for expert in view.prior.experts]
        return {
            "amplitude": self.kernel.amplitude,
            "noise": self.kernel.noise,
            "experts": experts,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        view = self.features.view
        own = {
            "mean": self.features.mean_R,
            "factor": self.features.factor_R,
            "smooth": self.kernel.smooth_F,
            "linear": self.kernel.linear_F,
            "whole": self.row_NR,
            "weight": self.weight_N,
            "inverse": self.inverse_NN,
        }
        return own | ({} if view is None else view_arrays(view))


@dataclass(frozen=True, eq=False)
class Averaged:
    """Processes under different assumptions, and their shares, which sum to 1."""

    shares: tuple[float, ...]
    models: tuple[WholePosterior, ...]

    @property
    def networks(self) -> GraphNetworks:
        """The graph networks that the experts listen to."""
        views = [model.features.view for model in self.models]
        heard = [view.prior.heard for view in views if view is not None]
        return next((each for each in heard if len(each)), NO_NETWORKS)

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`."""
        return averaged(self.shares, [model.predict(encoded) for model in self.models])

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"shares": list(self.shares), "models": [model.state() for model in self.models]}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return {
            f"{place}.{name}": array
            for place, model in enumerate(self.models)
            for name, array in model.arrays().items()
        }


def averaged(weights: Sequence[float], beliefs: Sequence[Belief]) -> Belief:
    """The mean and the spread of a mixture; how its parts disagree is epistemic."""
    weight_A1 = np.array(weights)[:, None]
    mean_AM, aleatoric_AM, epistemic_AM = (
        np.stack([getattr(belief, name) for belief in beliefs])
        for name in ("mean", "aleatoric", "epistemic")
    )
    mean_M = (weight_A1 * mean_AM).sum(0)
    disagreement_AM = epistemic_AM**2 + (mean_AM - mean_M) ** 2
    return Belief(
        mean_M,
        np.sqrt((weight_A1 * aleatoric_AM**2).sum(0)),
        np.sqrt((weight_A1 * disagreement_AM).sum(0)),
    )


def _covariances(
    features: Features, kernel: Kernel, row_MR: np.ndarray, row_NR: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances (M, N) of the score's expectation, its variance (M,), and its mean (M,)."""
    standard_MR, opinion_MK, mean_M = features(row_MR)
    standard_NR, opinion_NK, _ = features(row_NR)
    between_MN = kernel.between(standard_MR, standard_NR) + opinion_MK @ opinion_NK.T
    return between_MN, kernel.prior_variance(standard_MR) + (opinion_MK**2).sum(1), mean_M


def conditioned(
    features: Features, kernel: Kernel, row_NR: np.ndarray, normal_N: np.ndarray
) -> WholePosterior:
    """The process given all labels."""
    from scipy.linalg import cho_factor, cho_solve

    row_NR = row_NR[:, : len(features.mean_R)]
    covariance_NN, _, mean_N = _covariances(features, kernel, row_NR, row_NR)
    factor = cho_factor(covariance_NN + kernel.noise * np.eye(len(normal_N)), lower=True)
    return WholePosterior(
        features,
        kernel,
        row_NR,
        cho_solve(factor, normal_N - mean_N),
        cho_solve(factor, np.eye(len(normal_N))),
    )


def restored(state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> WholePosterior:
    """The posterior of which `state` and `arrays` gave these.

    Raises:
        KeyError, TypeError, ValueError: they do not fit together.
    """
    view = None if state["experts"] is None else view_from(state["experts"], arrays)
    heads = 0 if view is None else len(view.prior.heard)
    row_NR = floats(arrays, "whole", (None, None))
    count, columns = row_NR.shape
    # What is executed is read without heads.
    if columns not in (len(WHOLE), len(WHOLE) + heads) or not count:
        raise ValueError(f"the rows of networks have {len(WHOLE)} or {len(WHOLE) + heads} numbers")
    kernel = Kernel(
        floats(arrays, "smooth", (columns,), least=0),
        floats(arrays, "linear", (columns,), least=0),
        number(state, "amplitude", least=0),
        number(state, "noise", least=0),
    )
    features = Features(
        floats(arrays, "mean", (columns,)), floats(arrays, "factor", (columns,), least=0), view
    )
    return WholePosterior(
        features,
        kernel,
        row_NR,
        floats(arrays, "weight", (count,)),
        floats(arrays, "inverse", (count, count)),
    )
