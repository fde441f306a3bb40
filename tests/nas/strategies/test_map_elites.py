"""Descriptors by hand, archives against brute force, and what MAP-Elites adds to the contract."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.config.compose import strategy_of
from nas.config.config import ConfigError, parse_config, schema
from nas.objectives.archive import archive, illumination, scores
from nas.objectives.descriptors import Descriptor, cell_of, check, describe, label
from nas.record.history import EMPTY
from nas.strategies import Evolution, MapElites, RandomSearch, SurrogateSearch
from predictors import PREDICTORS, Ridge
from spaces import Chooser, Graph, GraphBuilder, SearchSpace
from spaces.canonical import canonical_key
from spaces.domains import Answer
from spaces.nasbench201 import space as nasbench201
from spaces.nasbench_graph import space as nasbench_graph
from spaces.operators import sample
from spaces.ops import costs
from tests.contracts.strategy_contract import CELLS, check_strategy, play, score

WIDE = (Descriptor("count:conv2d"), Descriptor("count:relu"), Descriptor("longest:max_pool2d,tanh"))
PLAIN = MapElites(descriptors=WIDE, initial=8)
STRATEGIES = {
    "plain": PLAIN,
    "children of two parents": replace(PLAIN, children=6, crossover=0.5),
    "predictor": replace(PLAIN, predictor=Ridge(), candidates=20),
}


def cell(*ops: str) -> Graph:
    """The cell of NAS-Bench-201 with these operations on the edges 0->1, 0->2, 1->2, 0->3, 1->3,
    2->3.
    """
    names: dict[str, Answer] = dict(
        zip(
            ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"),
            ops,
            strict=True,
        )
    )
    returned = nasbench201.run(Chooser(names))
    assert isinstance(returned, Graph)
    return returned


C3, C1, SKIP, NONE, POOL = "nor_conv_3x3", "nor_conv_1x1", "skip_connect", "none", "avg_pool_3x3"
CHAIN = cell(C3, NONE, C1, NONE, NONE, POOL)
# The convolution on 0->1 leads nowhere.
HALF = cell(C3, SKIP, NONE, NONE, NONE, C1)
DEAD = cell(C3, NONE, NONE, NONE, NONE, C3)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_contract(strategy: MapElites) -> None:
    check_strategy(strategy)


@pytest.mark.parametrize(
    ("name", "chain", "half", "dead"),
    [
        ("depth", 4, 2, 0),
        ("nodes", 3, 1, 0),
        (f"count:{C3}", 1, 0, 0),
        (f"count:{C1}", 1, 1, 0),
        (f"written:{C3}", 1, 1, 2),
        (f"longest:{C3},{C1}", 2, 1, -1),
        (f"longest:{POOL}", 1, 0, -1),
    ],
)
def test_descriptors_by_hand(name: str, chain: int, half: int, dead: int) -> None:
    assert [describe(nasbench201, graph, name) for graph in (CHAIN, HALF, DEAD)] == [
        chain,
        half,
        dead,
    ]


def test_the_longest_path_is_the_one_with_the_most_of_the_operations() -> None:
    builder = GraphBuilder()
    value = builder.input()
    long = value
    for _ in range(5):
        long = builder.node("relu", long)
    short = builder.node("conv2d", builder.node("conv2d", value))
    graph = builder.output(builder.node("add", long, short))
    assert describe(CELLS, graph, "longest:conv2d") == 2
    assert describe(CELLS, graph, "longest:relu, conv2d") == 5
    assert describe(CELLS, graph, "depth") == 7


def test_parameters_and_multiply_adds_are_those_of_the_network() -> None:
    for graph in (CHAIN, HALF):
        counted = costs(nasbench201.network_graph(graph), nasbench201.shapes.input)
        assert describe(nasbench201, graph, "parameters") == counted.parameters
        assert describe(nasbench201, graph, "multiply_adds") == counted.multiply_adds


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_one_network_lies_in_one_cell(random: Random) -> None:
    descriptors = (
        Descriptor("depth"),
        Descriptor("nodes"),
        Descriptor(f"count:{C3}"),
        Descriptor(f"longest:{C3},{C1}"),
    )
    cells: dict[str, tuple[int, ...]] = {}
    for architecture in (sample(nasbench201, random) for _ in range(40)):
        own = cell_of(nasbench201, architecture, descriptors)
        assert cells.setdefault(canonical_key(nasbench201.graph(architecture)), own) == own


def test_edges_divide_values_into_ranges() -> None:
    descriptor = Descriptor("multiply_adds", (10.0, 20.0))
    assert [label(descriptor, place) for place in range(3)] == ["< 10", "10 to 20", "≥ 20"]
    assert [label(Descriptor("parameters", (2e5, 1.5e6)), place) for place in range(3)] == [
        "< 200k",
        "200k to 1.5M",
        "≥ 1.5M",
    ]
    assert label(Descriptor("longest:a"), -1) == "−1"
    architecture = sample(nasbench201, Random(0))
    own = describe(nasbench201, nasbench201.graph(architecture), "multiply_adds")
    for edge, place in ((own, 1), (own + 1, 0), (own - 1, 1)):
        assert cell_of(
            nasbench201, architecture, (Descriptor("multiply_adds", (float(edge),)),)
        ) == (place,)


@pytest.mark.parametrize(
    ("descriptors", "message"),
    [
        ((Descriptor("latency"),), "no descriptor 'latency'. Known are depth, nodes"),
        ((Descriptor("count:"),), "no descriptor 'count:'"),
        ((Descriptor("count:a,b"),), "no descriptor 'count:a,b'"),
        ((Descriptor("longest:a,"),), "no descriptor 'longest:a,'"),
        ((Descriptor("depth:a"),), "no descriptor 'depth:a'"),
        ((Descriptor("parameters"),), "needs edges"),
        ((Descriptor("depth", (3.0, 3.0)),), "must rise"),
        ((Descriptor("depth"), Descriptor("depth", (2.0,))), "each once; got depth, depth"),
        ((), "one descriptor or more, each once; got none"),
    ],
)
def test_descriptors_that_make_no_sense_are_refused(
    descriptors: tuple[Descriptor, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check(descriptors)
    with pytest.raises(ValueError, match=message):
        MapElites(descriptors=descriptors)


def test_a_space_that_makes_no_networks_has_no_parameters() -> None:
    with pytest.raises(ValueError, match="cannot be told in the space 'nasbench_graph'"):
        cell_of(
            nasbench_graph, sample(nasbench_graph, Random(0)), (Descriptor("parameters", (1e6,)),)
        )


def test_the_archive_is_the_best_of_each_cell() -> None:
    history = play(RandomSearch(), CELLS, rounds=10, count=6, score=score)
    elites = archive(CELLS, history.observed, WIDE)
    assert set(elites) == {cell_of(CELLS, trial.architecture, WIDE) for trial in history.trials}
    for key, elite in elites.items():
        rivals = [
            trial for trial in history.trials if cell_of(CELLS, trial.architecture, WIDE) == key
        ]
        assert elite == min(rivals, key=lambda trial: (-trial.score, trial.number))
    assert scores(elites) == {key: elite.score for key, elite in elites.items()}
    assert archive(CELLS, (), WIDE) == {}


def test_figures_by_hand() -> None:
    best = {(0,): 10.0, (1,): 20.0, (2,): 5.0, (3,): 5.0}
    told = illumination({(0,): 5.0, (1,): 20.0}, best)
    assert (told.coverage, told.quality_diversity, told.quality_diversity_share) == (
        0.5,
        25.0,
        25 / 40,
    )
    assert (told.global_performance, told.reliability, told.precision) == (1.0, 1.5 / 4, 0.75)
    assert illumination(best, best).reliability == illumination(best, best).precision == 1.0
    shifted = illumination({(0,): 5.0}, best, offset=4.0)
    assert (shifted.quality_diversity, shifted.precision, shifted.global_performance) == (
        1.0,
        1 / 6,
        1 / 16,
    )
    assert illumination({}, best).precision == 0.0


@given(
    st.dictionaries(
        st.integers(0, 20),
        st.tuples(st.floats(1, 100), st.floats(0.01, 1), st.booleans()),
        min_size=1,
    )
)
def test_reliability_is_coverage_times_precision(
    cells: dict[int, tuple[float, float, bool]],
) -> None:
    best = {(key,): value for key, (value, _, _) in cells.items()}
    told = illumination(
        {(key,): value * share for key, (value, share, filled) in cells.items() if filled}, best
    )
    assert told.reliability == pytest.approx(told.coverage * told.precision)
    assert all(
        0 <= figure <= 1 + 1e-9
        for figure in (
            told.coverage,
            told.quality_diversity_share,
            told.global_performance,
            told.precision,
        )
    )


@pytest.mark.parametrize(
    ("found", "best", "message"),
    [
        ({}, {}, "no cell"),
        ({}, {(0,): 0.0}, "above the offset"),
        ({(1,): 1.0}, {(0,): 1.0}, "not among the 1"),
    ],
)
def test_figures_need_what_they_compare_with(found: dict, best: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        illumination(found, best)


def test_children_are_one_step_from_an_elite() -> None:
    history = EMPTY
    for rounds in range(3, 12):
        history = play(PLAIN, CELLS, rounds, 4, score)
        elites = archive(CELLS, history.observed, WIDE).values()
        for child in PLAIN.ask(CELLS, history, 4, 0).proposals:
            assert child.origin == "mutation"
            decided = set(child.architecture.decisions)
            assert any(len(decided - set(elite.architecture.decisions)) == 1 for elite in elites)


def test_it_illuminates_more_than_random_and_evolution() -> None:
    def mean_filled(strategy: MapElites | RandomSearch | Evolution) -> float:
        return float(
            numpy.mean(
                [
                    len(archive(CELLS, play(strategy, CELLS, 15, 4, score, seed).observed, WIDE))
                    for seed in range(3)
                ]
            )
        )

    others = max(mean_filled(RandomSearch()), mean_filled(Evolution(population=8, tournament=4)))
    assert mean_filled(replace(PLAIN, children=6)) > others


def test_the_least_tried_cells_come_first() -> None:
    history = play(PLAIN, CELLS, 6, 4, score)
    filled = archive(CELLS, history.observed, WIDE)
    proposals = replace(PLAIN, children=30).ask(CELLS, history, 3, 0).proposals
    cells = [cell_of(CELLS, proposal.architecture, WIDE) for proposal in proposals]
    assert len(set(cells)) == 3
    assert not set(cells) & set(filled)


def test_with_a_predictor_only_what_should_improve_is_proposed() -> None:
    strategy = replace(PLAIN, predictor=Ridge(), candidates=60)
    history = play(strategy, CELLS, 8, 4, score)
    elites = archive(CELLS, history.observed, WIDE)
    proposals = strategy.ask(CELLS, history, 4, 0).proposals
    cells = [cell_of(CELLS, proposal.architecture, WIDE) for proposal in proposals]
    assert len(set(cells)) == len(cells) == 4
    for own, proposal in zip(cells, proposals, strict=True):
        assert proposal.prediction is not None
        assert own not in elites or proposal.prediction.mean > elites[own].score


def test_what_does_not_tell_architectures_apart_is_said() -> None:
    told = MapElites(
        descriptors=(Descriptor("count:conv2d"), Descriptor("count:conv3d")), initial=8
    )
    history = play(told, CELLS, 4, 4, score)
    assert "all alike in count:conv3d" in told.ask(CELLS, history, 2, 0).note


def test_a_space_that_refuses_every_mutation_is_searched_at_random() -> None:
    def single(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        return builder.output(
            builder.node("relu", builder.input(), width=choose.integer("width", 1, 1))
        )

    space = SearchSpace("single", single)
    history = play(MapElites(initial=2), space, 3, 1, score=lambda architecture: 1.0)
    assert len(history.trials) == 1


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"initial": 1}, "initial >= 2"),
        ({"children": 0}, "children >= 1"),
        ({"candidates": -1}, "candidates >= 0"),
        ({"crossover": 1.5}, "share between 0 and 1"),
        ({"candidates": 10}, "asks a predictor and has none"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given_settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapElites(**given_settings)


def configured(**strategy: object) -> MapElites | SurrogateSearch:
    return strategy_of(
        parse_config(
            {"space": "nasbench201", "task": "digits", "predictor": "ridge", "strategy": strategy},
            "a test",
        )
    )  # type: ignore[return-value]


def test_a_configuration_gives_descriptors_and_the_predictor() -> None:
    named = [{"name": "depth"}, {"name": "parameters", "edges": ["1e5", 3e5]}]
    strategy = configured(name="map_elites", descriptors=named, candidates=50)
    assert isinstance(strategy, MapElites)
    assert strategy.descriptors == (Descriptor("depth"), Descriptor("parameters", (1e5, 3e5)))
    assert strategy.predictor == PREDICTORS["ridge"]() == configured(name="surrogate").predictor
    assert "Descriptor" in schema()["$defs"]


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        (
            {"descriptors": [{"name": "depth", "egdes": [1]}]},
            r"strategy.descriptors.0.egdes: unexpected keyword",
        ),
        ({"descriptors": [{"name": "dept"}]}, "no descriptor 'dept'"),
        ({"predictor": "ridge"}, "has no setting 'predictor'"),
    ],
)
def test_mistakes_in_a_configuration_are_told(given_settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(name="map_elites", **given_settings)
