"""The strategy `mcts`: the tree of a space's questions, its statistics, and its closed branches."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.record.history import EMPTY, History
from nas.strategies import MCTS, RandomSearch, Strategy
from nas.strategies.mcts import CELLS, Fork, Node, _descend, _visit, _way
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.domains import Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.load import load_space
from spaces.operators import domains, enumerate_all, sample
from spaces.steady import Steady
from tests.contracts.strategy_contract import CELLS as ROWS
from tests.contracts.strategy_contract import best_score, play, score


def chain(choose: Chooser) -> Graph:
    """Six questions of four answers each: 4,096 architectures."""
    builder = GraphBuilder()
    value = builder.input()
    for number in range(6):
        value = builder.node(choose.one_of(f"op{number}", ["a", "b", "c", "d"]), value)
    return builder.output(value)


def conditional(choose: Chooser) -> Graph:
    """Questions of all kinds that depend on the first answer; some answers are rejected."""
    builder = GraphBuilder()
    value = builder.input()
    if choose.one_of("kind", ["numbers", "sets"]) == "numbers":
        width = choose.integer("width", 1, 40)
        if width % 2:
            choose.reject("widths are even")
        value = builder.node(
            "wide",
            value,
            width=width,
            rate=choose.real("rate", 1e-4, 1e-1, log=True),
            depth=choose.one_of("depth", [8, 4, 2, 1]),
        )
    else:
        with choose.scope("set"):
            chosen = choose.subset("of", ["p", "q", "r"], minimum=1)
            order = choose.permutation("order", ["x", "y", "z"])
        value = builder.node("set", value, chosen=chosen, order=order)
    return builder.output(value)


def line(choose: Chooser) -> Graph:
    """Three whole numbers from 0 to 127: two million architectures."""
    builder = GraphBuilder()
    x, y, z = (choose.integer(name, 0, 127) for name in "xyz")
    return builder.output(builder.node("point", builder.input(), x=x, y=y, z=z))


CHAIN = SearchSpace("chain", chain)
CONDITIONAL = SearchSpace("conditional", conditional)
LINE = SearchSpace("line", line)


def right_from_the_start(architecture: Architecture) -> float:
    """How many answers are right before the first wrong one."""
    answers = [answer for _, answer in architecture.decisions]
    num_right = 0
    for answer, right in zip(answers, "badcab", strict=True):
        if answer != right:
            break
        num_right += 1
    return float(num_right)


def trials_to(strategy: Strategy, space: SearchSpace, wanted: float, seed: int, most: int) -> int:
    """How many trials come before the first with the wanted score; at most `most`."""
    history = play(
        strategy, space, rounds=most // 4, count=4, score=right_from_the_start, seed=seed
    )
    return next((trial.number for trial in history.trials if trial.score >= wanted), most)


def test_the_one_good_branch_is_found_with_fewer_trials_than_at_random() -> None:
    tree = [trials_to(MCTS(), CHAIN, 4, seed, 120) for seed in range(5)]
    chance = [trials_to(RandomSearch(), CHAIN, 4, seed, 120) for seed in range(5)]
    assert sum(tree) < 0.5 * sum(chance)


def test_neighbours_share_their_statistics_by_bisection() -> None:
    def peak(architecture: Architecture) -> float:
        return -sum(abs(answer - 90) for _, answer in architecture.decisions)  # type: ignore[operator]

    def mean(strategy: MCTS) -> float:
        return sum(best_score(play(strategy, LINE, 16, 4, peak, seed)) for seed in range(5)) / 5

    # Without bisection, all 128 answers to the first question are tried first.
    assert mean(MCTS()) > mean(MCTS(bisection=False)) + 4


def test_a_trial_counts_for_the_half_that_its_neighbour_is_in() -> None:
    root = Node()
    for x, value in ((3, 1.0), (4, 0.0), (30, 0.0), (2, 1.0)):
        _visit(root, _way({"x": Integer(0, 31)}, {"x": x}, True), value)
    lower, upper = root.children[0], root.children[1]
    assert (root.visits, lower.visits, upper.visits) == (4, 3, 1)
    assert (root.mean(0), lower.mean(0), upper.mean(0)) == (0.5, pytest.approx(2 / 3), 0.0)
    answers = {_descend(root, 0.0, Random(number))["x"] for number in range(200)}
    assert answers <= set(range(16)), "without exploration, the half with the lower mean is avoided"


@pytest.mark.parametrize(
    ("domain", "halvings"),
    [
        (Integer(1, 9), 4),
        (Integer(4, 4), 0),
        (OneOf((8, 16, 32, 64, 128)), 3),
        (OneOf((0.5, 0.2, 0.1)), 2),
        (OneOf((1, 3, 2)), None),
        (OneOf((False, True)), None),
        (OneOf(("a", "b", "c")), None),
        (Subset((1, 2, 3), 0, 3), None),
        (Permutation((1, 2, 3)), None),
    ],
)
def test_questions_whose_answers_have_an_order_are_halved(
    domain: Domain, halvings: int | None
) -> None:
    assert domain.size is not None
    for index in range(domain.size):
        answer = domain.at(index)
        way = _way({"x": domain}, {"x": answer}, True)
        plain = _way({"x": domain}, {"x": answer}, False)
        assert plain == ([(Fork("x", domain, None), answer)] if domain.size > 1 else [])
        if halvings is None:
            assert way == plain
            continue
        assert max(0, halvings - 1) <= len(way) <= halvings == math.ceil(math.log2(domain.size))
        if way:
            fork, branch = way[-1]
            assert fork.draw_answer(branch, Random(0)) == answer, (
                "the last halving leaves one answer"
            )


@settings(max_examples=50, deadline=None)
@given(
    low=st.floats(1e-6, 10),
    width=st.floats(1e-3, 100),
    log=st.booleans(),
    share=st.floats(0, 1, exclude_max=True),
    bisection=st.booleans(),
)
def test_real_numbers_are_halved_into_cells(
    low: float, width: float, log: bool, share: float, bisection: bool
) -> None:
    domain = Real(low, low + width, log)
    answer = domain.draw(Steady(share))
    way = _way({"x": domain}, {"x": answer}, bisection)
    assert len(way) == math.log2(CELLS)
    fork, branch = way[-1]
    cells = fork.half(branch)
    assert len(cells) == 1
    assert abs(cells[0] - share * CELLS) <= 1 + 1e-6
    again = fork.draw_answer(branch, Random(1))
    assert domain.accepts(again)
    assert abs(_way({"x": domain}, {"x": again}, bisection)[-1][0].half(branch)[0] - cells[0]) <= 1


@pytest.mark.parametrize("bisection", [True, False])
def test_conditional_questions_of_every_kind(bisection: bool) -> None:
    strategy = MCTS(initial=4, bisection=bisection)

    def value(architecture: Architecture) -> float:
        answers = architecture.answers
        return 1.0 - abs(answers["width"] - 20) / 20 if answers["kind"] == "numbers" else 0.1  # type: ignore[operator]

    history = play(strategy, CONDITIONAL, rounds=15, count=4, score=value)
    assert len(history.keys) == len(history.trials) == 60
    kinds = Counter(trial.architecture.answers["kind"] for trial in history.trials[20:])
    assert kinds["numbers"] > kinds["sets"]
    assert history == play(strategy, CONDITIONAL, rounds=15, count=4, score=value)
    for trial in history.trials:
        CONDITIONAL.graph(trial.architecture)


def test_a_space_is_searched_completely() -> None:
    few = SearchSpace("few", lambda choose: conditional(choose), held=(("kind", "sets"),))
    whole = list(enumerate_all(few))
    history = play(
        MCTS(initial=1),
        few,
        rounds=30,
        count=3,
        score=lambda architecture: float(len(architecture.key)),
    )
    assert {trial.architecture for trial in history.trials} == set(whole), (
        "7 subsets in 6 orders, each of them once"
    )
    assert len(history.trials) == len(whole) == 42
    assert MCTS().ask(few, history, 3, 0).proposals == ()


def test_all_rejected_but_one_is_found() -> None:
    def narrow(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        first, second = choose.one_of("first", list("abcd")), choose.one_of("second", list("abcd"))
        if first != "c":
            choose.reject("only c will do")
        return builder.output(builder.node(second, builder.node(first, builder.input())))

    history = play(
        MCTS(initial=1),
        SearchSpace("narrow", narrow),
        rounds=6,
        count=1,
        score=lambda architecture: 0.0,
    )
    assert len(history.keys) == len(history.trials) == 4


def test_pending_and_proposed_are_visits_that_leave_the_means() -> None:
    history = play(MCTS(), ROWS, rounds=5, count=4, score=score)
    ended = history.trials[:-1]
    pending = replace(history.trials[-1], outcome=None)
    waiting = replace(history, trials=(*ended, pending))
    known = MCTS()._tree(ROWS, replace(history, trials=ended))
    unknown = MCTS()._tree(ROWS, waiting)
    assert unknown.visits == known.visits + 1
    assert (unknown.scored, unknown.total) == (known.scored, known.total)
    asked = MCTS().ask(ROWS, waiting, 8, 0).proposals
    assert len({item.canonical for item in asked} | waiting.keys) == len(waiting.trials) + 8


def test_one_node_is_added_for_a_visit() -> None:
    def count(node: Node) -> int:
        return 1 + sum(map(count, node.children.values()))

    root, random = Node(), Random(0)
    space = load_space("nasbench201")
    for number in range(50):
        architecture = sample(space, random)
        way = _way(domains(space, architecture), architecture.answers, True)
        _visit(root, way, random.random())
        assert count(root) <= number + 2
    assert root.visits == root.scored == 50 == sum(child.visits for child in root.children.values())


def test_failures_are_the_worst() -> None:
    def fails_without_convolution(architecture: Architecture) -> float | None:
        return 1.0 if architecture.answers["op0"] == "conv2d" else None

    history: History = play(
        MCTS(initial=4), ROWS, rounds=20, count=4, score=fails_without_convolution
    )
    assert len(history.observed) > 0.6 * len(history.trials)
    assert MCTS().ask(ROWS, EMPTY, 2, 0) == RandomSearch().ask(ROWS, EMPTY, 2, 0)


@pytest.mark.parametrize("make", [lambda: MCTS(initial=0), lambda: MCTS(exploration=-1.0)])
def test_settings_that_make_no_sense_are_refused(make) -> None:
    with pytest.raises(ValueError, match="initial >= 1 and exploration >= 0"):
        make()
