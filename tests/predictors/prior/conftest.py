"""Two small tables, and a graph network that learnt both."""

from __future__ import annotations

import random

import numpy as np
import pytest

from predictors.prior.coarse import coarse_graph
from predictors.prior.encoder import Trained
from predictors.prior.encoder_training import Training, pretrain
from predictors.prior.networks import Networks, collate
from spaces.load import load_space
from spaces.operators import sample

SHORT = Training(graphs=60, passes=2, batch_size=20)


def sampled(name: str, count: int) -> Networks:
    space = load_space(name)
    draw = random.Random(0)
    graphs = [space.graph(sample(space, draw)) for _ in range(count)]
    return collate([coarse_graph(space.network_graph(g), space.shapes.input) for g in graphs])


@pytest.fixture(scope="module")
def tables() -> list[tuple[Networks, np.ndarray]]:
    """Two spaces whose label is the number of multiply-adds."""
    found = [sampled(name, 60) for name in ("nasbench_macro", "nasbench201")]
    return [(networks, np.log(networks.size_M3[:, 1])) for networks in found]


@pytest.fixture(scope="module")
def trained(tables: list[tuple[Networks, np.ndarray]]) -> Trained:
    return pretrain(tables, SHORT, 3, width=12, layers=2)
