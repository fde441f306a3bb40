"""The predictor `whole`: a Gaussian process on numbers of the whole network, with a prior.

Shapes: N training graphs, M graphs, W numbers of a network, K experts, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.kernel import Kernel, most_likely_kernel
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.prior.attached import attached_numbers
from predictors.prior.experts import View
from predictors.prior.stored import load_prior, view_arrays, view_from
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

# Standardised numbers are clipped to this many standard deviations from the mean.
MOST_DEVIATIONS = 4.0
# The standard deviation of the weight of the experts' blend around the expected one.
BLEND_DEVIATION = 0.5
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
            ValueError: see `predictor.check_training`; or a graph has no numbers attached.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        whole_NW = attached_numbers(training.encoded)
        if not np.isfinite(whole_NW).all():
            raise ValueError(
                "the predictor whole reads the numbers of whole networks, and at least one of the "
                "training graphs has none: its space only describes architectures, or it was not "
                "read by predictors.prior.attached.Reading"
            )
        normal_N = training.normal_N
        order_N = np.random.default_rng([seed, 2]).permutation(len(normal_N))
        view = self._chosen_view(whole_NW, normal_N, order_N[:MOST_IN_A_FOLD])
        features = _features_of(whole_NW, view)
        model = _conditioned(features, whole_NW, normal_N, np.sort(order_N[:MOST]))
        if not training.has_folds:
            return Learnt(model, ignorance(len(normal_N)))
        return Learnt(model, _left_out(features, whole_NW, training, order_N))

    def _chosen_view(
        self, whole_NW: np.ndarray, normal_N: np.ndarray, rows: np.ndarray
    ) -> View | None:
        """The experts of scores or those of costs: those under which the labels are likelier."""
        prior = load_prior(self.prior)
        if prior is None:
            return None
        views = [prior.view(whole_NW, cost=cost) for cost in (False, True)]
        known = [view for view in views if view is not None]
        if len(known) < 2:
            return known[0] if known else None
        chosen = np.sort(rows)
        surprise = [
            _process(_features_of(whole_NW, view), whole_NW[chosen], normal_N[chosen])[1]
            for view in known
        ]
        return known[int(np.argmin(surprise))]


@dataclass(frozen=True, eq=False)
class Features:
    """How the numbers of networks become what the process reads.

    Attributes:
        mean_W, factor_W: the mean of each number over the training graphs, and one over its
            standard deviation; the factor is 0 for a number that does not vary.
        view: the experts; None without a prior.
    """

    mean_W: np.ndarray
    factor_W: np.ndarray
    view: View | None

    def __call__(self, whole_MW: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The standardised numbers (M, W), the experts' opinions (M, K + 1), and the mean (M,).

        The last column of the opinions is that of the blend. Each column is times the standard
        deviation of its weight.
        """
        standard_MW = np.clip(
            (whole_MW - self.mean_W) * self.factor_W, -MOST_DEVIATIONS, MOST_DEVIATIONS
        )
        if self.view is None:
            return standard_MW, np.zeros((len(whole_MW), 0)), np.zeros(len(whole_MW))
        blend_M, opinion_MK = self.view.opinions(whole_MW)
        opinion_MK = np.clip(opinion_MK, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        opinions = np.column_stack([opinion_MK * self.view.deviation_K, blend_M * BLEND_DEVIATION])
        return standard_MW, opinions, self.view.expected * blend_M


def _features_of(whole_NW: np.ndarray, view: View | None) -> Features:
    scale_W = whole_NW.std(0)
    varies_W = scale_W > 1e-6 * np.maximum(1.0, np.abs(whole_NW).max(0))
    return Features(
        whole_NW.mean(0), np.where(varies_W, 1 / np.where(varies_W, scale_W, 1), 0), view
    )


def _process(
    features: Features, whole_NW: np.ndarray, normal_N: np.ndarray
) -> tuple[Kernel, float]:
    """The kernel on the numbers, and how unlikely the labels are under it."""
    standard_NW, opinion_NK, mean_N = features(whole_NW)
    used_W = features.factor_W > 0
    group_W = np.zeros(int(used_W.sum()), dtype=np.int64)
    kernel, surprise = most_likely_kernel(
        standard_NW[:, used_W], group_W, normal_N - mean_N, opinion_NK @ opinion_NK.T
    )
    smooth_W, linear_W = np.zeros(len(used_W)), np.zeros(len(used_W))
    smooth_W[used_W], linear_W[used_W] = kernel.smooth_F, kernel.linear_F
    return Kernel(smooth_W, linear_W, kernel.amplitude, kernel.noise), surprise


@dataclass(frozen=True, eq=False)
class WholePosterior:
    """The process conditioned on the labels.

    Attributes:
        features: how networks are read.
        kernel: the covariance of f.
        whole_NW: the numbers of the training networks.
        weight_N: of each training graph in the mean.
        inverse_NN: of the covariance matrix of the labels.
    """

    features: Features
    kernel: Kernel
    whole_NW: np.ndarray
    weight_N: np.ndarray
    inverse_NN: np.ndarray

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`; the noise is the aleatoric part.

        A graph without numbers is taken for the average training network.
        """
        whole_MW = attached_numbers(encoded)
        return self.believe(np.where(np.isfinite(whole_MW), whole_MW, self.features.mean_W))

    def believe(self, whole_MW: np.ndarray) -> Belief:
        """The belief about networks with these numbers."""
        between_MN, own_M, mean_M = _covariances(
            self.features, self.kernel, whole_MW, self.whole_NW
        )
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
            "mean": self.features.mean_W,
            "factor": self.features.factor_W,
            "smooth": self.kernel.smooth_F,
            "linear": self.kernel.linear_F,
            "whole": self.whole_NW,
            "weight": self.weight_N,
            "inverse": self.inverse_NN,
        }
        return own | ({} if view is None else view_arrays(view))


def restore_whole(
    settings: Whole, encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> WholePosterior:
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    view = None if state["experts"] is None else view_from(state["experts"], arrays)
    kernel = Kernel(
        arrays["smooth"], arrays["linear"], float(state["amplitude"]), float(state["noise"])
    )
    features = Features(arrays["mean"], arrays["factor"], view)
    return WholePosterior(features, kernel, arrays["whole"], arrays["weight"], arrays["inverse"])


def _covariances(
    features: Features, kernel: Kernel, whole_MW: np.ndarray, whole_NW: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariances (M, N) of the score's expectation, its variance (M,), and its mean (M,)."""
    standard_MW, opinion_MK, mean_M = features(whole_MW)
    standard_NW, opinion_NK, _ = features(whole_NW)
    between_MN = kernel.between(standard_MW, standard_NW) + opinion_MK @ opinion_NK.T
    return between_MN, kernel.prior_variance(standard_MW) + (opinion_MK**2).sum(1), mean_M


def _conditioned(
    features: Features, whole_NW: np.ndarray, normal_N: np.ndarray, chosen: np.ndarray
) -> WholePosterior:
    """The process given all labels, its parameters chosen on some of them."""
    from scipy.linalg import cho_factor, cho_solve

    kernel, _ = _process(features, whole_NW[chosen], normal_N[chosen])
    covariance_NN, _, mean_N = _covariances(features, kernel, whole_NW, whole_NW)
    factor = cho_factor(covariance_NN + kernel.noise * np.eye(len(normal_N)), lower=True)
    return WholePosterior(
        features,
        kernel,
        whole_NW,
        cho_solve(factor, normal_N - mean_N),
        cho_solve(factor, np.eye(len(normal_N))),
    )


def _left_out(
    features: Features, whole_NW: np.ndarray, training: Training, order_N: np.ndarray
) -> Belief:
    """The held-out prediction of each training graph, with parameters chosen without its fold."""
    parts = np.zeros((3, len(order_N)))
    for fold in range(NUM_FOLDS):
        out = np.flatnonzero(training.fold_N == fold)
        known = np.flatnonzero(training.fold_N != fold)
        ranked = np.argsort(np.argsort(order_N)[known])
        chosen = np.sort(np.flatnonzero(ranked < MOST_IN_A_FOLD))
        part = _conditioned(features, whole_NW[known], training.normal_N[known], chosen)
        belief = part.believe(whole_NW[out])
        parts[:, out] = belief.mean, belief.aleatoric, belief.epistemic
    return Belief(*parts)
