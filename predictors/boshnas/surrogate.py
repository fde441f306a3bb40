"""BOSHNAS' surrogate (Tuli et al. 2022): a mean, a noise and a doubt that are all smooth in where a
graph is embedded, so that a search can climb them.

    graphs -> encoded -> embedding -> natural-parameter network: mean, aleatoric
                                   -> student of a teacher with dropout: epistemic

Shapes: N training graphs, M graphs, K members, C counted features, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from predictors.boshnas.places import EMBEDDINGS, Embedding
from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from predictors.boshnas.distilled import Softplus, Teacher
    from predictors.boshnas.npn import NaturalNetwork

# Steps, at most, and rates of the three trainings: chosen on NAS-Bench-201 by left-out rank
# correlation.
STUDENT_STEPS = 200
LEARNING_RATE, STUDENT_RATE = 1e-2, 1e-2
WEIGHT_DECAY = 0.3
# In normal scores: where no label is left out, or all are learnt by heart.
LEAST_NOISE = 0.03


@dataclass(frozen=True)
class Boshnas:
    """A natural-parameter network beside a student of Monte-Carlo dropout, on normal scores, with a
    scale of the spread from left-out labels.

    Attributes:
        embedding: where a graph lies: `counts`, the principal components of its counted features;
            or `distance`, points as far apart as the graphs' edit distances, which are computed and
            learnt in every fit.
        dimensions: of the embedding, D, at most.
        heteroscedastic: whether the natural-parameter network gives mean and noise. Else the
            teacher gives the mean, and the noise is one number.
        members: networks of each kind that are averaged; the published one has one. Beside them one
            is trained for each fold, without it.
        widths: hidden units of the natural-parameter network's layers.
        activation: between these, `relu` or `sigmoid`.
        teacher_widths: hidden units of the teacher's and of the student's layers.
        dropout: the share of the teacher's hidden units that a subnetwork lacks.
        samples: subnetworks, whose spread the student learns.
        steps: of the optimiser, at most; the left-out labels end it earlier.
    """

    name: ClassVar[str] = "boshnas"

    embedding: str = "counts"
    dimensions: int = 16
    heteroscedastic: bool = True
    members: int = 4
    widths: tuple[int, ...] = (32, 32)
    activation: str = "relu"
    teacher_widths: tuple[int, ...] = (64, 32)
    dropout: float = 0.3
    samples: int = 20
    steps: int = 400

    def __post_init__(self) -> None:
        for name in ("widths", "teacher_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name) or not all(
                isinstance(width, int) and width >= 1 for width in getattr(self, name)
            ):
                raise ValueError(
                    f"the predictor boshnas needs {name} to be whole numbers, at least one; got "
                    f"{getattr(self, name)!r}"
                )
        if self.embedding not in EMBEDDINGS:
            raise ValueError(
                f"the predictor boshnas knows no embedding {self.embedding!r}; known: "
                f"{', '.join(EMBEDDINGS)}"
            )
        if self.activation not in ("relu", "sigmoid"):
            raise ValueError(
                f"the predictor boshnas knows no activation {self.activation!r}; known: relu, "
                "sigmoid"
            )
        for name, least in (("dimensions", 1), ("members", 1), ("samples", 2), ("steps", 1)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(
                    f"the predictor boshnas needs a whole number of {name}, at least {least}; "
                    f"got {getattr(self, name)!r}"
                )
        if not 0 < self.dropout < 1:
            raise ValueError(
                f"the predictor boshnas needs a dropout between 0 and 1; got {self.dropout!r}"
            )

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """Train the three networks; the same graphs, scores and seed give the same ones on one
        machine.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        import torch

        from predictors.boshnas.distilled import Recipe, distilled, natural, taught, tensors
        from predictors.network.layers import one_thread

        embedding = EMBEDDINGS[self.embedding].learn(training.encoded, self.dimensions, seed)
        absent_NK = np.zeros((len(training.normal_N), self.members), dtype=bool)
        if training.has_folds:
            absent_NK = np.concatenate([absent_NK, training.left_out(NUM_FOLDS)], axis=1)
        members = absent_NK.shape[1]
        with one_thread():
            x_ND, y_N, absent = tensors(
                embedding.embed(training.encoded), training.normal_N, absent_NK
            )
            recipe = Recipe(self.steps, LEARNING_RATE, WEIGHT_DECAY)
            network = (
                natural(members, self.widths, self.activation, x_ND, y_N, absent, recipe, seed)
                if self.heteroscedastic
                else None
            )
            teacher = taught(
                members,
                self.teacher_widths,
                self.dropout,
                self.samples,
                x_ND,
                y_N,
                absent,
                recipe,
                seed,
            )
            student = distilled(
                teacher,
                self.teacher_widths,
                x_ND,
                Recipe(min(STUDENT_STEPS, self.steps), STUDENT_RATE, 0.0),
                seed,
            )
            everybody = Surrogate(embedding, network, teacher, student, LEAST_NOISE)
            with torch.no_grad():
                mean_KN, noise_KN, doubt_KN = (
                    part.double().numpy() for part in everybody.by_member(x_ND)
                )
        if not training.has_folds:
            return Learnt(everybody.only(self.members, LEAST_NOISE), ignorance(len(y_N)))
        # Each graph was left out by one of the folds' members.
        fold, row = self.members + training.fold_N % NUM_FOLDS, np.arange(len(y_N))
        mean_N, noise_N, doubt_N = mean_KN[fold, row], noise_KN[fold, row], doubt_KN[fold, row]
        if not self.heteroscedastic:
            unexplained = float(np.mean((training.normal_N - mean_N) ** 2 - doubt_N**2))
            noise_N = np.full(len(noise_N), max(unexplained, LEAST_NOISE**2) ** 0.5)
        excess = (
            float(mean_KN[: self.members].var(0, ddof=1).mean() * (1 - 1 / self.members))
            if self.members > 1
            else 0.0
        )
        return Learnt(
            everybody.only(self.members, float(noise_N[0])),
            Belief(mean_N, noise_N, doubt_N),
            excess,
        )


