"""Constraints: how they are written, who keeps them, and that a run with them ends well whatever is
feasible.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config.compose import check_numbers, compose, strategy_of
from nas.config.config import ConfigError, RunConfig, parse_config
from nas.evaluators.evaluator import Failed, Observation
from nas.export.weights import choose
from nas.objectives.constrained_space import check_told, completed, number_of, within
from nas.objectives.constraints import (
    CONSTRAINT,
    Constraint,
    best_first,
    broken,
    check,
    feasible,
    none_feasible,
    parse,
    seen_by,
    violation,
)
from nas.objectives.descriptors import describe
from nas.objectives.objective import SCORE, Objective
from nas.record.history import EMPTY, History, Trial, fold, outcome_event, round_event
from nas.report import headline, summarize, terminal_summary
from nas.search.run import resume, start
from nas.strategies import NSGA2, Evolution, RandomSearch
from spaces import Architecture, SearchSpace, Shapes
from spaces.cardinality import size
from spaces.load import load_space
from spaces.operators import crossover, enumerate_all, mutate, neighbours, sample

NAMES = st.from_regex(r"[a-z_]+(:[a-z0-9_]+(,[a-z0-9_]+)?)?", fullmatch=True)
BOUNDS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**12), 10**12).map(float)
)
CONSTRAINTS = st.builds(Constraint, NAMES, st.sampled_from(["<=", ">="]), BOUNDS)
CELLS = load_space("nasbench201")


def config(**changes: object) -> RunConfig:
    values = {
        "space": "nasbench201",
        "evaluator": {
            "name": "table",
            "path": "builtin:nasbench201",
            "score": "c100_val_200",
            "test": "c100_test_200",
            "metrics": {"latency": "c100_epoch_seconds"},
        },
        "strategy": {"name": "nsga2", "population": 8},
        "objectives": [{"name": "score"}, {"name": "parameters", "goal": "minimise"}],
        "constraints": ["parameters <= 4e5", "latency <= 20"],
        "executor": "inline",
        "budget": 24,
        **changes,
    }
    return parse_config(values, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """Watches without a word."""


def history_of(*outcomes: Observation | Failed | None) -> History:
    """A trial with each outcome; None: pending."""
    trials = [
        Trial(
            number, 0, "search", Architecture("s", (("a", number),)), "random", None, str(number), 0
        )
        for number in range(len(outcomes))
    ]
    ends = [
        outcome_event(number, outcome)
        for number, outcome in enumerate(outcomes)
        if outcome is not None
    ]
    return fold([round_event(0, "search", trials), *ends])


@given(CONSTRAINTS)
def test_a_constraint_is_read_as_it_is_written(constraint):
    assert parse(str(constraint)) == constraint
    assert parse(f"  {constraint.name}{constraint.sense}{constraint.bound!r} ") == constraint


@given(CONSTRAINTS, BOUNDS)
def test_a_constraint_is_kept_exactly_on_its_side_of_the_bound(constraint, value):
    kept = value <= constraint.bound if constraint.sense == "<=" else value >= constraint.bound
    assert (constraint.missed(value) == 0) == kept


@pytest.mark.parametrize(
    "text",
    [
        "parameters",
        "parameters < 5",
        "parameters == 5",
        "<= 5",
        "a <= b",
        "a <= nan",
        "a <= inf",
        "1 <= a <= 2",
        "",
    ],
)
def test_what_is_no_constraint_is_answered_by_a_sentence(text):
    with pytest.raises(ConfigError, match="NAME <= NUMBER or NAME >= NUMBER"):
        config(constraints=[text])


def test_bounds_that_contradict_each_other_are_refused():
    with pytest.raises(
        ConfigError, match="no architecture can keep both parameters >= 5 and parameters <= 4"
    ):
        config(constraints=["parameters >= 5", "latency <= 3", "parameters <= 4"])
    check(
        [
            Constraint("parameters", ">=", 5),
            Constraint("parameters", "<=", 5),
            Constraint("latency", "<=", 4),
        ]
    )


@pytest.mark.parametrize("given", ["parameters <= 3", [3]])
def test_constraints_are_a_list_of_texts(given):
    with pytest.raises(
        ConfigError,
        match=r'constraints.*: should be a list, such as \["parameters <= 1e6"\]; got [^\n]*$',
    ):
        config(constraints=given)


@pytest.mark.parametrize("given", ["score", ["score"], []])
def test_objectives_are_a_list_of_sections(given):
    with pytest.raises(
        ConfigError,
        match=r"objectives.*: should be a list, such as \[\{name: score\}, \{name: parameters, goal: minimise\}\]; got [^\n]*$",
    ):
        config(objectives=given)


def test_the_configuration_keeps_constraints_as_text():
    settings = config().model_dump(mode="json")
    assert settings["constraints"] == ["parameters <= 400000", "latency <= 20"]
    assert parse_config(settings, "again") == config()


def test_names_that_nothing_gives_are_refused_before_the_run():
    with pytest.raises(
        ConfigError,
        match=r"the constraint 'lateny' .*\(score, seconds, latency\), and there is no descriptor 'lateny'\. Known are depth",
    ):
        compose(config(constraints=["lateny <= 3"]))
    with pytest.raises(ConfigError, match=r"the objective 'size' is none of the numbers"):
        compose(config(objectives=[{"name": "score"}, {"name": "size"}], constraints=[]))
    with pytest.raises(
        ConfigError,
        match=r"no graph of the space 'nasbench201' has the operation 'nor_conv_3'; did you mean 'nor_conv_3x3'\?",
    ):
        compose(config(constraints=["count:nor_conv_3 <= 3"]))
    with pytest.raises(
        ConfigError, match=r"there is no descriptor 'paramters'; did you mean 'parameters'\?"
    ):
        check_numbers(config(constraints=["paramters <= 3"]))
    with pytest.raises(ValueError, match="cannot be told in the space 'nasbench_graph'"):
        check_told(load_space("nasbench_graph"), "parameters")


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=8),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_feasible_is_what_breaks_nothing(points, most, least):
    constraints = [Constraint("latency", "<=", most), Constraint("score", ">=", least)]
    history = history_of(
        *(Observation(score, 1.0, metrics=(("latency", latency),)) for score, latency in points),
        Failed("killed", "no"),
        None,
    )
    seen = feasible(history, constraints)
    kept = [
        number
        for number, (score, latency) in enumerate(points)
        if latency <= most and score >= least
    ]
    assert [trial.number for trial in seen.observed] == kept
    assert [
        trial.number for trial in history.observed if violation(trial, constraints) == 0
    ] == kept
    assert [replace(trial, outcome=None) for trial in seen.trials] == [
        replace(trial, outcome=None) for trial in history.trials
    ]
    assert seen.trials[-2:] == history.trials[-2:]
    assert (none_feasible(history, constraints) is None) == bool(kept)
    assert feasible(history, ()) is history


def test_a_broken_constraint_is_shown_with_its_value():
    constraints = [
        Constraint("latency", "<=", 5),
        Constraint("score", ">=", 0.9),
        Constraint("energy", "<=", 1),
    ]
    history = history_of(Observation(0.8, metrics=(("latency", 7.2),)))
    said = [str(each) for each in broken(history.trials[0], constraints)]
    assert said == [
        "breaks latency <= 5 (7.2)",
        "breaks score >= 0.9 (0.8)",
        "breaks energy <= 1 (not known)",
    ]
    outcome = feasible(history, constraints[:1]).trials[0].outcome
    assert outcome == Failed(CONSTRAINT, "breaks latency <= 5 (7.2)")
    close = broken(
        history_of(Observation(1.0, metrics=(("latency", 5.0000001),))).trials[0], constraints[:1]
    )
    assert str(close[0]) == "breaks latency <= 5 (5.0000001)"


def test_who_knows_the_constraints_sees_the_whole_history():
    constraints = (Constraint("latency", "<=", 5),)
    history = history_of(
        Observation(0.8, metrics=(("latency", 7.0),)), Observation(0.7, metrics=(("latency", 3.0),))
    )
    assert seen_by(NSGA2(), history, constraints) is history
    assert [trial.number for trial in seen_by(RandomSearch(), history, constraints).observed] == [1]
    assert strategy_of(config()).constraints == config().constraints  # type: ignore[attr-defined]


def test_every_operator_keeps_what_the_graph_tells():
    bounds = [parse("parameters <= 3.5e5"), parse("count:nor_conv_3x3 >= 1"), parse("nodes <= 5")]
    space, random = within(CELLS, bounds), Random(0)

    def kept(architecture: Architecture) -> bool:
        graph = CELLS.graph(architecture)
        return all(bound.missed(describe(CELLS, graph, bound.name)) == 0 for bound in bounds)

    drawn = [sample(space, random) for _ in range(20)]
    assert all(map(kept, drawn))
    assert all(kept(mutate(space, each, random)) for each in drawn)
    assert all(kept(crossover(space, one, other, random)) for one, other in pairwise(drawn))
    assert all(map(kept, neighbours(space, drawn[0], random)))
    some = list(islice(enumerate_all(space), 30))
    assert some == list(islice((each for each in enumerate_all(CELLS) if kept(each)), 30))
    outside = next(each for each in enumerate_all(CELLS) if not kept(each))
    assert space.graph(outside) == CELLS.graph(outside)


def test_a_limit_counts_in_the_size():
    space = within(CELLS, [parse("written:none >= 5")])
    assert size(space) == len(list(enumerate_all(space))) == 6 * 4 + 1


def test_a_module_s_program_is_held_too():
    from examples.torch_space import space as own

    bounded = within(own.for_shapes(Shapes((1, 8, 8), (10,))), [parse("parameters <= 3e4")])
    for seed in range(5):
        assert number_of(bounded, sample(bounded, Random(seed)), "parameters") <= 3e4  # type: ignore[operator]


def test_a_region_without_networks_is_answered_with_what_the_smallest_one_misses(tmp_path: Path):
    smallest = min(
        number_of(CELLS, sample(CELLS, Random(seed)), "parameters") for seed in range(60)
    )  # type: ignore[type-var]
    with pytest.raises(
        ValueError,
        match=r"parameters <= 100 \(1000 times, the nearest missed it by ([\d,]+)\)\. Loosen",
    ) as error:
        start(config(constraints=["parameters <= 100", "depth <= 9"]), tmp_path / "run", quiet)
    assert f"{smallest - 100:,.6g}" in str(error.value)  # type: ignore[operator]
    assert not (tmp_path / "run").exists()


def test_numbers_of_the_graph_stand_beside_those_of_the_evaluation():
    architecture = sample(CELLS, Random(0))
    told = completed(
        CELLS,
        architecture,
        Observation(0.5, metrics=(("parameters", 7.0),)),
        ["score", "parameters", "depth"],
    )
    assert told == Observation(
        0.5, metrics=(("parameters", 7.0), ("depth", number_of(CELLS, architecture, "depth")))
    )  # type: ignore[arg-type]
    lacking = completed(CELLS, architecture, Observation(0.5), ["latency"])
    assert isinstance(lacking, Failed)
    assert lacking.kind == "missing"
    assert "gave no 'latency'" in lacking.reason
    failed = Failed("killed", "no")
    assert completed(CELLS, architecture, failed, ["latency"]) is failed


def test_a_run_keeps_its_constraints_and_goes_on_as_if_never_interrupted(tmp_path: Path):
    history = start(config(), tmp_path / "run", quiet)
    observed = history.observed
    assert all(dict(trial.outcome.metrics)["parameters"] <= 4e5 for trial in observed)  # type: ignore[union-attr]
    late = [trial for trial in observed if dict(trial.outcome.metrics)["latency"] > 20]  # type: ignore[union-attr]
    assert late, "some break what only the evaluation tells, and stay in the journal"
    summary = summarize(history, config())
    assert [item["trial"] for item in summary["infeasible"]] == [trial.number for trial in late]
    assert all(
        item["reason"].startswith("breaks latency <= 20 (") for item in summary["infeasible"]
    )
    left_out = {trial.number for trial in late}
    shown = {
        member["trial"] for arm in summary["front"]["arms"].values() for member in arm["members"]
    }
    assert not left_out & (
        shown
        | {finalist.trial for finalist in history.finalists}
        | {arm["best"]["trial"] for arm in summary["arms"].values()}
    )
    assert {finalist.trial for finalist in history.finalists} <= shown
    assert "infeasible" in terminal_summary(summary)

    class Stopped(Exception):
        pass

    def stop(history: History, events: object) -> None:
        if len(history.observed) == 15:
            raise Stopped

    with pytest.raises(Stopped):
        start(config(), tmp_path / "stopped", stop)
    again = resume(tmp_path / "stopped", quiet)
    assert again.trials == history.trials
    assert again.finalists == history.finalists


@pytest.mark.parametrize(
    "strategy",
    [
        "evolution",
        "local",
        "map_elites",
        "mcts",
        "smbo",
        {"name": "surrogate", "initial": 6, "candidates": 50},
    ],
)
def test_strategies_that_know_no_constraints_run_with_them(strategy: object, tmp_path: Path):
    asked = config(
        strategy=strategy,
        objectives=[{"name": "score"}],
        predictor="ridge",
        budget=16,
        baseline="none",
    )
    history = start(asked, tmp_path / "run", quiet)
    assert len(history.observed) == 16
    assert history.finalists
    assert all(
        not broken(history.trial(finalist.trial), asked.constraints)
        for finalist in history.finalists
    )


@pytest.mark.parametrize(
    "objectives", [[{"name": "score"}], [{"name": "score"}, {"name": "depth", "goal": "minimise"}]]
)
def test_a_run_in_which_nothing_is_feasible_says_so(objectives: list, tmp_path: Path):
    asked = config(constraints=["score >= 99"], objectives=objectives, budget=8)
    history = start(asked, tmp_path / "run", quiet)
    assert history.finished is not None
    assert history.finished.startswith(
        "the budget is used; none of 8 evaluated architectures keeps the constraints; the "
        "nearest, trial "
    )
    assert history.finalists == ()
    summary = summarize(history, asked)
    assert headline(summary).startswith("None of 8 evaluated architectures keeps the constraints")
    assert summary["arms"]["search"]["infeasible"] == 8
    assert "None of 8" in terminal_summary(summary)
    with pytest.raises(ValueError, match=r"nothing in .* keeps the constraints"):
        choose(tmp_path / "run", asked, history, None, untrained=True)


def test_what_misses_least_stands_behind_all_that_is_feasible():
    constraints = (Constraint("latency", "<=", 5),)
    points = [(0.9, 9.0), (0.5, 4.0), (0.95, 6.0), (0.4, 3.0)]
    history = history_of(
        *(Observation(score, metrics=(("latency", latency),)) for score, latency in points)
    )
    ranked = best_first(history.observed, (SCORE, Objective("latency", "minimise")), constraints)
    assert [trial.number for trial in ranked] == [1, 3, 2, 0]


def test_evolution_goes_on_at_random_where_no_child_is_allowed():
    """Architectures of one bit each, any two of which differ in two places: no mutation leads from
    one to another.
    """
    from spaces import Graph, GraphBuilder
    from spaces.choices import Rejected

    def define(choose) -> Graph:
        builder = GraphBuilder()
        value = builder.input()
        for number in range(5):
            value = builder.node(
                choose.one_of(f"op{number}", ["relu", "tanh"]), value, place=number
            )
        return builder.output(value)

    def even(space: SearchSpace, architecture: Architecture) -> Rejected | None:
        return (
            Rejected("odd")
            if [answer for _, answer in architecture.decisions].count("tanh") % 2
            else None
        )

    space = SearchSpace("even", define, limit=even)
    for strategy in (Evolution(population=4, tournament=2), NSGA2(population=4)):
        history = EMPTY
        for number in range(4):
            proposals = strategy.ask(space, history, 4, 0).proposals
            first = len(history.trials)
            trials = [
                Trial(
                    first + place,
                    number,
                    "search",
                    each.architecture,
                    each.origin,
                    None,
                    each.canonical,
                    0,
                )
                for place, each in enumerate(proposals)
            ]
            history = fold(
                [
                    round_event(number, "search", trials),
                    *(outcome_event(trial.number, Observation(1.0)) for trial in trials),
                ],
                history,
            )
        assert len(history.trials) == 16, "all that there are"
