"""A saved predictor holds the graph networks that it listens to."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from nas.prediction.saved import About, SavedPredictor, load, reading_in, save
from nas.strategies.reading import reading
from predictors import PREDICTORS
from predictors.prior.attached import heads_of
from predictors.prior.stored import load_prior
from spaces.canonical import simplify
from spaces.load import load_space
from spaces.operators import sample_graph

CELLS = load_space("nasbench201")
DRAW = random.Random(3)
GRAPHS = [sample_graph(CELLS, DRAW)[1] for _ in range(60)]
# A score that grows with convolutions, as the prior expects of scores.
SCORES = [
    sum({"nor_conv_3x3": 3.0, "nor_conv_1x1": 2.0}.get(node.op, 0.0) for node in graph.nodes)
    + 0.01 * place
    for place, graph in enumerate(GRAPHS)
]


def about(name: str) -> About:
    return About(
        predictor=name,
        settings={},
        space="nasbench201",
        space_name="nasbench201",
        shapes={},
        source="",
        column="score",
        lower_is_better=False,
        seed=0,
        rows=40,
        labels={},
        seconds=0.0,
        check=None,
        environment={},
    )


# Parts that the output does not need make a cell dearer, and here they make it better.
UNNEEDED = [
    sum(node.op == "nor_conv_3x3" for node in graph.nodes)
    - sum(node.op == "nor_conv_3x3" for node in simplify(graph).nodes)
    + 0.001 * place
    for place, graph in enumerate(GRAPHS)
]


@pytest.mark.parametrize(
    ("name", "scores"), [("whole", SCORES), ("whole", UNNEEDED), ("quick", SCORES)]
)
def test_it_answers_the_same_after_loading(name: str, scores: list[float], tmp_path: Path) -> None:
    fitted = reading(PREDICTORS[name](), CELLS).fit(GRAPHS[:40], scores[:40], seed=0)
    shipped = load_prior("shipped")
    assert shipped is not None
    assert heads_of(fitted) is shipped.networks
    assert (fitted.executed is None) == (scores is SCORES)
    wanted = fitted.predict(GRAPHS[40:])
    save(SavedPredictor(fitted, about(name)), tmp_path / "saved")
    loaded = reading_in(load(tmp_path / "saved"), CELLS).fitted
    # They are read from the predictor's own files, whatever is shipped by then.
    assert heads_of(loaded) is not shipped.networks
    assert len(heads_of(loaded)) == len(shipped.networks)
    # What was saved as it was fitted, and is asked about its own space, reads it once.
    assert reading_in(SavedPredictor(fitted, about(name)), CELLS).fitted == fitted
    found = loaded.predict(GRAPHS[40:])
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.std, wanted.std, rtol=1e-6, atol=1e-8)


def test_without_a_prior_there_are_no_networks(tmp_path: Path) -> None:
    fitted = reading(PREDICTORS["whole"](prior="none"), CELLS).fit(GRAPHS[:40], SCORES[:40])
    saved = SavedPredictor(fitted, replace_settings(about("whole")))
    save(saved, tmp_path / "saved")
    loaded = reading_in(load(tmp_path / "saved"), CELLS).fitted
    assert len(heads_of(loaded)) == 0
    np.testing.assert_allclose(
        loaded.predict(GRAPHS[40:]).mean, fitted.predict(GRAPHS[40:]).mean, rtol=1e-6, atol=1e-8
    )


def replace_settings(known: About) -> About:
    return known.model_copy(update={"settings": {"prior": "none"}})