@dataclass(frozen=True)
class Surrogate:
    """The three networks, frozen, on an embedding. `noise` is the aleatoric part, in normal scores,
    where no network gives it.
    """

    embedding: Embedding
    natural: NaturalNetwork | None
    teacher: Teacher
    student: Softplus
    noise: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`."""
        import torch

        from predictors.network.layers import one_thread

        with torch.inference_mode(), one_thread():
            parts = self.believe(torch.from_numpy(self.embedding.embed(encoded)))
        return Belief(*(part.double().numpy() for part in parts))

    def believe(self, x_MD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(M,) mean, aleatoric and epistemic standard deviation, in normal scores, of graphs that
        lie there: twice differentiable.
        """
        mean_KM, noise_KM, doubt_KM = self.by_member(x_MD)
        return mean_KM.mean(0), (noise_KM**2).mean(0).sqrt(), (doubt_KM**2).mean(0).sqrt()

    def by_member(self, x_MD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(K, M) the same from each member."""
        import torch

        doubt_KM = torch.nn.functional.softplus(self.student(x_MD))
        if self.natural is None:
            mean_KM, _ = self.teacher.moments(x_MD)
            return mean_KM, torch.full_like(mean_KM, self.noise), doubt_KM
        mean_KM, variance_KM = self.natural(x_MD)
        return mean_KM, (variance_KM + LEAST_NOISE**2).sqrt(), doubt_KM

    def only(self, members: int, noise: float) -> Surrogate:
        """The first members by themselves."""
        arrays = {name: array[:members] for name, array in self._weights().items()}
        return Surrogate(
            self.embedding,
            *_networks(arrays, None if self.natural is None else self.natural.activation),
            noise,
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"noise": self.noise, "embedding": self.embedding.state()}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return self._weights() | {
            f"embedding.{name}": array for name, array in self.embedding.arrays().items()
        }

    def _weights(self) -> dict[str, np.ndarray]:
        """Every one has its members in its first dimension."""
        networks: dict[str, nn.Module] = {"teacher": self.teacher.network, "student": self.student}
        if self.natural is not None:
            networks["natural"] = self.natural
        weights = {
            f"{name}.{key}": weight.numpy()
            for name, network in networks.items()
            for key, weight in network.state_dict().items()
        }
        return weights | {
            f"masks.{number}": mask.numpy() for number, mask in enumerate(self.teacher.masks)
        }


def restore_boshnas(
    settings: Boshnas,
    encoding: Encoding,
    state: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> Surrogate:
    """The model that was saved.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: the parts do not fit together.
    """
    from predictors.frame.learner import part

    embedding = EMBEDDINGS[settings.embedding].restore(
        encoding, state["embedding"], part(arrays, "embedding.")
    )
    weights = {name: array for name, array in arrays.items() if not name.startswith("embedding.")}
    return Surrogate(
        embedding,
        *_networks(weights, settings.activation if settings.heteroscedastic else None),
        float(state["noise"]),
    )


def _networks(
    arrays: Mapping[str, np.ndarray], activation: str | None
) -> tuple[NaturalNetwork | None, Teacher, Softplus]:
    """Networks with these weights; without an activation there is no natural-parameter network."""
    import torch

    from predictors.boshnas.distilled import Softplus, Teacher
    from predictors.boshnas.npn import NaturalNetwork
    from predictors.frame.learner import part

    def filled(network: Any, weights: Mapping[str, np.ndarray]) -> Any:
        network.load_state_dict(
            {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        )
        return network.requires_grad_(False)

    def shaped(
        name: str,
    ) -> tuple[tuple[int, int, list[int], torch.Generator], Mapping[str, np.ndarray]]:
        weights = part(arrays, f"{name}.")
        shapes = [weights[key].shape for key in sorted(weights) if key.endswith(".weight")]
        return (
            shapes[0][0],
            shapes[0][1],
            [shape[2] for shape in shapes[:-1]],
            torch.Generator(),
        ), weights

    (sizes, weights), (student_sizes, student_weights) = shaped("teacher"), shaped("student")
    teacher, student = (
        filled(Softplus(*sizes), weights),
        filled(Softplus(*student_sizes), student_weights),
    )
    masks = tuple(
        torch.from_numpy(np.array(arrays[f"masks.{number}"])) for number in range(len(sizes[2]))
    )
    if activation is None:
        return None, Teacher(teacher, masks), student
    sizes, weights = shaped("natural")
    return (
        filled(NaturalNetwork(*sizes[:3], activation, sizes[3]), weights),
        Teacher(teacher, masks),
        student,
    )
