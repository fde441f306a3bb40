"""Rungs: who is promoted and when, what it costs, and what the strategy below sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.config.compose import compose, strategy_of
from nas.config.config import ConfigError, load_config, parse_config
from nas.evaluators.evaluator import Failed, Observation
from nas.record.history import (
    EMPTY,
    History,
    Predicted,
    Proposal,
    Trial,
    fold,
    outcome_event,
    round_event,
)
from nas.record.scorecard import scorecard
from nas.record.trust import named_code
from nas.strategies import (
    ASHA,
    NSGA2,
    STRATEGIES,
    Evolution,
    Hyperband,
    LocalSearch,
    RandomSearch,
    Strategy,
    SurrogateSearch,
)
from nas.strategies.rungs import lifted, lifts, rungs, rungs_of
from nas.strategies.strategy import Asked
from predictors import PREDICTORS
from spaces import Architecture, SearchSpace
from tests.contracts.strategy_contract import CELLS, check_strategy, networks, play, score

SURROGATE = SurrogateSearch(PREDICTORS["ridge"](), initial=6, candidates=60)
OVERS = {
    "random": RandomSearch(),
    "evolution": Evolution(6, 3),
    "local": LocalSearch(4),
    "surrogate": SURROGATE,
    "nsga2": NSGA2(population=6),
}

NINTH, THIRD = 3.0**-2, 3.0**-1


@pytest.mark.parametrize("over", OVERS.values(), ids=OVERS)
def test_asha_keeps_the_contract(over: Strategy) -> None:
    check_strategy(ASHA(over))


@pytest.mark.parametrize("over", [RandomSearch(), SURROGATE], ids=["random", "surrogate"])
def test_hyperband_keeps_the_contract(over: Strategy) -> None:
    check_strategy(Hyperband(over))


def test_rungs_go_down_as_far_as_least() -> None:
    assert rungs(3, 0.1111) == rungs(3, 1 / 9) == rungs(3, 0.05) == (NINTH, THIRD, 1.0)
    assert len(rungs(3, 0.037)) == 4
    assert rungs(2, 0.25) == (0.25, 0.5, 1.0)
    assert rungs(4, 0.1111) == (0.25, 1.0)
    assert rungs_of(RandomSearch()) == (1.0,)
    assert rungs_of(ASHA()) == (NINTH, THIRD, 1.0)


# Histories made by hand: an architecture is a letter's number.


def architecture(number: int) -> Architecture:
    return Architecture("letters", (("letter", number),))


@dataclass(frozen=True)
class Letters:
    """The next new letter, without a look at the scores; with `predicts` it believes that each
    scores its number.
    """

    predicts: bool = False
    last: int = 100

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        letters = [trial.architecture.answers["letter"] for trial in history.trials]
        assert letters == sorted(set(letters)), "each once, in their order"
        first = letters[-1] + 1 if letters else 0
        assert all(trial.fidelity == 1.0 and trial.continues is None for trial in history.trials)
        new = range(first, min(first + count, self.last))
        return Asked(
            tuple(
                Proposal(
                    architecture(n),
                    "letter",
                    Predicted(float(n), 1, 1) if self.predicts else None,
                    f"key{n}",
                )
                for n in new
            )
        )


def go_on(history: History, proposals, outcome) -> History:
    """The proposals as the next round, with an outcome each: `outcome(letter, fidelity)` is a
    score, or None for a failure.
    """
    first, number = len(history.trials), len(history.rounds)
    trials = []
    for place, item in enumerate(proposals):
        seed = first + place if item.continues is None else history.trial(item.continues).seed
        trials.append(
            Trial(
                first + place,
                number,
                "search",
                item.architecture,
                item.origin,
                item.prediction,
                item.canonical,
                seed,
                None,
                item.fidelity,
            )
        )
        trials[-1] = replace(trials[-1], continues=item.continues)
    events = [round_event(number, "search", trials)]
    for trial in trials:
        value = outcome(trial.architecture.answers["letter"], trial.fidelity)
        events.append(
            outcome_event(
                trial.number, Failed("exception", "no") if value is None else Observation(value)
            )
        )
    return fold(events, history)


def ask(strategy: Strategy, history: History, count: int) -> Asked:
    return strategy.ask(CELLS, history, count, 0)


def brief(proposals) -> list[tuple[int, float, int | None]]:
    return [
        (item.architecture.answers["letter"], round(item.fidelity, 3), item.continues)
        for item in proposals
    ]


def test_asha_promotes_the_best_third_and_the_highest_rung_first() -> None:
    asha, history = ASHA(Letters()), EMPTY
    history = go_on(
        history, ask(asha, history, 8).proposals, lambda letter, fidelity: letter % 5 + fidelity
    )
    # Letters 4, 3 and 8 score highest; of eight a third is two, and of equals the older goes on.
    asked = ask(asha, history, 4)
    assert brief(asked.proposals) == [
        (4, 0.333, 4),
        (3, 0.333, 3),
        (8, 0.111, None),
        (9, 0.111, None),
    ]
    assert asked.note == "trials 4, 3 promoted to 1/3 of the epochs"
    assert [item.prediction for item in asked.proposals] == [None] * 4
    history = go_on(
        history, asked.proposals, lambda letter, fidelity: 1.0 if letter == 8 else letter + fidelity
    )
    # Letter 9 is among the best three of ten now; on the second rung two are too few for a third.
    assert brief(ask(asha, history, 2).proposals) == [(9, 0.333, 11), (10, 0.111, None)]
    history = go_on(history, ask(asha, history, 2).proposals, lambda letter, fidelity: letter)
    asked = ask(asha, history, 3)
    assert brief(asked.proposals) == [(9, 1.0, 12), (10, 0.333, 13), (11, 0.111, None)]
    assert asked.note == "trial 12 promoted to all epochs; trial 13 promoted to 1/3 of the epochs"


def test_asha_may_promote_more_than_a_third_where_later_ones_are_better() -> None:
    asha, history = ASHA(Letters()), EMPTY
    for _ in range(12):
        history = go_on(history, ask(asha, history, 1).proposals, lambda letter, fidelity: letter)
    first = [trial for trial in history.trials if trial.continues is None]
    assert sum(trial.fidelity == THIRD for trial in history.trials) > len(first) // 3


def test_failures_are_worst_and_never_promoted() -> None:
    for make in (ASHA, Hyperband):
        strategy, history = make(Letters()), EMPTY
        history = go_on(
            history,
            ask(strategy, history, 9).proposals,
            lambda letter, fidelity: letter if letter in (2, 5) else None,
        )
        promotions = [
            item for item in ask(strategy, history, 4).proposals if item.continues is not None
        ]
        assert brief(promotions) == [(5, 0.333, 5), (2, 0.333, 2)]
        history = go_on(history, promotions, lambda letter, fidelity: None)
        assert not [
            item for item in ask(strategy, history, 9).proposals if item.continues is not None
        ]


def test_brackets_are_those_of_the_paper() -> None:
    paper = Hyperband(RandomSearch(), 3, 0.0124)
    assert [paper.size(bracket) for bracket in range(6)] == [81, 34, 15, 8, 5, 81]
    assert [Hyperband(Letters()).size(bracket) for bracket in range(3)] == [9, 5, 3]


def test_a_bracket_is_halved_together_and_the_next_one_fills_the_batch() -> None:
    hyperband, history = Hyperband(Letters()), EMPTY
    history = go_on(history, ask(hyperband, history, 7).proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 4)
    assert brief(asked.proposals) == [
        (7, 0.111, None),
        (8, 0.111, None),
        (9, 0.333, None),
        (10, 0.333, None),
    ], "nobody goes on before all nine ended"
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 2)
    assert brief(asked.proposals) == [(8, 0.333, 8), (7, 0.333, 7)]
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 8)
    # The third of the rung first; then the second bracket's missing three, and the third bracket of
    # whole trainings.
    assert brief(asked.proposals)[:4] == [
        (6, 0.333, 6),
        (11, 0.333, None),
        (12, 0.333, None),
        (13, 0.333, None),
    ]
    assert brief(asked.proposals)[4:] == [
        (14, 1.0, None),
        (15, 1.0, None),
        (16, 1.0, None),
        (17, 0.111, None),
    ]
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    assert brief(ask(hyperband, history, 2).proposals) == [(8, 1.0, 11), (13, 1.0, 16)]


def test_where_nothing_new_is_left_the_brackets_are_halved_as_they_are() -> None:
    hyperband, history = Hyperband(Letters(last=4)), EMPTY
    for _ in range(6):
        history = go_on(
            history, ask(hyperband, history, 4).proposals, lambda letter, fidelity: letter
        )
    assert brief(history.trials) == [(n, 0.111, None) for n in range(4)] + [(3, 0.333, 3)]


# What is below.


def some_rungs() -> History:
    asha, history = ASHA(Letters(predicts=True)), EMPTY
    gain = {1.0: 20.0, THIRD: 10.0}
    for _ in range(6):
        history = go_on(
            history,
            ask(asha, history, 6).proposals,
            lambda letter, f: None if letter == 5 and f > NINTH else letter + gain.get(f, 0.0),
        )
    return history


def test_the_strategy_below_sees_each_architecture_once_on_the_scale_of_the_top() -> None:
    history = some_rungs()
    ladder = (NINTH, THIRD, 1.0)
    assert {trial.fidelity for trial in history.trials} == set(ladder)
    assert lifts(history, ladder) == {NINTH: 20.0, THIRD: 10.0, 1.0: 0.0}
    view = lifted(history, ladder)
    assert len(view.trials) == len(view.keys) == len(networks(history))
    # These gains are the same for all, so that the lifted score is exactly the one of a whole
    # training.
    assert all(
        trial.score == trial.architecture.answers["letter"] + 20.0 for trial in view.observed
    )
    assert [trial.architecture.answers["letter"] for trial in view.failed] == [5]
    assert sum(len(item.trials) for item in view.rounds) == len(view.trials)
    assert lifts(EMPTY, ladder) == dict.fromkeys(ladder, 0.0)


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)), min_size=9, max_size=30
    )
)
def test_the_order_within_a_rung_is_kept(values) -> None:
    asha, history = ASHA(Letters()), EMPTY
    for _ in range(6):
        history = go_on(
            history,
            ask(asha, history, 5).proposals,
            lambda letter, f: values[letter % len(values)][(NINTH, THIRD, 1.0).index(f)],
        )
    view = lifted(history, asha.rungs)
    for fidelity in asha.rungs:
        own = [trial for trial in history.latest if trial.fidelity == fidelity]
        seen = {trial.canonical: trial.score for trial in view.observed}
        ranks = [
            sorted(own, key=lambda trial: scores[trial.canonical])
            for scores in (seen, {trial.canonical: trial.score for trial in own})
        ]
        # Sums may make equals of neighbours, never turn them round.
        assert [seen[trial.canonical] for trial in ranks[0]] == [
            seen[trial.canonical] for trial in ranks[1]
        ]


def test_a_prediction_is_of_the_score_that_comes_out_on_its_rung() -> None:
    history = some_rungs()
    late = [trial for trial in history.trials if trial.continues is None][-3:]
    promoted = [trial for trial in history.trials if trial.continues is not None]
    assert all(trial.prediction is None for trial in promoted), (
        "what was predicted of the first score is not held against a later one"
    )
    # The strategy below believed in its own scale, where 20 is added, that the score is the
    # letter's number.
    assert all(
        trial.prediction is not None
        and trial.prediction.mean == trial.architecture.answers["letter"] - 20.0
        for trial in late
    )
    assert scorecard(promoted) == {"predicted": 0}
    view = {trial.canonical: trial for trial in lifted(history, (NINTH, THIRD, 1.0)).trials}
    assert all(
        view[trial.canonical].prediction.mean == trial.architecture.answers["letter"]
        for trial in late
    )  # type: ignore[union-attr]


# What always holds.


@settings(max_examples=25)
@given(st.data())
def test_nothing_is_promoted_twice_or_unjustly_and_the_budget_holds(data) -> None:
    make = data.draw(st.sampled_from([ASHA, Hyperband]))
    eta, least = data.draw(st.sampled_from([(2, 0.25), (3, 0.1111), (4, 0.25)]))
    strategy, history, budget = (
        make(Letters(last=200), eta, least),
        EMPTY,
        data.draw(st.integers(1, 5)),
    )
    random = numpy.random.default_rng(data.draw(st.integers(0, 1000)))
    count = data.draw(st.integers(1, 6))
    while proposals := history.affordable(ask(strategy, history, count).proposals, budget):
        for place, fidelity in enumerate(strategy.rungs[:-1]):
            rung = [trial for trial in history.trials if trial.fidelity == fidelity]
            best = sorted(
                (trial for trial in rung if trial.is_observed),
                key=lambda trial: (-trial.score, trial.number),
            )[: len(rung) // eta]
            going = [
                item.continues
                for item in proposals
                if item.fidelity == strategy.rungs[place + 1] and item.continues is not None
            ]
            if make is ASHA:
                assert set(going) <= {trial.number for trial in best}
            assert len(going) <= len(rung) // eta
            assert not {trial.continues for trial in history.trials} & set(going)
        history = go_on(
            history,
            proposals,
            lambda letter, f: None if random.random() < 0.2 else float(random.integers(10)),
        )
        assert history.spent <= budget + 1e-6
    if make is Hyperband:
        after = {trial.continues: trial for trial in history.trials}
        for _, members in strategy._begun(history):
            while members:
                going = [after[trial.number] for trial in members if trial.number in after]
                assert len(going) <= len(members) // eta, "over all rounds too"
                members = going


# As a configuration has it.


def config(strategy: object, **changes: object):
    table = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "fidelities": {0.3333: "c100_val_12"},
    }
    return parse_config(
        {
            "space": "nasbench201",
            "evaluator": table,
            "strategy": strategy,
            "executor": "inline",
            "predictor": "ridge",
            **changes,
        },
        "here",
    )


def test_over_is_made_like_any_strategy() -> None:
    over = strategy_of(
        config(
            {"name": "asha", "over": {"name": "surrogate", "kappa": 0.5}, "eta": 2, "least": 0.25}
        )
    ).over  # type: ignore[attr-defined]
    assert over == SurrogateSearch(PREDICTORS["ridge"](), kappa=0.5)
    assert strategy_of(config("hyperband")) == Hyperband(RandomSearch())
    assert strategy_of(config({"name": "asha", "over": "evolution"})) == ASHA(Evolution())
    assert STRATEGIES["asha"] is ASHA


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        (
            {"name": "asha", "over": {"name": "surrogate", "kapa": 1}},
            "strategy 'surrogate' has no setting 'kapa'; did you mean 'kappa'",
        ),
        ({"name": "asha", "over": "genetic"}, "no strategy is called 'genetic'. Known: "),
        (
            {"name": "asha", "over": 3},
            r"strategy\.over should be a name, or a section with `name` and settings; got 3",
        ),
        ({"name": "asha", "over": {"kappa": 1}}, r"strategy\.over should be a name"),
        (
            {"name": "asha", "over": "hyperband"},
            "asha goes over a strategy that trains every architecture fully; Hyperband has rungs",
        ),
        ({"name": "hyperband", "over": {"name": "asha", "over": "random"}}, "hyperband goes over"),
        ({"name": "asha", "eta": 1}, "asha needs eta >= 2"),
        ({"name": "hyperband", "least": 0.5}, r"at most 1 / eta = 0\.3333; got 0\.5"),
        ({"name": "asha", "least": 0}, "above 0"),
        ({"name": "random", "over": "random"}, "strategy 'random' has no setting 'over'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(strategy: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        strategy_of(config(strategy))


def test_fidelities_that_cannot_be_had_are_refused_before_anything_starts() -> None:
    with pytest.raises(
        ValueError, match=r"scores of the fidelities 0\.3333, 1 alone; got 0\.1111\. Name a column"
    ):
        compose(config("asha"))
    trained = {
        "space": "convnet",
        "task": "digits",
        "strategy": "asha",
        "executor": {"name": "inline", "devices": "cpu"},
    }
    with pytest.raises(
        ConfigError, match=r"after 1, 1, 3 of training\.epochs.*raise training\.epochs to 9 or more"
    ):
        compose(parse_config({**trained, "training": {"epochs": 3}}, "here"))
    assert compose(parse_config({**trained, "training": {"epochs": 9}}, "here")).arms


def test_code_below_is_code_that_a_run_names(tmp_path) -> None:
    (tmp_path / "own.py").write_text("from nas.strategies import RandomSearch as Own\n")
    (tmp_path / "c.yaml").write_text(
        "space: nasbench201\nevaluator: {name: table, path: t.npz, score: s}\nstrategy: {name: "
        "asha, over: own.py:Own}\n"
    )
    loaded = load_config(tmp_path / "c.yaml")
    assert named_code(loaded.model_dump(mode="json")) == (f"{tmp_path / 'own.py'}:Own",)
    assert strategy_of(loaded) == ASHA(strategy_of(loaded).over)  # type: ignore[attr-defined]
    inner = load_config(tmp_path / "c.yaml", ["strategy.over={name: own.py:Own}"])
    assert named_code(inner.model_dump(mode="json")) == (f"{tmp_path / 'own.py'}:Own",)


def test_the_journal_s_configuration_is_read_back() -> None:
    made = config({"name": "asha", "least": 0.3333})
    assert parse_config(made.model_dump(mode="json"), "there") == made


def test_halving_finds_better_ones_than_random_at_the_same_budget() -> None:
    def mean_best(strategy: Strategy, trials: int) -> float:
        return float(
            numpy.mean(
                [play(strategy, CELLS, trials // 4, 4, score, seed).best.score for seed in range(5)]
            )
        )  # type: ignore[union-attr]

    # 60 trials of ASHA are about 14 whole evaluations; here a low fidelity tells as much as a high
    # one.
    assert mean_best(ASHA(), 60) > mean_best(RandomSearch(), 16)
