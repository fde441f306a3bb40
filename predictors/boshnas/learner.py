"""The predictor `boshnas` (Tuli et al. 2022): its settings, and the training of its three networks.

Shapes: N training graphs, K members, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from predictors.boshnas.embeddings import EMBEDDINGS
from predictors.boshnas.surrogate import LEAST_NOISE, Surrogate, networks_with_weights
from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import NUM_FOLDS, Belief, Learnt, Training, ignorance
from predictors.frame.untrusted import number
from predictors.reading.features import Encoding
from spaces.graph import Graph

# The largest number of steps of the student, and the learning rates and weight decay of the three
# trainings. They were chosen on NAS-Bench-201 by the rank correlation on held-out labels.
STUDENT_STEPS = 200
LEARNING_RATE, STUDENT_RATE = 1e-2, 1e-2
WEIGHT_DECAY = 0.3


@dataclass(frozen=True)
class Boshnas:
    """BOSHNAS' surrogate: a natural-parameter network, and a student of Monte-Carlo dropout.

    It predicts normal scores. The standard deviation is scaled with held-out labels.

    Attributes:
        embedding: `counts`: the principal components of the counted features; or `distance`: points
            whose distances approximate the edit distances. The latter are computed in every fit.
        dimensions: D, the largest number of dimensions of the embedding.
        heteroscedastic: if true, the natural-parameter network predicts mean and noise. Otherwise
            the teacher predicts the mean, and the noise is one number for all graphs.
        members: the number of networks of each kind whose predictions are averaged; 1 in the paper.
            For each fold one more is trained without that fold.
        widths: hidden units of each layer of the natural-parameter network.
        activation: its activation, `relu` or `sigmoid`.
        teacher_widths: hidden units of each layer of the teacher and of the student.
        dropout: the share of the teacher's hidden units that are dropped.
        samples: the number of subnetworks of the teacher. The student learns the standard deviation
            of their predictions.
        steps: the largest number of optimiser steps. The error on held-out labels stops earlier.

    Example::

        fitted = Boshnas(members=2).fit(graphs, scores, seed=0)
        fitted.predict(other_graphs).std
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
                    f"the predictor boshnas needs {name} to be a list of whole numbers, at least "
                    f"one, each 1 or more; got {getattr(self, name)!r}"
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
        """The trained surrogate.

        On one machine the same graphs, scores and seed give the same weights.

        Args:
            graphs: N training graphs.
            scores: (N,) their scores; higher is better.
            seed: seed of the initial weights, batches and dropout.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        import torch

        from predictors.boshnas.distilled import (
            Distillation,
            tensors,
            train_natural,
            train_student,
            train_teacher,
        )
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
            distillation = Distillation(self.steps, LEARNING_RATE, WEIGHT_DECAY)
            natural = None
            if self.heteroscedastic:
                natural = train_natural(
                    members, self.widths, self.activation, x_ND, y_N, absent, distillation, seed
                )
            teacher = train_teacher(
                members,
                self.teacher_widths,
                self.dropout,
                self.samples,
                x_ND,
                y_N,
                absent,
                distillation,
                seed,
            )
            of_student = Distillation(min(STUDENT_STEPS, self.steps), STUDENT_RATE, 0.0)
            student = train_student(teacher, self.teacher_widths, x_ND, of_student, seed)
            all_members = Surrogate(embedding, natural, teacher, student, LEAST_NOISE)
            with torch.no_grad():
                mean_KN, aleatoric_KN, epistemic_KN = (
                    part.double().numpy() for part in all_members.by_member(x_ND)
                )
        if not training.has_folds:
            return Learnt(all_members.only(self.members, LEAST_NOISE), ignorance(len(y_N)))
        # The member that was trained without the fold of each graph.
        fold, row = self.members + training.fold_N % NUM_FOLDS, np.arange(len(y_N))
        mean_N, epistemic_N = mean_KN[fold, row], epistemic_KN[fold, row]
        aleatoric_N = aleatoric_KN[fold, row]
        if not self.heteroscedastic:
            unexplained = float(np.mean((training.normal_N - mean_N) ** 2 - epistemic_N**2))
            aleatoric_N = np.full(len(aleatoric_N), max(unexplained, LEAST_NOISE**2) ** 0.5)
        excess = 0.0
        if self.members > 1:
            variance_N = mean_KN[: self.members].var(0, ddof=1)
            excess = float(variance_N.mean() * (1 - 1 / self.members))
        return Learnt(
            all_members.only(self.members, float(aleatoric_N[0])),
            Belief(mean_N, aleatoric_N, epistemic_N),
            excess,
        )


def restore_boshnas(
    settings: Boshnas,
    encoding: Encoding,
    state: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> Surrogate:
    """The saved surrogate.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: settings, state and arrays are inconsistent.
    """
    from predictors.frame.learner import part

    embedding = EMBEDDINGS[settings.embedding].restore(
        encoding, state["embedding"], part(arrays, "embedding.")
    )
    weights = {name: array for name, array in arrays.items() if not name.startswith("embedding.")}
    activation = settings.activation if settings.heteroscedastic else None
    networks = networks_with_weights(weights, activation)
    return Surrogate(embedding, *networks, number(state, "noise", least=0))
