"""The graph network as a predictor: members trained side by side, each without a fold of its own that calibrates the spread.

Shapes: N training graphs, M graphs, K members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from predictors.batch import Encoded
from predictors.calibration import fit_scale, leave_out
from predictors.features import Encoding, encoding_from_json, learn_encoding
from predictors.predictor import Prediction, check_graphs, check_training
from predictors.store import Stored, write
from predictors.targets import NormalScores, learn_normal_scores, normal_scores_from
from predictors.terms import readable
from spaces.graph import Graph

if TYPE_CHECKING:
    from predictors.gnn import GraphNetwork, Sizes

# Graphs that the network reads at once: their features stay in the processor's cache.
CHUNK = 256


@dataclass(frozen=True)
class GNN:
    """A deep ensemble of graph networks (Lakshminarayanan et al. 2017) on normal scores, with a scale of the spread from left-out labels.

    Attributes:
        members: networks; each starts from its own weights and leaves out its own fold of the labels.
        width: hidden features of a node.
        layers: steps of message passing.
        steps, batch_size, learning_rate, weight_decay, ranking: see `fit.Recipe`.
        device: where it is trained and asked, `cpu` or `cuda`.
    """

    members: int = 5
    width: int = 32
    layers: int = 4
    steps: int = 250
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    ranking: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, least in (("members", 2), ("width", 1), ("layers", 0), ("steps", 1), ("batch_size", 2)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(f"the predictor gnn needs a whole number of {name}, at least {least}; got {getattr(self, name)!r}")
        for name in ("learning_rate", "weight_decay", "ranking"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"the predictor gnn needs {name} to be 0 or more; got {getattr(self, name)!r}")
        if self.device.startswith("cuda") and not _has_gpu():
            raise ValueError(f"the predictor gnn is to use the device {self.device}, and torch finds no GPU here; set device to cpu")

    def fit(self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0) -> FittedGNN:
        """Train the members; the same graphs, scores and seed give the same network on one machine.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        import torch

        from predictors.fit import Recipe, train
        from predictors.gnn import GraphNetwork

        score_N = check_training(graphs, scores)
        read = [readable(graph) for graph in graphs]
        encoding, target = learn_encoding(read), learn_normal_scores(score_N)
        encoded = encoding.encode(read)
        network = GraphNetwork(_sizes(self, encoding), torch.Generator().manual_seed(seed)).to(self.device)
        left_out_NK = leave_out(read, self.members, seed)
        recipe = Recipe(
            self.steps, batch_size=self.batch_size, learning_rate=self.learning_rate, weight_decay=self.weight_decay, ranking=self.ranking
        )
        train(network, encoded, target.to_normal(score_N), left_out_NK, recipe, seed)
        draft = FittedGNN(self, encoding, target, network, 1.0)
        return FittedGNN(self, encoding, target, network, _scale(draft, encoded, score_N, left_out_NK))


@dataclass(frozen=True)
class FittedGNN:
    """Trained members, the encoding they read, the map back to score units and the factor on their spread."""

    settings: GNN
    encoding: Encoding
    target: NormalScores
    network: GraphNetwork
    scale: float

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Mean and standard deviations of M graphs in score units.

        Raises:
            ValueError: a value is no graph.
        """
        check_graphs(graphs)
        return self.predict_encoded(self.encode(graphs))

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers, for those who ask about the same ones again."""
        return self.encoding.encode([readable(graph) for graph in graphs])

    def predict_encoded(self, encoded: Encoded) -> Prediction:
        """The same for graphs encoded before.

        The members' means and variances are in normal scores: the mean of the means and the standard deviations go through the monotone map, whose
        slope around the mean turns a spread of ranks into one of scores.
        """
        mean_MK, variance_MK = _members(self.network, encoded)
        mean_M = mean_MK.mean(1)
        aleatoric_M, epistemic_M = np.sqrt(variance_MK.mean(1)), mean_MK.std(1, ddof=1)
        return self.target.prediction(mean_M, aleatoric_M * self.scale, epistemic_M * self.scale)

    def save(self, directory: str | Path) -> None:
        """Write the predictor so that `load_predictor` reads it."""
        arrays = {f"network.{name}": tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}
        state = {"encoding": asdict(self.encoding), "scale": self.scale}
        write(directory, Stored("gnn", asdict(self.settings), state, arrays | self.target.arrays()))


def restore_gnn(stored: Stored, device: str = "cpu") -> FittedGNN:
    """The predictor that was saved.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not fit together.
    """
    import torch

    from predictors.gnn import GraphNetwork

    settings = GNN(**{**{field.name: stored.settings[field.name] for field in fields(GNN)}, "device": device})
    encoding = encoding_from_json(stored.state["encoding"])
    network = GraphNetwork(_sizes(settings, encoding), torch.Generator())
    weights = {name.removeprefix("network."): torch.from_numpy(array) for name, array in stored.arrays.items() if name.startswith("network.")}
    network.load_state_dict(weights)
    return FittedGNN(settings, encoding, normal_scores_from(stored.arrays), network.to(device), float(stored.state["scale"]))


def _sizes(settings: GNN, encoding: Encoding) -> Sizes:
    from predictors.gnn import Sizes

    return Sizes(settings.members, encoding.num_ops, encoding.num_node_features, encoding.num_counts, settings.width, settings.layers)


def _members(network: GraphNetwork, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """Every member's mean and variance, (M, K) each, in normal scores."""
    import torch

    from predictors.layers import one_thread, to_tensors

    means, variances = [], []
    with torch.inference_mode(), one_thread():
        for chunk in encoded.chunks(CHUNK):
            mean_MK, log_variance_MK = network(to_tensors(chunk, network.device))
            means.append(mean_MK.double().cpu().numpy())
            variances.append(log_variance_MK.double().exp().cpu().numpy())
    empty = [np.zeros((0, network.op.shape[1]))]
    return np.concatenate(means or empty), np.concatenate(variances or empty)


def _scale(draft: FittedGNN, encoded: Encoded, score_N: np.ndarray, left_out_NK: np.ndarray) -> float:
    """The factor on the spread, from what each member says about the labels that it did not see (the residuals of CV+, Barber et al. 2021).

    With too few labels for folds nothing is known of the error, so the spread becomes that of the scores themselves.
    """
    mean_NK, variance_NK = _members(draft.network, encoded)
    epistemic_N = mean_NK.std(1, ddof=1)
    if not left_out_NK.any():
        return float(1.0 / np.sqrt(variance_NK.mean() + (epistemic_N**2).mean()))
    residual_N = draft.target.to_normal(score_N) - mean_NK[left_out_NK]
    # A graph's own member learnt its variance from this very residual: the others say how large it was to be expected.
    aleatoric_N = np.sqrt((variance_NK * ~left_out_NK).sum(1) / (~left_out_NK).sum(1))
    return fit_scale(residual_N, np.hypot(aleatoric_N, epistemic_N))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
