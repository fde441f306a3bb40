"""What a prior says without a label: of the architectures of a space, and of one module."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy
import pytest
import torch
from torch import nn

from nas.prediction.one_module import NEAR, judge, load_module
from nas.prediction.predicting import ranked
from nas.prediction.unlabelled import known_prior, known_space
from nas.strategies.prior import LEAST_TRUST
from nas.strategies.reading import reader_of
from predictors.prior.experts import FARTHEST, Prior
from spaces import Architecture, Graph, GraphBuilder, SearchSpace, Shapes
from spaces.load import load_space
from spaces.operators import sample_graph

CELLS = load_space("nasbench201")
OF_CELLS = ("nasbench201", "nasbench201_latency")
MODULES = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.body, self.head = nn.Conv2d(width, width, 3, padding=1), nn.Linear(width, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        return self.head(torch.relu(self.body(x)).mean((2, 3)))


def made():
    return Net(64)


ready = Net(8)


def of(width):
    return Net(width)


def number():
    return 3
"""


@pytest.fixture(scope="module")
def prior() -> Prior:
    return known_prior("shipped")


def cell(*operations: str) -> Architecture:
    edges = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    return Architecture("nasbench201", tuple(zip(edges, operations, strict=True)))


GOOD = cell(*("nor_conv_3x3",) * 3, "skip_connect", *("nor_conv_3x3",) * 2)
POOR = cell(*("avg_pool_3x3",) * 3, "none", "skip_connect", "avg_pool_3x3")


def test_a_space_is_ranked_by_what_other_tables_teach(prior: Prior) -> None:
    known = known_space(CELLS, prior.without(OF_CELLS), cost=False, seed=0)
    assert known.tables
    assert not any(asked.is_own for asked in known.tables)
    assert [asked.distance for asked in known.tables] == sorted(
        asked.distance for asked in known.tables
    )
    assert sum(asked.share for asked in known.tables) == pytest.approx(1)
    assert LEAST_TRUST < known.correlation < 1
    candidates = [(item, CELLS.graph(item)) for item in (POOR, GOOD)]
    best, worst = ranked(known.predictor, candidates).best
    assert (best.architecture, worst.architecture) == (GOOD, POOR)
    assert best.mean > 1
    assert worst.mean < -1
    assert best.std == pytest.approx(numpy.sqrt(1 - known.correlation**2), rel=1e-6)


def test_a_table_of_the_space_itself_is_named(prior: Prior) -> None:
    seen = known_space(CELLS, prior, cost=False, seed=0)
    assert "nasbench201" in {asked.table for asked in seen.tables if asked.is_own}
    by_cost = known_space(CELLS, prior, cost=True, seed=0)
    assert by_cost.tables[0].table == "nasbench201_latency"
    assert by_cost.tables[0].is_own
    assert len(by_cost.tables[0].columns) > 1


def test_costs_are_ranked_by_what_a_device_executes(prior: Prior) -> None:
    # The convolution of the second cell does not reach the output. A device executes it.
    idle = cell("none", "skip_connect", *("none",) * 4)
    busy = cell("nor_conv_3x3", "skip_connect", *("none",) * 4)
    graphs = [CELLS.graph(idle), CELLS.graph(busy)]
    needed = reader_of(CELLS).rows(graphs)
    executed = reader_of(CELLS, executed=True).rows(graphs)
    assert needed is not None
    assert executed is not None
    numpy.testing.assert_array_equal(needed[0], needed[1])
    assert executed[1, 1] > executed[0, 1]
    known = known_space(CELLS, prior, cost=True, seed=0)
    cheap, dear = known.predictor.predict(graphs).mean
    assert cheap > dear
    candidates = list(zip((busy, idle), graphs[::-1], strict=True))
    low = ranked(known.predictor, candidates, sign=-1.0, distinct=False).best
    assert [item.architecture for item in low] == [idle, busy]
    assert [item.mean for item in low] == pytest.approx([-cheap, -dear])


def test_a_prior_that_says_nothing_of_a_space_says_why(prior: Prior) -> None:
    def other(choose: object) -> Graph:
        builder = GraphBuilder()
        node = builder.input()
        for _ in range(400):
            node = builder.node("linear", node, out_features=4)
        return builder.output(node)

    strange = SearchSpace("strange", other, Shapes((4,), (4,)))
    far = [row for row, each in enumerate(prior.experts) if each.table == "timm"]
    with pytest.raises(ValueError, match=rf"knows no networks like .*from {FARTHEST:.1f} on"):
        known_space(strange, prior.only(far), cost=False, seed=0)
    with pytest.raises(ValueError, match="all networks of 'strange' look alike"):
        known_space(strange, prior, cost=False, seed=0)
    with pytest.raises(ValueError, match="only describes its architectures"):
        known_space(load_space("nasbench_graph"), prior, cost=False, seed=0)
    with pytest.raises(ValueError, match="no expert of any cost"):
        known_space(CELLS, prior.only([0]), cost=True, seed=0)
    with pytest.raises(ValueError, match="--prior none"):
        known_prior("none")


