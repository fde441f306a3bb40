"""The contract of predictors, as checks that every predictor passes.

The author of a plug-in runs them in one test:

    from tests.contracts.predictor_contract import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check, tmp_path):
        check(MyPredictor(few_steps=10), load_my_predictor, tmp_path)

Each check takes the predictor's settings, the function that loads a saved predictor, and an empty
directory.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from predictors import Fitted, Prediction, Predictor
from spaces import Edge, Graph, GraphBuilder

Load = Callable[[Path], Fitted]
OPS = ("conv", "pool", "dense")


def random_graphs(count: int, seed: int, ops: tuple[str, ...] = OPS) -> list[Graph]:
    """Cells of two to six operations with attributes, each with one or two earlier inputs."""
    draw = random.Random(seed)
    graphs = []
    for _ in range(count):
        builder = GraphBuilder()
        values = [builder.input()]
        for _ in range(draw.randint(2, 6)):
            inputs = [draw.choice(values) for _ in range(draw.randint(1, 2))]
            values.append(
                builder.node(
                    draw.choice(ops),
                    *inputs,
                    kernel_size=draw.choice((1, 3, 5)),
                    bias=draw.random() < 0.5,
                )
            )
        graphs.append(builder.output(builder.node("add", *values[-2:])))
    return graphs


def true_scores(graphs: list[Graph]) -> np.ndarray:
    """(N,) scores that can be learnt: more convolutions and larger kernels are better."""

    def worth(graph: Graph) -> float:
        return sum(
            1.0 + 0.2 * float(node.get("kernel_size", 0) or 0)
            for node in graph.nodes
            if node.op == "conv"
        )

    return np.array([worth(graph) for graph in graphs]) * 5 + 50


def reordered(graph: Graph, seed: int) -> Graph:
    """An isomorphic graph: the nodes in another topological order, the edges shuffled."""
    draw = random.Random(seed)
    waiting = {
        number: {edge.source for edge in graph.edges if edge.target == number}
        for number in range(1, len(graph.nodes) - 1)
    }
    order = [0]
    while waiting:
        ready = [number for number, sources in waiting.items() if sources <= set(order)]
        order.append(draw.choice(ready))
        del waiting[order[-1]]
    order.append(len(graph.nodes) - 1)
    place = {number: position for position, number in enumerate(order)}
    edges = [Edge(place[source], place[target], slot) for source, target, slot in graph.edges]
    draw.shuffle(edges)
    return Graph(tuple(graph.nodes[number] for number in order), tuple(edges))


def same(first: Prediction, second: Prediction, tolerance: float = 0.0) -> None:
    """Check that two predictions differ by at most the tolerance, relative or absolute."""
    for name in ("mean", "aleatoric", "epistemic"):
        np.testing.assert_allclose(
            getattr(first, name),
            getattr(second, name),
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )


def fitted_on(predictor: Predictor, count: int = 30, seed: int = 0) -> Fitted:
    """The predictor fitted to `count` random graphs and their true scores."""
    graphs = random_graphs(count, seed=1)
    return predictor.fit(graphs, true_scores(graphs), seed=seed)


def check_gives_finite_spreads_in_score_units(
    predictor: Predictor, load: Load, directory: Path
) -> None:
    prediction = fitted_on(predictor).predict(random_graphs(20, seed=2))
    for values in (prediction.mean, prediction.aleatoric, prediction.epistemic, prediction.std):
        assert isinstance(values, np.ndarray)
        assert values.shape == (20,)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert (prediction.std > 0).all()
    assert (prediction.aleatoric >= 0).all()
    assert (prediction.epistemic >= 0).all()
    np.testing.assert_allclose(prediction.std**2, prediction.aleatoric**2 + prediction.epistemic**2)
    assert 40 < np.median(prediction.mean) < 100


def check_depends_on_graphs_scores_and_seed_alone(
    predictor: Predictor, load: Load, directory: Path
) -> None:
    others = random_graphs(10, seed=2)
    np.random.seed(1)
    first = fitted_on(predictor, seed=3).predict(others)
    np.random.seed(2)
    random.seed(2)
    same(first, fitted_on(predictor, seed=3).predict(others))


def check_leaves_global_randomness_alone(predictor: Predictor, load: Load, directory: Path) -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    def seed_all() -> None:
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)

    seed_all()
    expected = drawn()
    seed_all()
    fitted_on(predictor).predict(random_graphs(3, seed=2))
    assert drawn() == expected


def check_survives_saving(predictor: Predictor, load: Load, directory: Path) -> None:
    fitted, others = fitted_on(predictor), random_graphs(10, seed=2)
    fitted.save(directory / "saved")
    assert sorted(path.name for path in (directory / "saved").iterdir()) == [
        "predictor.json",
        "predictor.safetensors",
    ]
    same(load(directory / "saved").predict(others), fitted.predict(others))


def check_refuses_half_a_predictor(predictor: Predictor, load: Load, directory: Path) -> None:
    fitted_on(predictor).save(directory)
    (directory / "predictor.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"predictor\.safetensors"):
        load(directory)
    (directory / "predictor.json").write_text("{}")
    with pytest.raises(ValueError, match=r"predictor\.json"):
        load(directory)


def check_reads_isomorphic_graphs_alike(predictor: Predictor, load: Load, directory: Path) -> None:
    fitted, others = fitted_on(predictor), random_graphs(20, seed=2)
    same(
        fitted.predict(others),
        fitted.predict([reordered(graph, seed=number) for number, graph in enumerate(others)]),
        1e-5,
    )


def check_reads_each_graph_by_itself(predictor: Predictor, load: Load, directory: Path) -> None:
    fitted, others = fitted_on(predictor), random_graphs(6, seed=2)
    together, alone = fitted.predict(others), [fitted.predict([graph]) for graph in others]
    for name in ("mean", "aleatoric", "epistemic"):
        np.testing.assert_allclose(
            getattr(together, name), [getattr(one, name)[0] for one in alone], rtol=1e-5, atol=1e-5
        )
    assert len(fitted.predict([])) == 0


def check_takes_few_or_equal_labels(predictor: Predictor, load: Load, directory: Path) -> None:
    others = random_graphs(5, seed=2)
    for count in (2, 3, 12):
        for scores in (np.full(count, 70.0), np.arange(count) + 70.0, np.zeros(count)):
            prediction = predictor.fit(random_graphs(count, seed=1), scores).predict(others)
            assert np.isfinite(prediction.mean).all()
            assert (prediction.std > 0).all()
    duplicates = [random_graphs(1, seed=1)[0]] * 4
    fitted = predictor.fit(duplicates, [1.0, 2.0, 3.0, 4.0])
    assert np.isfinite(fitted.predict(others).mean).all()


def check_takes_graphs_unlike_those_of_training(
    predictor: Predictor, load: Load, directory: Path
) -> None:
    fitted = fitted_on(predictor)
    whole = random_graphs(1, 0)[0]
    disconnected = Graph((whole.nodes[0], whole.nodes[-1]), ())
    chain = GraphBuilder()
    value = chain.input((3, 32, 32))
    for number in range(60):
        value = chain.node(
            "never seen", value, kernel_size=1000 * number, mode="other", sizes=(1, 2)
        )
    prediction = fitted.predict(
        [disconnected, chain.output(value), *random_graphs(3, seed=2, ops=("new", "newer"))]
    )
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.std).all()


def check_refuses_wrong_labels(predictor: Predictor, load: Load, directory: Path) -> None:
    graphs = random_graphs(3, seed=1)
    for scores, words in (
        ([1.0, float("nan"), 2.0], "finite"),
        ([1.0, 2.0], "one score for each graph"),
        (["a", "b", "c"], "numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            predictor.fit(graphs, scores)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2 graphs"):
        predictor.fit(graphs[:1], [1.0])
    with pytest.raises(ValueError, match=r"spaces\.Graph"):
        predictor.fit([*graphs[:2], "conv"], [1.0, 2.0, 3.0])  # type: ignore[list-item]


def check_learns(predictor: Predictor, load: Load, directory: Path) -> None:
    others = random_graphs(60, seed=2)
    prediction = fitted_on(predictor, count=60).predict(others)
    assert np.corrcoef(prediction.mean, true_scores(others))[0, 1] > 0.5


CHECKS = tuple(value for name, value in sorted(globals().items()) if name.startswith("check_"))
