"""The strategy `map_elites`: its contract, its choice of children, and its settings."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest

from nas.config.json_schema import schema
from nas.config.loading import parse_config
from nas.config.sections import ConfigError
from nas.config.strategy import strategy_of
from nas.objectives.descriptors import Descriptor, cell_of
from nas.objectives.elite_archive import archive
from nas.record.history import EMPTY
from nas.strategies import Evolution, MapElites, RandomSearch, SurrogateSearch
from predictors import PREDICTORS, Ridge
from spaces import Chooser, Graph, GraphBuilder, SearchSpace
from tests.contracts.strategy_contract import CELLS, check_strategy, play, score

WIDE = (Descriptor("count:conv2d"), Descriptor("count:relu"), Descriptor("longest:max_pool2d,tanh"))
PLAIN = MapElites(descriptors=WIDE, initial=8)
STRATEGIES = {
    "plain": PLAIN,
    "children of two parents": replace(PLAIN, children=6, crossover=0.5),
    "predictor": replace(PLAIN, predictor=Ridge(), candidates=20),
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_contract(strategy: MapElites) -> None:
    check_strategy(strategy)


def test_children_are_one_step_from_an_elite() -> None:
    history = EMPTY
    for rounds in range(3, 12):
        history = play(PLAIN, CELLS, rounds, 4, score)
        elites = archive(CELLS, history.observed, WIDE).values()
        children = PLAIN.ask(CELLS, history, 4, 0).proposals
        assert len(children) == 4
        for child in children:
            assert child.origin == "mutation"
            decided = set(child.architecture.decisions)
            assert any(len(decided - set(elite.architecture.decisions)) == 1 for elite in elites)


def test_it_fills_more_cells_than_random_and_evolution() -> None:
    def mean_filled(strategy: MapElites | RandomSearch | Evolution) -> float:
        histories = [play(strategy, CELLS, 15, 4, score, seed) for seed in range(3)]
        filled = [len(archive(CELLS, history.observed, WIDE)) for history in histories]
        return float(numpy.mean(filled))

    others = max(mean_filled(RandomSearch()), mean_filled(Evolution(population=8, tournament=4)))
    assert mean_filled(replace(PLAIN, children=6)) > others


def test_the_least_tried_cells_come_first() -> None:
    history = play(PLAIN, CELLS, 6, 4, score)
    filled = archive(CELLS, history.observed, WIDE)
    proposals = replace(PLAIN, children=30).ask(CELLS, history, 3, 0).proposals
    cells = [cell_of(CELLS, proposal.architecture, WIDE) for proposal in proposals]
    assert len(set(cells)) == 3
    assert filled
    assert not set(cells) & set(filled)


def test_with_a_predictor_only_what_should_improve_is_proposed() -> None:
    strategy = replace(PLAIN, predictor=Ridge(), candidates=60)
    history = play(strategy, CELLS, 8, 4, score)
    elites = archive(CELLS, history.observed, WIDE)
    proposals = strategy.ask(CELLS, history, 4, 0).proposals
    cells = [cell_of(CELLS, proposal.architecture, WIDE) for proposal in proposals]
    assert len(set(cells)) == len(cells) == 4
    assert set(cells) & set(elites)
    for own, proposal in zip(cells, proposals, strict=True):
        assert proposal.prediction is not None
        assert own not in elites or proposal.prediction.mean > elites[own].score


def test_the_note_names_descriptors_in_which_all_architectures_are_alike() -> None:
    descriptors = (Descriptor("count:conv2d"), Descriptor("count:conv3d"))
    strategy = MapElites(descriptors=descriptors, initial=8)
    history = play(strategy, CELLS, 4, 4, score)
    assert "all alike in count:conv3d" in strategy.ask(CELLS, history, 2, 0).note


def test_a_space_that_refuses_every_mutation_is_searched_at_random() -> None:
    def single(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        width = choose.integer("width", 1, 1)
        return builder.output(builder.node("relu", builder.input(), width=width))

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
        ({"candidates": 10}, "needs a predictor and has none"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given_settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapElites(**given_settings)


def configured(**strategy: object) -> MapElites | SurrogateSearch:
    """The strategy of a configuration with these settings."""
    values = {
        "space": "nasbench201",
        "task": "digits",
        "predictor": "ridge",
        "strategy": strategy,
    }
    made = strategy_of(parse_config(values, "a test"))
    assert isinstance(made, MapElites | SurrogateSearch)
    return made


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
def test_mistakes_in_a_configuration_are_reported(given_settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(name="map_elites", **given_settings)
