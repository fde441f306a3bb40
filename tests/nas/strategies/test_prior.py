"""The beginning of a search that knows something."""

from __future__ import annotations

import numpy as np
import pytest

from nas.record.history import EMPTY
from nas.strategies import SurrogateSearch
from nas.strategies.prior import LEAST_TRUST, first_design, how_right, known_before
from predictors import predictor
from spaces.load import load_space
from tests.nas.strategies.test_surrogate import evaluated

QUICK = predictor("quick")
SPACE = load_space("nasbench201")


def score(architecture) -> float:
    """More and larger convolutions are better, as in the published table."""
    worth = {"nor_conv_3x3": 3.0, "nor_conv_1x1": 2.0, "skip_connect": 1.0, "avg_pool_3x3": 0.5}
    return sum(worth.get(answer, 0.0) for answer in architecture.answers.values())


def observe(architecture):
    from nas.evaluators.evaluator import Observation

    return Observation(score(architecture))


def test_the_prior_knows_spaces_like_those_that_it_has_seen() -> None:
    known = known_before(SPACE, QUICK, 0)
    assert known is not None
    assert known.trust >= LEAST_TRUST


def test_nothing_is_known_without_a_prior_or_without_networks() -> None:
    assert known_before(SPACE, predictor("quick", prior="none"), 0) is None
    assert known_before(SPACE, predictor("gp"), 0) is None
    assert known_before(load_space("nasbench_graph"), QUICK, 0) is None


def test_the_first_design_is_better_than_random_ones_and_no_two_are_alike() -> None:
    known = known_before(SPACE, QUICK, 0)
    assert known is not None
    chosen = first_design(SPACE, EMPTY, 8, 0, known)
    assert len({proposal.canonical for proposal in chosen}) == 8
    random = SurrogateSearch(predictor("quick", prior="none")).ask(SPACE, EMPTY, 8, 0).proposals
    scores = [score(proposal.architecture) for proposal in chosen]
    assert np.mean(scores) > max(np.mean([score(each.architecture) for each in random]), 9.0)


def test_a_second_batch_of_the_design_goes_on() -> None:
    strategy = SurrogateSearch(QUICK, initial=8)
    first = strategy.ask(SPACE, EMPTY, 4, 0)
    assert "by the prior" in first.note
    history = evaluated(EMPTY, first.proposals, observe)
    second = strategy.ask(SPACE, history, 4, 0)
    assert "by the prior" in second.note
    keys = {proposal.canonical for proposal in (*first.proposals, *second.proposals)}
    assert len(keys) == 8


def test_the_design_is_the_same_in_every_run_of_a_seed() -> None:
    strategy = SurrogateSearch(QUICK)
    first, again, other = (strategy.ask(SPACE, EMPTY, 4, seed).proposals for seed in (0, 0, 1))
    assert [each.canonical for each in first] == [each.canonical for each in again]
    assert [each.canonical for each in first] != [each.canonical for each in other]


def test_the_run_says_how_right_the_prior_was() -> None:
    strategy = SurrogateSearch(QUICK, initial=4, candidates=20)
    history = evaluated(EMPTY, strategy.ask(SPACE, EMPTY, 4, 0).proposals, observe)
    assert "the prior ranked the first 4 scores" in strategy.ask(SPACE, history, 4, 0).note
    assert how_right(SPACE, predictor("gp"), history.observed, 0) == ""


@pytest.mark.parametrize("name", ["gp", "gnn"])
def test_other_predictors_begin_at_random(name: str) -> None:
    assert "random" in SurrogateSearch(predictor(name)).ask(SPACE, EMPTY, 4, 0).note
