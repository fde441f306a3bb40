"""The graph network as a predictor: members trained side by side with others that each leave out a
fold, whose errors calibrate the spread.

Shapes: N training graphs, M graphs, K members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import (
    NUM_FOLDS,
    Belief,
    Learnt,
    Training,
    ignorance,
    left_out_by_members,
)
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

if TYPE_CHECKING:
    from predictors.network.gnn import GraphNetwork, Sizes

# Graphs that the network reads at once: their features stay in the processor's cache.
CHUNK = 128


@dataclass(frozen=True)
class GNN:
    """A deep ensemble of graph networks (Lakshminarayanan et al. 2017) on normal scores, with a
    scale of the spread from left-out labels.

    Attributes:
        members: networks that predict; each starts from its own weights and sees all labels. Beside
            them one is trained for each fold, without it.
        width: hidden features of a node.
        layers: steps of message passing.
        hidden: the share of the nodes that is hidden from a member in each training step, others
            each time; the members take turns. As an augmentation it helps where labels are noisy
            and harms where they are not.
        steps, batch_size, learning_rate, weight_decay, ranking: see `fit.Recipe`.
        device: where it is trained and asked, `cpu` or `cuda`.
    """

    name: ClassVar[str] = "gnn"

    members: int = 5
    width: int = 32
    layers: int = 4
    hidden: tuple[float, ...] = (0.0, 0.1)
    steps: int = 120
    batch_size: int = 256
    learning_rate: float = 8e-3
    weight_decay: float = 1.0
    ranking: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden or not all(
            isinstance(share, int | float) and 0 <= share < 1 for share in self.hidden
        ):
            raise ValueError(
                "the predictor gnn needs shares of hidden nodes, each at least 0 and below 1; "
                f"got {self.hidden!r}"
            )
        for name, least in (
            ("members", 2),
            ("width", 1),
            ("layers", 0),
            ("steps", 1),
            ("batch_size", 2),
        ):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(
                    f"the predictor gnn needs a whole number of {name}, at least {least}; got "
                    f"{getattr(self, name)!r}"
                )
        for name in ("learning_rate", "weight_decay", "ranking"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"the predictor gnn needs {name} to be 0 or more; got {getattr(self, name)!r}"
                )
        if self.device.startswith("cuda") and not _has_gpu():
            raise ValueError(
                f"the predictor gnn is to use the device {self.device}, and torch finds no GPU "
                "here; set device to cpu"
            )

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """Train the members; the same graphs, scores and seed give the same network on one machine.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        import torch

        from predictors.network.gnn import GraphNetwork
        from predictors.network.optimisation import Recipe, train

        left_out_NK = np.zeros((len(training.normal_N), self.members), dtype=bool)
        if training.has_folds:
            left_out_NK = np.concatenate([left_out_NK, training.left_out(NUM_FOLDS)], axis=1)
        network = GraphNetwork(
            _sizes(left_out_NK.shape[1], self, training.encoding),
            torch.Generator().manual_seed(seed),
        ).to(self.device)
        recipe = Recipe(
            self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            ranking=self.ranking,
        )
        train(
            network,
            training.encoded,
            training.normal_N,
            left_out_NK,
            np.resize(self.hidden, left_out_NK.shape[1]),
            recipe,
            seed,
        )
        model = network.only(0, self.members)
        if not training.has_folds:
            return Learnt(Networks(model, 1.0), ignorance(len(training.normal_N)))
        mean_NK = _members(network, training.encoded)[:, self.members :]
        left_out, excess = left_out_by_members(
            mean_NK, left_out_NK[:, self.members :], training.normal_N, self.members
        )
        return Learnt(Networks(model, float(left_out.aleatoric[0])), left_out, excess)


@dataclass(frozen=True)
class Networks:
    """Trained members. `aleatoric` is one number, in normal scores."""

    network: GraphNetwork
    aleatoric: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`: the members' disagreement is the epistemic part."""
        mean_MK = _members(self.network, encoded)
        return Belief(
            mean_MK.mean(1), np.full(len(mean_MK), self.aleatoric), mean_MK.std(1, ddof=1)
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"aleatoric": self.aleatoric}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return {
            name: tensor.detach().cpu().numpy()
            for name, tensor in self.network.state_dict().items()
        }


def restore_gnn(
    settings: GNN, encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Networks:
    """The model that was saved, on the settings' device.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not fit together.
    """
    import torch

    from predictors.network.gnn import GraphNetwork

    network = GraphNetwork(_sizes(settings.members, settings, encoding), torch.Generator())
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Networks(network.to(settings.device), float(state["aleatoric"]))


def _sizes(networks: int, settings: GNN, encoding: Encoding) -> Sizes:
    from predictors.network.gnn import Sizes

    return Sizes(
        networks, encoding.num_ops, encoding.num_node_features, settings.width, settings.layers
    )


def _members(network: GraphNetwork, encoded: Encoded) -> np.ndarray:
    """(M, K) what every member expects, in normal scores."""
    import torch

    from predictors.network.layers import one_thread, to_tensors

    with torch.inference_mode(), one_thread():
        means = [
            network(to_tensors(chunk, network.device)).double().cpu().numpy()
            for chunk in encoded.chunks(CHUNK)
        ]
    return np.concatenate(means or [np.zeros((0, network.sizes.members))])


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
