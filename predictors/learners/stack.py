"""The default predictors `auto` and `quick`: stacks of several learners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.boshnas.learner import Boshnas, restore_boshnas
from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import Belief, Learner, Learnt, Model, Training, ignorance, part
from predictors.frame.untrusted import checked
from predictors.learners.gp import GP, restore_gp
from predictors.learners.ridge import Ridge, restore_ridge
from predictors.learners.stack_weights import mixture, stack_weights
from predictors.learners.trees import ExtraTrees, Trees, restore_trees
from predictors.learners.whole import Whole, restore_whole
from predictors.network.ensemble import GNN, restore_gnn
from predictors.prior.attached import attached_rows
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
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
    "whole": Whole,
}
RESTORERS: dict[str, Any] = {
    "gp": restore_gp,
    "gnn": restore_gnn,
    "trees": restore_trees,
    "extra_trees": restore_trees,
    "ridge": restore_ridge,
    "boshnas": restore_boshnas,
    "whole": restore_whole,
}


@dataclass(frozen=True)
class Auto:
    """A stack of learners (Wolpert 1992, Breiman 1996): the default predictor.

    The prediction is that of a mixture of the members. Their weights are at least 0, sum to 1 and
    are chosen so that the mixture ranks held-out labels well.

    Attributes:
        members: the learners, by name.
        caution: how strongly the weights are drawn to those without held-out labels, where `whole`
            counts as much as all others together: c labels in N make a penalty of c / (2 N) times
            the squared distance from these weights.
        device: where the graph network is trained and applied, `cpu` or `cuda`.
        prior: what is known before the first label (see `whole.Whole`).
    """

    name: ClassVar[str] = "auto"

    members: tuple[str, ...] = ("gp", "gnn", "trees", "extra_trees", "whole")
    caution: float = 10.0
    device: str = "cpu"
    prior: str = "shipped"

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

    @property
    def reads_networks(self) -> bool:
        """Whether it reads the numbers of whole networks."""
        return "whole" in self.members

    def learners(self) -> dict[str, Learner]:
        """The settings of the members: their defaults, on this device and with this prior."""
        special = {"gnn": GNN(device=self.device), "whole": Whole(prior=self.prior)}
        return {
            name: special[name] if name in special else LEARNERS[name]() for name in self.members
        }

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The fitted members and their weights.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return learn_stack(self.learners(), self.caution, training, seed)


@dataclass(frozen=True)
class Quick:
    """A stack of two Gaussian processes and a smaller graph network, cheap enough for searches.

    One process reads the graph, the other one the whole network. A search fits its predictor again
    in every round.

    Attributes:
        caution, device, prior: as for `Auto`.
    """

    name: ClassVar[str] = "quick"
    reads_networks: ClassVar[bool] = True

    caution: float = 10.0
    device: str = "cpu"
    prior: str = "shipped"

    def __post_init__(self) -> None:
        _check_caution(self.name, self.caution)
        self.learners()

    def learners(self) -> dict[str, Learner]:
        """The settings of the members, chosen on Macro, Graph and Accel (docs/predictors.md)."""
        return {
            "gp": GP(),
            "gnn": GNN(members=3, width=24, steps=60, device=self.device),
            "whole": Whole(prior=self.prior),
        }

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The fitted members and their weights.

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
    """The stack of the learners' models, with weights chosen on their held-out predictions.

    The learner that reads whole networks is left out where no graph carries the numbers of one.
    """
    if len(learners) > 1 and not np.isfinite(attached_rows(training.encoded)).any():
        learners = {name: learner for name, learner in learners.items() if name != "whole"}
    learnt = {name: learner.learn(training, seed) for name, learner in learners.items()}
    count = len(training.normal_N)
    expected = _expected_weights(learnt)
    if not training.has_folds:
        models = {name: each.model for name, each in learnt.items()}
        return Learnt(Stack(expected, models), ignorance(count))
    weights = stack_weights(
        list(learnt.values()),
        training.normal_N,
        np.array(list(expected.values())),
        caution,
        seed,
    )
    kept = {name: float(weight) for name, weight in zip(learnt, weights, strict=True) if weight > 0}
    left_out = mixture(list(kept.values()), [learnt[name].left_out for name in kept])
    excess = sum(weight**2 * learnt[name].excess for name, weight in kept.items())
    return Learnt(Stack(kept, {name: learnt[name].model for name in kept}), left_out, excess)


def _expected_weights(names: Iterable[str]) -> dict[str, float]:
    """The weights without held-out labels.

    What reads the graph and what reads the whole network count equally.
    """
    names = list(names)
    readers = [name for name in names if name != "whole"]
    if len(readers) == len(names) or not readers:
        return {name: 1 / len(names) for name in names}
    return {name: 0.5 if name == "whole" else 0.5 / len(readers) for name in names}


def _check_caution(name: str, caution: float) -> None:
    if not caution > 0:
        raise ValueError(f"the predictor {name} needs caution above 0; got {caution!r}")


@dataclass(frozen=True)
class Stack:
    """The models with a positive weight, and their weights, which sum to 1."""

    weights: Mapping[str, float]
    models: Mapping[str, Model]

    @property
    def networks(self) -> GraphNetworks:
        """See `process.Averaged`."""
        return getattr(self.models.get("whole"), "networks", NO_NETWORKS)

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
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not fit together.
    """
    weights = {
        str(name): checked(weight, f"the weight of {name}", least=0, most=1)
        for name, weight in state["weights"].items()
    }
    if abs(sum(weights.values()) - 1) > 1e-6:
        raise ValueError(f"the weights of the members must have the sum 1; they are {weights}")
    learners = settings.learners()
    models = {
        name: RESTORERS[name](
            learners[name], encoding, state["models"][name], part(arrays, f"{name}.")
        )
        for name in weights
    }
    return Stack(weights, models)
