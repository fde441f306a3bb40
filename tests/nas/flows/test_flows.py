"""Search flows: each finds its best, keeps every trial, and resumes after a crash unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.executors import InlineExecutor
from nas.flows import Flow, Level, joint, nested, separate
from nas.flows.parts import outer_space
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.search.loop import RunFailed
from nas.strategies import ASHA, MCTS, Evolution, LocalSearch, RandomSearch, SurrogateSearch
from predictors import PREDICTORS
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.load import load_space
from spaces.operators import enumerate_all, fix

RANDOM = RandomSearch()


def define(choose: Chooser) -> Graph:
    """Layers of three widths, and a second tower if the first tower asks for it.

    The questions of the second tower are conditional.
    """
    builder = GraphBuilder()
    value = builder.input((4,))
    for number in range(2):
        value = builder.node(
            "linear", value, out_features=choose.one_of(f"first/{number}", (2, 3, 5))
        )
    if choose.one_of("first/tower", (False, True)):
        for number in range(2):
            value = builder.node(
                choose.one_of(f"second/tower{number}", ("relu", "gelu", "tanh")), value
            )
    value = builder.node("linear", value, out_features=choose.one_of("second/width", (2, 3, 5)))
    return builder.output(value)


SPACE = SearchSpace("towers", define)
SCORES = {
    architecture: ((100 * number) % 271) / 271
    for number, architecture in enumerate(enumerate_all(SPACE))
}
BEST = max(SCORES, key=lambda architecture: SCORES[architecture])


def plain(history: History) -> list[tuple]:
    return [
        (trial.arm, trial.round, trial.architecture, trial.origin, trial.seed, trial.outcome)
        for trial in history.trials
    ]


def test_where_all_is_enumerated_nested_and_joint_search_agree() -> None:
    size = len(SCORES)
    everything = joint(SPACE, SCORES.__getitem__, level=Level(RANDOM, size, 8))
    assert len(everything.history.trials) == size
    inside = nested(
        SPACE, SCORES.__getitem__, first="first/", levels=(Level(RANDOM, 18), Level(RANDOM, 27, 4))
    )
    assert everything.best.architecture == inside.best.architecture == BEST
    outer = inside.history.of_arm("outer")
    assert len(outer.trials) == 18, "each first part once"
    assert inside.evaluations == size
    for trial in outer.trials:
        answers = {
            path: answer
            for path, answer in trial.architecture.decisions
            if path.startswith("first/")
        }
        expected = max(
            score
            for architecture, score in SCORES.items()
            if answers.items() <= architecture.answers.items()
        )
        assert trial.score == expected
        assert isinstance(trial.outcome, Observation)
        assert inside.history.trial(int(dict(trial.outcome.metrics)["trial"])).score == expected


def test_separate_decides_the_second_part_for_the_best_first() -> None:
    reference = next(architecture for architecture in SCORES if architecture.answers["first/tower"])
    held = {path: answer for path, answer in reference.decisions if path.startswith("second/")}
    expected_first = max(
        SCORES,
        key=lambda each: (
            SCORES[each]
            if held.items() >= {p: a for p, a in each.decisions if p in held}.items()
            else -1
        ),
    )
    flow = separate(
        SPACE,
        SCORES.__getitem__,
        first="first/",
        levels=(Level(RANDOM, 18), Level(RANDOM, 27)),
        reference=reference,
    )
    first, second = flow.history.of_arm("first"), flow.history.of_arm("second")
    assert first.best is not None
    assert first.best.architecture == expected_first
    chosen = {
        path: answer for path, answer in expected_first.decisions if path.startswith("first/")
    }
    assert second.trials
    assert all(chosen.items() <= trial.architecture.answers.items() for trial in second.trials)
    assert flow.best.score == max(
        SCORES[each] for each in SCORES if chosen.items() <= each.answers.items()
    )
    assert all(
        held.items() >= {p: a for p, a in trial.architecture.decisions if p in held}.items()
        for trial in first.trials
    )


def test_what_one_level_evaluated_costs_the_others_nothing() -> None:
    asked: list[Architecture] = []

    def evaluate(architecture: Architecture) -> float:
        asked.append(architecture)
        return SCORES[architecture]

    flow = separate(SPACE, evaluate, first="first/", levels=(Level(RANDOM, 18), Level(RANDOM, 27)))
    assert len(asked) == len(set(asked)) == flow.evaluations < len(flow.history.trials)


def test_joint_is_the_strategys_own_search() -> None:
    flow = joint(SPACE, SCORES.__getitem__, level=Level(RANDOM, 6, 6), seed=3)
    proposals = RANDOM.ask(SPACE, History(), 6, 3).proposals
    assert [trial.architecture for trial in flow.history.trials] == [
        proposal.architecture for proposal in proposals
    ]


def test_a_first_part_may_be_what_no_graph_shows() -> None:
    """A cap on the cost: each cap is searched separately, though both allow the same graphs."""

    def capped(choose: Chooser) -> Graph:
        cap = choose.integer("cap", 1, 3)
        builder = GraphBuilder()
        value = builder.input((4,))
        widths = [choose.one_of(f"width{number}", (1, 2, 3)) for number in range(2)]
        if sum(widths) > 2 * cap:
            choose.reject("it costs more than the cap")
        for width in widths:
            value = builder.node("linear", value, out_features=width)
        return builder.output(value)

    space = SearchSpace("capped", capped)

    def evaluate(architecture: Architecture) -> float:
        return float(sum(architecture.answers[f"width{number}"] for number in range(2)))  # type: ignore[misc]

    flow = nested(space, evaluate, first=["cap"], levels=(Level(RANDOM, 3), Level(RANDOM, 9)))
    assert {
        trial.architecture.answers["cap"]: trial.score
        for trial in flow.history.of_arm("outer").trials
    } == {1: 2.0, 2: 4.0, 3: 6.0}
    assert (
        flow.evaluations
        == 9
        < sum(
            len(flow.history.of_arm(f"inner-{trial.number}").trials)
            for trial in flow.history.of_arm("outer").trials
        )
    )
    whole = joint(space, evaluate, level=Level(RANDOM, 14))
    assert flow.best.score == whole.best.score


STRATEGIES = {
    "evolution": Evolution(population=4, tournament=2),
    "local": LocalSearch(initial=2),
    "mcts": MCTS(initial=2),
    "surrogate": SurrogateSearch(PREDICTORS["ridge"](), initial=4, candidates=30),
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_every_strategy_serves_at_every_level(strategy) -> None:
    levels = (Level(strategy, 8, 2), Level(strategy, 6, 3))
    flow = nested(SPACE, SCORES.__getitem__, first="first/", levels=levels, seed=1)
    firsts = [
        tuple(d for d in trial.architecture.decisions if d[0].startswith("first/"))
        for trial in flow.history.of_arm("outer").trials
    ]
    assert len(set(firsts)) == len(firsts) == 8
    assert separate(
        SPACE, SCORES.__getitem__, first="first/", levels=levels, seed=1
    ).best.is_observed


class Killed(BaseException):
    """Ends the run as a signal would end the process: nothing catches it."""


def begin(kind: str, evaluate, directory: Path | None) -> Flow:
    level = Level(SurrogateSearch(PREDICTORS["ridge"](), initial=3, candidates=20), 5, 2)
    if kind == "joint":
        return joint(SPACE, evaluate, level=level, seed=2, directory=directory)
    flow = separate if kind == "separate" else nested
    return flow(
        SPACE,
        evaluate,
        first="first/",
        levels=(Level(RANDOM, 4, 2), level),
        seed=2,
        directory=directory,
    )


@pytest.mark.parametrize("kind", ["joint", "separate", "nested"])
def test_a_flow_goes_on_as_if_nothing_had_happened(kind: str, tmp_path: Path) -> None:
    whole = begin(kind, SCORES.__getitem__, None)
    calls, allowed = 0, 0

    def evaluate(architecture: Architecture) -> float:
        nonlocal calls
        if calls == allowed:
            raise Killed
        calls += 1
        return SCORES[architecture]

    for allowed in (1, 3, 4, 1000):  # noqa: B007
        try:
            flow = begin(kind, evaluate, tmp_path / "flow")
        except Killed:
            continue
    assert plain(flow.history) == plain(whole.history)
    assert calls == whole.evaluations, "no finished evaluation was made again"
    with open_for_reading(tmp_path / "flow") as journal:
        assert [event.kind for event in journal.events()].count("resumed") == 3
    allowed = calls
    again = begin(kind, evaluate, tmp_path / "flow")
    assert again == flow, "the finished flow is read, not made again"


def test_another_flow_is_not_gone_on_with(tmp_path: Path) -> None:
    level = Level(RANDOM, 3)
    joint(SPACE, SCORES.__getitem__, level=level, directory=tmp_path)
    with pytest.raises(ValueError, match=r"holds another flow: seed was 0 and is 1"):
        joint(SPACE, SCORES.__getitem__, level=level, seed=1, directory=tmp_path)
    with pytest.raises(ValueError, match="holds another flow: flow was 'joint' and is 'nested'"):
        nested(SPACE, SCORES.__getitem__, first="first/", levels=(level, level), directory=tmp_path)
    with pytest.raises(ValueError, match="the space has changed since"):
        joint(
            SearchSpace("towers", lambda choose: reordered(choose)),
            SCORES.__getitem__,
            level=level,
            directory=tmp_path,
        )
    joint(SPACE, SCORES.__getitem__, level=level, directory=tmp_path)


def reordered(choose: Chooser) -> Graph:
    graph = define(choose)
    builder = GraphBuilder()
    return builder.output(builder.node("relu", builder.input((len(graph.nodes),))))


def test_failures_are_kept_and_an_outer_trial_fails_only_if_all_inside_did() -> None:
    def evaluate(architecture: Architecture) -> Observation | Failed | float:
        if architecture.answers["first/0"] == 2:
            raise RuntimeError("narrow ones do not train")
        return Failed("exception", "no") if architecture.answers["second/width"] == 2 else 1.0

    flow = nested(SPACE, evaluate, first="first/", levels=(Level(RANDOM, 18), Level(RANDOM, 27)))
    outer = flow.history.of_arm("outer")
    assert outer.failed
    for trial in outer.trials:
        assert trial.is_observed == (trial.architecture.answers["first/0"] != 2)
        if isinstance(trial.outcome, Failed):
            assert "evaluations inside succeeded" in trial.outcome.reason
    assert any(
        "RuntimeError: narrow ones do not train" in trial.outcome.reason
        for trial in flow.history.failed
        if isinstance(trial.outcome, Failed)
    )


@pytest.mark.parametrize("flow", [joint, separate, nested])
def test_without_any_success_there_is_an_error(flow) -> None:
    level = Level(RANDOM, 40, 5)
    settings = {"level": level} if flow is joint else {"first": "first/", "levels": (level, level)}
    calls = 0

    def evaluate(architecture: Architecture) -> float:
        nonlocal calls
        calls += 1
        return math.nan

    with pytest.raises(
        RunFailed, match=r"none of \d+ evaluations succeeded(.|\n)*expected a finite number"
    ):
        flow(SPACE, evaluate, **settings)
    assert 20 <= calls < 30, "it gives up early"


def test_an_executor_serves_too() -> None:
    class Fixed:
        def evaluate(self, architecture, *, seed, weights=None, fidelity=1.0):
            return Observation(SCORES[architecture])

        def finalize(self, architecture, *, seed, weights=None):
            raise AssertionError("a flow tests nothing")

    levels = (Level(RANDOM, 3), Level(RANDOM, 4, 2))
    plain_call = nested(SPACE, SCORES.__getitem__, first="first/", levels=levels)
    assert nested(SPACE, Fixed(), first="first/", levels=levels) == plain_call
    with InlineExecutor(Fixed) as executor:
        assert nested(SPACE, executor, first="first/", levels=levels) == plain_call


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (
            "third/",
            "the first part has no decision, and each part needs one: the space 'towers' asks "
            "first/0",
        ),
        ("", "the first part has every decision"),
        (lambda path: False, "has no decision"),
        (["first/0", "first/7"], "first/7 cannot be of the first part"),
    ],
)
def test_the_parts_are_checked(first, says: str) -> None:
    level = Level(RANDOM, 2)
    with pytest.raises(ValueError, match=says):
        nested(SPACE, SCORES.__getitem__, first=first, levels=(level, level))


def test_the_outer_space_sees_the_first_part_alone() -> None:
    outer = outer_space(SPACE, lambda path: path.startswith("first/"))
    graphs = {outer.graph(architecture) for architecture in SCORES}
    assert len(graphs) == 18
    ops = [node.op for node in outer.graph(BEST).nodes]
    assert ops[1:3] == ["decision first/0", "decision first/1"]
    assert ops[3] == f"decision first/tower {BEST.answers['first/tower']}"


def test_on_a_published_table_a_cap_outside_and_layers_inside_find_what_joint_search_finds(
    shared_data: Callable[[str], Path],
) -> None:
    """A part of NAS-Bench-Macro that both flows enumerate.

    It has the last four layers, under five limits on their multiply-adds.
    """
    with numpy.load(shared_data("nasbench_macro.npz")) as columns:
        space = load_space("nasbench_macro")
        architectures = space.rows(columns)  # type: ignore[misc]
        score = dict(zip(architectures, columns["mean_acc"].tolist(), strict=True))
        flops = dict(zip(architectures, columns["flops"].tolist(), strict=True))
    start = max(architectures, key=lambda each: score[each]).decisions[:4]
    members = [each for each in architectures if each.decisions[:4] == start]
    caps = [
        int(cap)
        for cap in numpy.quantile([flops[each] for each in members], [0.2, 0.4, 0.6, 0.8, 1.0])
    ]

    def capped(choose: Chooser) -> Graph:
        cap = choose.one_of("cap", caps)
        graph = fix(space, dict(start)).run(choose)
        layers = Architecture(
            space.name,
            tuple((path, answer) for path, answer in choose.decisions.items() if path != "cap"),
        )
        if flops.get(layers, math.inf) > cap:
            choose.reject("over the cap, or not in the table")
        assert isinstance(graph, Graph)
        return graph

    def evaluate(architecture: Architecture) -> float:
        return score[Architecture(space.name, architecture.decisions[1:])]

    held = SearchSpace("capped_macro", capped, held=start)
    everything = joint(held, evaluate, level=Level(RANDOM, 5 * 81, 8))
    inside = nested(held, evaluate, first=["cap"], levels=(Level(RANDOM, 5), Level(RANDOM, 81, 8)))
    assert everything.best.score == inside.best.score == max(score[each] for each in members)
    assert everything.best.canonical == inside.best.canonical
    assert inside.evaluations == everything.evaluations
    best_under_cap = {
        trial.architecture.answers["cap"]: trial.score
        for trial in inside.history.of_arm("outer").trials
    }
    assert best_under_cap == {
        cap: max(score[each] for each in members if flops[each] <= cap) for cap in caps
    }


@pytest.mark.parametrize(("budget", "batch"), [(0, 1), (1, 0)])
def test_a_level_evaluates_something(budget: int, batch: int) -> None:
    with pytest.raises(ValueError, match="at least one architecture"):
        Level(RANDOM, budget, batch)


def test_a_level_takes_no_strategy_of_fidelities() -> None:
    """Flows would evaluate its short trainings in full, and every promotion again."""
    with pytest.raises(
        ValueError,
        match="a level trains for all epochs, and ASHA trains for a share of them",
    ):
        Level(ASHA(over=RANDOM), 8)
