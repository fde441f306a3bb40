"""The predictor `gp`: the settings of the Gaussian process, and restoring a saved one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.kernel import Kernel
from predictors.frame.learner import Learnt, Training
from predictors.frame.process import DEPTH, MOST, MOST_FOR_SPREAD, Posterior, learn_process
from predictors.frame.untrusted import number
from predictors.reading.features import Encoding
from predictors.reading.subtrees import subtrees_from
from spaces.graph import Graph


@dataclass(frozen=True)
class GP:
    r"""A Gaussian process (Rasmussen and Williams 2006) of normal scores.

    Its kernel is

    .. math::
        k(x, z) = a \, m_{5/2}\Big(\sum_g s_g |x_g - z_g|^2 / F_g\Big) + \sum_g l_g \, x_g \cdot z_g
        / F_g

    where m is the Matern function of a squared distance. There is a group g of F_g features for
    each kind of count (see `counts.graph_counts`), and one for each direction and depth of
    Weisfeiler-Lehman subtrees (as in NAS-BOWL, Ru et al. 2021). The likelihood times a log-normal
    prior has a local maximum at the chosen parameters a, s, l and noise (see
    `kernel.choose_kernel`).

    Attributes:
        depth: the depth of the subtrees; 0 counts no subtrees.
        most: the parameters are chosen on at most this many training graphs. The mean is computed
            from all of them.
        most_for_spread: the epistemic standard deviation is computed from at most this many
            training graphs. If there are more, it is a little too large.
    """

    name: ClassVar[str] = "gp"

    depth: int = DEPTH
    most: int = MOST
    most_for_spread: int = MOST_FOR_SPREAD

    def __post_init__(self) -> None:
        for name, least in (("depth", 0), ("most", 2), ("most_for_spread", 2)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(
                    f"the predictor gp needs a whole number of {name}, at least {least}; got "
                    f"{getattr(self, name)!r}"
                )

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The process with chosen parameters, conditioned on the labels (N,) of the graphs.

        The seed draws the folds, and the subsets if there are more than `most` graphs.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return learn_process(
            training, seed, depth=self.depth, most=self.most, most_for_spread=self.most_for_spread
        )


def restore_gp(
    settings: GP, encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Posterior:
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    subtrees = subtrees_from(state["depth"], arrays)
    kernel = Kernel(
        arrays["smooth"],
        arrays["linear"],
        number(state, "amplitude", least=0),
        number(state, "noise", least=0),
    )
    feature_NF, spread_S = arrays["features"], arrays["spread"]
    columns = (encoding.num_counts + subtrees.num_features,)
    if spread_S.dtype.kind != "i" or not all(
        kind == "f"
        for kind in (kernel.smooth_F.dtype.kind, kernel.linear_F.dtype.kind, feature_NF.dtype.kind)
    ):
        raise ValueError("the kernel's arrays are of other types than were saved")
    if (
        kernel.smooth_F.shape != columns
        or kernel.linear_F.shape != columns
        or feature_NF.shape[1:] != columns
    ):
        raise ValueError(f"the kernel is not one of {columns[0]} features")
    square = (len(spread_S), len(spread_S))
    whole = arrays["weight"].shape == (len(feature_NF),) and arrays["inverse"].shape == square
    if not whole or not ((spread_S >= 0) & (spread_S < len(feature_NF))).all():
        raise ValueError("the posterior's parts are of different sizes")
    return Posterior(kernel, subtrees, feature_NF, arrays["weight"], spread_S, arrays["inverse"])