def test_a_network_of_a_table_gets_its_place_there(prior: Prior) -> None:
    rows = {True: CELLS.build(GOOD), False: CELLS.build(POOR)}
    judged = {good: judge(prior, module, CELLS.shapes) for good, module in rows.items()}
    values = {}
    for good, each in judged.items():
        assert each.parameters == sum(item.numel() for item in rows[good].parameters())
        by_table = {said.expert.table: said for said in each.scores.opinions}
        values[good] = by_table["nasbench201"].expected
    assert values[True].better_than > 0.8
    assert values[False].better_than < 0.3
    assert values[True].value > values[False].value + 1
    for said in judged[True].scores.opinions:
        assert said.lowest.value < said.expected.value < said.highest.value
        assert said.lowest.better_than < said.expected.better_than < said.highest.better_than
    assert judged[True].costs.opinions
    for said in judged[True].costs.opinions:
        assert said.lowest.value < said.expected.value < said.highest.value
        assert said.lowest.better_than > said.expected.better_than > said.highest.better_than


def test_the_nearer_an_expert_the_narrower_its_interval(prior: Prior) -> None:
    opinions = judge(prior, CELLS.build(GOOD), CELLS.shapes).scores.opinions
    widths = [said.highest.better_than - said.lowest.better_than for said in opinions]
    distances = [said.distance for said in opinions]
    assert distances == sorted(distances)
    assert max(distances) < NEAR
    nearest, farthest = opinions[0], opinions[-1]
    assert nearest.correlation > farthest.correlation >= LEAST_TRUST
    assert widths[0] < widths[-1]


def test_no_expert_is_asked_of_networks_beyond_its_own(prior: Prior) -> None:
    tiny = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    judged = judge(prior, tiny, Shapes((16,), (2,)))
    for part, cost in ((judged.scores, False), (judged.costs, True)):
        assert part.opinions == ()
        tables = {expert.table for expert in prior.experts if expert.cost == cost}
        assert {each.table for each in part.unasked} == tables
        assert any(each.is_far for each in part.unasked)
    # These networks are as those of the table, but for being wider than all of them.
    wide = nn.Sequential(
        nn.Conv2d(3, 1024, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(1024, 1024, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )
    unasked = {each.table: each for each in judge(prior, wide, CELLS.shapes).costs.unasked}
    assert not unasked["nasbench201_latency"].is_far


def test_a_module_is_loaded_without_memory(tmp_path: Path) -> None:
    file = tmp_path / "modules.py"
    file.write_text(MODULES)
    made, ready = load_module(f"{file}:made"), load_module(f"{file}:ready")
    assert all(item.is_meta for item in made.parameters())
    assert not any(item.is_meta for item in ready.parameters())
    for name, part in (
        ("of", "needs width"),
        ("number", "it returned the type int"),
        ("MODULES", "has no 'MODULES'"),
    ):
        with pytest.raises(ValueError, match=part):
            load_module(f"{file}:{name}")
    with pytest.raises(ValueError, match=r"my_file\.py:network"):
        load_module("network")


def test_what_cannot_be_judged_is_refused(prior: Prior) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = nn.Parameter(torch.zeros(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer.expand(len(x), 4)

    with pytest.raises(ValueError, match="no tensor that depends on its input"):
        judge(prior, Constant(), Shapes((3, 8, 8), (4,)))
    head = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(ValueError, match=r"returns the shape 4 .*it returns 5"):
        judge(prior, head, Shapes((3, 2, 2), (4,)), check_output=True)
    with pytest.raises(ValueError, match="Sequential cannot be run"):
        judge(prior, head, Shapes((3, 4, 4), (5,)))


def test_every_architecture_is_asked_once_or_each_time(prior: Prior) -> None:
    known = known_space(CELLS, prior, cost=False, seed=1)
    drawn = [sample_graph(CELLS, Random(number)) for number in range(12)]
    assert len(ranked(known.predictor, [*drawn, *drawn], distinct=False).best) == 24
    once = ranked(known.predictor, [*drawn, *drawn])
    assert (len(once.best), once.looked_at) == (len({item.canonical for item in once.best}), 24)
