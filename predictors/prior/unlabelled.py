"""What a prior says of the networks of a space before any of them is trained.

Shapes: N reference networks, M networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictors.predictor import Prediction
from predictors.prior.attached import Reader
from predictors.prior.experts import Prior, View
from spaces.canonical import simplify
from spaces.graph import Graph

# The expected score, in standard units, of a network whose output does not depend on its input.
DISCONNECTED = -3.0


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Predictions without labels, in standard units.

    A score of 0 is that of the average network of the space, 1 is one standard deviation better.

    Attributes:
        reader: reads the networks, and asks the heads that the experts listen to.
        view: the experts' opinions, in units of the reference networks.
    """

    reader: Reader
    view: View

    @property
    def trust(self) -> float:
        """The rank correlation with scores that is expected, from the experts' distance."""
        return self.view.expected

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """The expectation of each network's standardised score, with the doubt of a stranger.

        If the opinions correlate with scores as expected, the variance of a score around them is
        one minus the square of that correlation.
        """
        row_MR = self.reader.rows(graphs)
        assert row_MR is not None
        # Of a network that cannot be read nothing is known: it is taken for the average one.
        read_M = np.isfinite(row_MR).all(1)
        mean_M = np.zeros(len(row_MR))
        mean_M[read_M] = self.trust * self.view.opinions(row_MR[read_M])[0]
        if not self.reader.executed:
            connected_M = np.array([bool(simplify(graph).edges) for graph in graphs], dtype=bool)
            mean_M = np.where(connected_M, mean_M, DISCONNECTED)
        doubt = np.sqrt(1 - self.trust**2)
        return Prediction(mean_M, np.full(len(mean_M), 1e-6), np.full(len(mean_M), doubt))


def unlabelled(
    prior: Prior | None, reader: Reader, reference: Sequence[Graph], *, cost: bool = False
) -> Unlabelled | None:
    """What is known of a space before the first label.

    Args:
        prior: the experts.
        reader: as of `Unlabelled`; for costs it reads networks as they are executed.
        reference: some architectures of the space, which set the units.
        cost: whether costs are predicted, not scores.

    Returns:
        None if nothing is: there is no prior, the space only describes its architectures, none of
        their networks can be read, or no expert has seen networks at all like these.
    """
    if prior is None or not reference:
        return None
    row_NR = reader.rows(networks_among(reference, reader))
    row_NR = None if row_NR is None else row_NR[np.isfinite(row_NR).all(1)]
    if row_NR is None or not len(row_NR):
        return None
    view = prior.view(row_NR, cost=cost)
    return None if view is None or view.expected <= 0 else Unlabelled(reader, view)


def networks_among(graphs: Sequence[Graph], reader: Reader) -> list[Graph]:
    """The graphs without those whose score is not learnt, since their networks are disconnected."""
    return [graph for graph in graphs if reader.executed or simplify(graph).edges]
