"""BOSHNAS' trained surrogate: mean, noise and epistemic uncertainty, smooth in the embedded graph.

Because they are smooth, a search can use gradient ascent on them.

    graphs -> encoding -> embedding -> natural-parameter network: mean, aleatoric
                                    -> student of a teacher with dropout: epistemic

Shapes: M graphs, K members, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from predictors.boshnas.embeddings import Embedding
from predictors.frame.learner import Belief
from predictors.reading.batch import Encoded

if TYPE_CHECKING:
    from torch import Tensor, nn

    from predictors.boshnas.distilled import SoftplusNetwork, Teacher
    from predictors.boshnas.npn import NaturalNetwork

# The least aleatoric standard deviation, in normal scores. It is the value if no label is held out,
# or if the networks interpolate all labels.
LEAST_NOISE = 0.03


@dataclass(frozen=True)
class Surrogate:
    """The three trained networks on an embedding; their weights are frozen.

    Attributes:
        embedding: maps graphs to the input of the networks.
        natural: predicts mean and noise; None if the surrogate is not heteroscedastic.
        teacher: predicts the mean if there is no `natural`.
        student: predicts the epistemic uncertainty.
        noise: the aleatoric standard deviation, in normal scores, if there is no `natural`.
    """

    embedding: Embedding
    natural: NaturalNetwork | None
    teacher: Teacher
    student: SoftplusNetwork
    noise: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`."""
        import torch

        from predictors.network.layers import one_thread

        with torch.inference_mode(), one_thread():
            parts = self.predict_at(torch.from_numpy(self.embedding.embed(encoded)))
        return Belief(*(part.double().numpy() for part in parts))

    def predict_at(self, x_MD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(M,) the mean, the aleatoric and the epistemic standard deviation at embedded points.

        They are in normal scores, and twice differentiable with respect to the points.
        """
        mean_KM, aleatoric_KM, epistemic_KM = self.by_member(x_MD)
        aleatoric_M, epistemic_M = (
            (aleatoric_KM**2).mean(0).sqrt(),
            (epistemic_KM**2).mean(0).sqrt(),
        )
        return mean_KM.mean(0), aleatoric_M, epistemic_M

    def by_member(self, x_MD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(K, M) the predictions of `predict_at`, from each member."""
        import torch

        epistemic_KM = torch.nn.functional.softplus(self.student(x_MD))
        if self.natural is None:
            mean_KM, _ = self.teacher.moments(x_MD)
            return mean_KM, torch.full_like(mean_KM, self.noise), epistemic_KM
        mean_KM, variance_KM = self.natural(x_MD)
        return mean_KM, (variance_KM + LEAST_NOISE**2).sqrt(), epistemic_KM

    def only(self, members: int, noise: float) -> Surrogate:
        """A copy of the first members, with this noise."""
        arrays = {name: array[:members] for name, array in self._weights().items()}
        activation = None if self.natural is None else self.natural.activation
        return Surrogate(self.embedding, *networks_with_weights(arrays, activation), noise)

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"noise": self.noise, "embedding": self.embedding.state()}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return self._weights() | {
            f"embedding.{name}": array for name, array in self.embedding.arrays().items()
        }

    def _weights(self) -> dict[str, np.ndarray]:
        """All weights and masks by name; their first dimension is that of the members."""
        networks: dict[str, nn.Module] = {"teacher": self.teacher.network, "student": self.student}
        if self.natural is not None:
            networks["natural"] = self.natural
        weights = {
            f"{name}.{key}": weight.numpy()
            for name, network in networks.items()
            for key, weight in network.state_dict().items()
        }
        for number, mask in enumerate(self.teacher.masks):
            weights[f"masks.{number}"] = mask.numpy()
        return weights


def networks_with_weights(
    arrays: Mapping[str, np.ndarray], activation: str | None
) -> tuple[NaturalNetwork | None, Teacher, SoftplusNetwork]:
    """The networks with these weights; no natural-parameter network if `activation` is None."""
    import torch

    from predictors.boshnas.distilled import SoftplusNetwork, Teacher
    from predictors.boshnas.npn import NaturalNetwork
    from predictors.frame.learner import part

    def restored(network: Any, weights: Mapping[str, np.ndarray]) -> Any:
        network.load_state_dict(
            {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        )
        return network.requires_grad_(False)

    def sizes_of(weights: Mapping[str, np.ndarray]) -> tuple[int, int, list[int]]:
        """The numbers of members and inputs, and the hidden widths."""
        shapes = [weights[key].shape for key in sorted(weights) if key.endswith(".weight")]
        return shapes[0][0], shapes[0][1], [shape[2] for shape in shapes[:-1]]

    # The constructors draw weights, which are overwritten.
    generator = torch.Generator()
    teacher_weights, student_weights = part(arrays, "teacher."), part(arrays, "student.")
    sizes = sizes_of(teacher_weights)
    teacher_network = restored(SoftplusNetwork(*sizes, generator), teacher_weights)
    student = restored(SoftplusNetwork(*sizes_of(student_weights), generator), student_weights)
    masks = [np.array(arrays[f"masks.{number}"]) for number in range(len(sizes[2]))]
    teacher = Teacher(teacher_network, tuple(torch.from_numpy(mask) for mask in masks))
    if activation is None:
        return None, teacher, student
    weights = part(arrays, "natural.")
    natural = NaturalNetwork(*sizes_of(weights), activation, generator)
    return restored(natural, weights), teacher, student
