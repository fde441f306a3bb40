"""The predictor `gnn`: a deep ensemble of graph networks, calibrated on held-out folds.

For each fold one more network is trained without it. The errors of these networks on the fold that
they did not see calibrate the standard deviation of the predictions.

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
from predictors.frame.untrusted import number
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

if TYPE_CHECKING:
    from predictors.network.gnn import GraphNetwork, Sizes

# Graphs in one forward pass. With this number the features stay in the processor's cache.
CHUNK = 128


@dataclass(frozen=True)
class GNN:
    """A deep ensemble of graph networks (Lakshminarayanan et al. 2017) on normal scores.

    The standard deviation of the predictions is scaled with held-out labels.

    Attributes:
        members: number of networks whose predictions are averaged. Each starts from its own random
            weights and is trained on all labels. For each fold one more network is trained without
            that fold.
        width: hidden features of a node.
        layers: message-passing steps.
        hidden: shares of the nodes that are hidden during training, at random in each step. Member
            k uses entry k of this tuple, which is repeated as often as needed. This augmentation
            improves the predictions if the labels are noisy and worsens them otherwise.
        steps, batch_size, learning_rate, weight_decay, ranking: see `optimisation.Optimisation`.
        device: torch device for training and prediction, `cpu` or `cuda`.

    Example::

        fitted = GNN(members=3).fit(graphs, scores, seed=0)
        fitted.predict(other_graphs).mean
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
                f"the predictor gnn was given the device {self.device}, but torch finds no GPU "
                "here; set device to cpu"
            )

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The trained ensemble.

        On one machine the same graphs, scores and seed give the same weights.

        Args:
            graphs: N training graphs.
            scores: (N,) their scores; higher is better.
            seed: seed of the initial weights, batches and hidden nodes.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        import torch

        from predictors.network.gnn import GraphNetwork
        from predictors.network.optimisation import Optimisation, train

        left_out_NK = np.zeros((len(training.normal_N), self.members), dtype=bool)
        if training.has_folds:
            left_out_NK = np.concatenate([left_out_NK, training.left_out(NUM_FOLDS)], axis=1)
        network = GraphNetwork(
            _sizes(left_out_NK.shape[1], self, training.encoding),
            torch.Generator().manual_seed(seed),
        ).to(self.device)
        optimisation = Optimisation(
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
            optimisation,
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
    """The trained members; `aleatoric` is one standard deviation for all graphs.

    Both are in units of normal scores.
    """

    network: GraphNetwork
    aleatoric: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`; `epistemic` is the standard deviation over the members."""
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
    """The saved model, on the device that the settings name.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: settings, state and arrays are inconsistent.
    """
    import torch

    from predictors.network.gnn import GraphNetwork

    sizes = _sizes(settings.members, settings, encoding)
    layers = sum(name.startswith("layers.") and name.endswith(".scale") for name in arrays)
    stored = (*arrays["op"].shape, layers)
    # Checked before a network is made, for the settings may ask for one of any size.
    if stored != (sizes.members, sizes.num_ops, sizes.width, sizes.layers):
        raise ValueError(f"the weights are not those of the settings: their sizes are {stored}")
    network = GraphNetwork(sizes, torch.Generator())
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return Networks(network.to(settings.device), number(state, "aleatoric", least=0))


def _sizes(networks: int, settings: GNN, encoding: Encoding) -> Sizes:
    from predictors.network.gnn import Sizes

    return Sizes(
        networks, encoding.num_ops, encoding.num_node_features, settings.width, settings.layers
    )


def _members(network: GraphNetwork, encoded: Encoded) -> np.ndarray:
    """(M, K) the prediction of each member, in normal scores."""
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
