"""Several learners at once, each weighed by what it says about labels that it did not see: the
default predictors.

Shapes: N training graphs, M graphs, L learners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.boshnas.surrogate import Boshnas, restore_boshnas
from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import Belief, Learner, Learnt, Model, Training, ignorance, part
from predictors.learners.gp import GP, restore_gp
from predictors.learners.ridge import Ridge, restore_ridge
from predictors.learners.trees import ExtraTrees, Trees, restore_trees
from predictors.network.ensemble import GNN, restore_gnn
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

LEARNERS: dict[str, Any] = {
    "gp": GP,
    "gnn": GNN,
    "trees": Trees,
    "extra_trees": ExtraTrees,
    "ridge": Ridge,
    "boshnas": Boshnas,
}
RESTORERS: dict[str, Any] = {
    "gp": restore_gp,
    "gnn": restore_gnn,
    "trees": restore_trees,
    "extra_trees": restore_trees,
    "ridge": restore_ridge,
    "boshnas": restore_boshnas,
}
# A learner of less weight is dropped, and costs nothing when predicting.
LEAST_WEIGHT = 0.02
# What the learners say of left-out labels, each from a part of the others, differs more than what
# their models say of new graphs. Counted in full, it would promise more there than holds; so it
# counts half. Chosen by coverage on Macro and Graph (docs/predictors.md).
SHARE_OF_DISAGREEMENT = 0.5
# Pairs of labels that the weights are chosen on, at most.
MOST_PAIRS = 50_000


@dataclass(frozen=True)
class Auto:
    """A stack (Wolpert 1992, Breiman 1996): weights of at least 0 that sum to 1 and rank the
    left-out labels best.

    Attributes:
        members: the learners, by name.
        caution: how strongly the weights are drawn to equal ones: as strongly as so many labels
            would.
        device: where the graph network is trained and asked, `cpu` or `cuda`.
    """

    name: ClassVar[str] = "auto"

    members: tuple[str, ...] = ("gp", "gnn", "trees", "extra_trees")
    caution: float = 10.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        unknown = [name for name in self.members if name not in LEARNERS]
        if unknown or not self.members or len(set(self.members)) < len(self.members):
            raise ValueError(
                f"the predictor auto needs different members out of {', '.join(LEARNERS)}; got "
                f"{', '.join(self.members) or 'none'}"
            )
        _check_caution(self.name, self.caution)
        self.learners()

    def learners(self) -> dict[str, Learner]:
        """The members' settings: their own defaults, on this device."""
        return {
            name: GNN(device=self.device) if name == "gnn" else LEARNERS[name]()
            for name in self.members
        }

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """Learn each member and weigh them.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return learn_stack(self.learners(), self.caution, training, seed)


@dataclass(frozen=True)
class Quick:
    """The stack of the Gaussian process and a smaller graph network: for searches, which learn anew
    in every round.

    Attributes:
        caution, device: as for `Auto`.
    """

    name: ClassVar[str] = "quick"

    caution: float = 10.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_caution(self.name, self.caution)
        self.learners()

    def learners(self) -> dict[str, Learner]:
        """The members' settings; chosen on Macro, Graph and Accel (docs/predictors.md)."""
        return {"gp": GP(), "gnn": GNN(members=3, width=24, steps=60, device=self.device)}

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """Learn each member and weigh them.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return learn_stack(self.learners(), self.caution, training, seed)


def learn_stack(
    learners: Mapping[str, Learner], caution: float, training: Training, seed: int
) -> Learnt:
    """Each learner's model, and their weights."""
    learnt = {name: learner.learn(training, seed) for name, learner in learners.items()}
    count = len(training.normal_N)
    if not training.has_folds:
        equal = {name: 1 / len(learnt) for name in learnt}
        return Learnt(
            Stack(equal, {name: each.model for name, each in learnt.items()}), ignorance(count)
        )
    weights = stack_weights(list(learnt.values()), training.normal_N, caution, seed)
    kept = {name: float(weight) for name, weight in zip(learnt, weights, strict=True) if weight > 0}
    left_out = mixture(list(kept.values()), [learnt[name].left_out for name in kept])
    excess = sum(weight**2 * learnt[name].excess for name, weight in kept.items())
    return Learnt(Stack(kept, {name: learnt[name].model for name in kept}), left_out, excess)


def _check_caution(name: str, caution: float) -> None:
    if not caution > 0:
        raise ValueError(f"the predictor {name} needs caution above 0; got {caution!r}")


@dataclass(frozen=True)
class Stack:
    """The models that have a weight, and their weights, which sum to 1."""

    weights: Mapping[str, float]
    models: Mapping[str, Model]

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`."""
        return mixture(
            list(self.weights.values()),
            [self.models[name].predict(encoded) for name in self.weights],
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {
            "weights": dict(self.weights),
            "models": {name: model.state() for name, model in self.models.items()},
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return {
            f"{name}.{key}": array
            for name, model in self.models.items()
            for key, array in model.arrays().items()
        }


def restore_stack(
    settings: Auto | Quick,
    encoding: Encoding,
    state: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> Stack:
    """The model that was saved.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not fit together.
    """
    weights, learners = (
        {str(name): float(weight) for name, weight in state["weights"].items()},
        settings.learners(),
    )
    models = {
        name: RESTORERS[name](
            learners[name], encoding, state["models"][name], part(arrays, f"{name}.")
        )
        for name in weights
    }
    return Stack(weights, models)


def mixture(weights: Sequence[float], beliefs: Sequence[Belief]) -> Belief:
    """The belief of a mixture with these weights: the mean of their variances; and the variance of
    the means, which is epistemic.
    """
    weight_L1 = np.array(weights)[:, None]
    mean_LM = np.stack([belief.mean for belief in beliefs])
    mean_M = (weight_L1 * mean_LM).sum(0)
    aleatoric_M = np.sqrt(
        (weight_L1 * np.stack([belief.aleatoric**2 for belief in beliefs])).sum(0)
    )
    epistemic_M = np.sqrt(
        (
            weight_L1
            * (np.stack([belief.epistemic**2 for belief in beliefs]) + (mean_LM - mean_M) ** 2)
        ).sum(0)
    )
    return Belief(mean_M, aleatoric_M, SHARE_OF_DISAGREEMENT * epistemic_M)


def stack_weights(
    learnt: Sequence[Learnt], normal_N: np.ndarray, caution: float, seed: int
) -> np.ndarray:
    r"""(L,) the weights, those too small to matter being 0.

    They minimise what a ranking is trained on (RankNet, Burges et al. 2005) over pairs of labels i
    better than j, f being the left-out means:

    .. math::
        \mathrm{mean}_{ij} \log(1 + e^{-w \cdot (f_i - f_j)}) + \frac{c}{2N} |w - 1/L|^2

    What a learner says of a left-out label comes from one of its members; its model averages all of
    them. The loss that the variance which averaging takes
    away has added, to second order, is subtracted: else the stack would take a learner of varied
        members for a bad one.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    mean_LN = np.stack([each.left_out.mean for each in learnt])
    first, second = _pairs(normal_N, seed)
    if len(first) == 0:
        return np.full(len(learnt), 1 / len(learnt))
    margin_LP = mean_LN[:, first] - mean_LN[:, second]
    excess_L, equal_L, pull = (
        np.array([each.excess for each in learnt]),
        np.full(len(learnt), 1 / len(learnt)),
        caution / len(normal_N),
    )

    def loss(weight_L: np.ndarray) -> tuple[float, np.ndarray]:
        wrong_P = expit(-(weight_L @ margin_LP))
        curvature, away_L = float((wrong_P * (1 - wrong_P)).mean()), weight_L - equal_L
        value = (
            -np.log1p(-wrong_P).mean()
            - curvature * weight_L**2 @ excess_L
            + 0.5 * pull * away_L @ away_L
        )
        return float(value), -(margin_LP @ wrong_P) / len(
            wrong_P
        ) - 2 * curvature * weight_L * excess_L + pull * away_L

    sums_to_one = {
        "type": "eq",
        "fun": lambda weight_L: weight_L.sum() - 1,
        "jac": lambda weight_L: np.ones_like(weight_L),
    }
    solution = minimize(
        loss,
        equal_L,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(learnt),
        constraints=[sums_to_one],
        options={"ftol": 1e-10},
    )
    weight_L = np.where(solution.x < LEAST_WEIGHT, 0.0, solution.x)
    return weight_L / weight_L.sum()


def _pairs(normal_N: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the better and the worse label of all pairs, or of a sample of them."""
    random = np.random.default_rng([seed, 3])
    count = len(normal_N)
    first, second = (
        np.triu_indices(count, 1)
        if count * (count - 1) // 2 <= MOST_PAIRS
        else random.integers(count, size=(2, MOST_PAIRS))
    )
    better = normal_N[first] > normal_N[second]
    differs = normal_N[first] != normal_N[second]
    return np.where(better, first, second)[differs], np.where(better, second, first)[differs]
