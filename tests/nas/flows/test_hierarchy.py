"""The coarse-to-fine search: parents and sizes of its libraries, and resuming after a crash."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path
from random import Random

import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.flows import Flow, Level, hierarchical, refinement
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import open_for_reading
from nas.record.trials import Trial
from nas.strategies import Evolution, RandomSearch, SurrogateSearch
from predictors import PREDICTORS
from spaces import Architecture
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.flexibert import layers_of, refined
from spaces.load import load_space
from spaces.operators import enumerate_all, fix, sample

COARSE, MIDDLE, FINE = (
    load_space(name) for name in ("flexibert_coarse", "flexibert_homogeneous", "flexibert")
)
LEVELS = (COARSE, MIDDLE, FINE)
WEIGHTS = {"sa_sdp": 3, "sa_wma": 1, "l_dft": 2, "l_dct": 4, "c_5": 0, "c_9": 5}


def score(architecture: Architecture) -> float:
    """A score that is not monotone and depends on every question of the fine space."""
    total = 0.0
    for number, layer in enumerate(layers_of(FINE.graph(architecture))):
        wanted = (number + 1) * 128 % 384
        total -= (
            abs(layer.hidden - wanted) / 128 + abs(len(layer.operations) - 2 * (number % 2 + 1)) / 2
        )
        total += (
            WEIGHTS[layer.operations[0]] / (number + 2)
            - sum(abs(size - 512 * (place + 1)) for place, size in enumerate(layer.feed_forward))
            / 512
        )
    return total


@pytest.mark.parametrize("seed", range(30))
def test_a_refined_transformer_is_the_same(seed: int) -> None:
    coarse = sample(COARSE, Random(seed))
    middle = refined(coarse, MIDDLE)
    fine = refined(coarse, FINE)
    assert MIDDLE.graph(middle) == FINE.graph(fine) == COARSE.graph(coarse)
    assert refined(middle, FINE) == fine
    assert refined(fine, FINE) == fine


def test_operations_are_shared_by_heads_too() -> None:
    item = sample(load_space("flexibert_qnli"), Random(1))
    mixed = refined(item, load_space("flexibert2"))
    assert {answer for path, answer in mixed.decisions if "/head_" in path} == {
        answer for path, answer in item.decisions if path.endswith("/operation")
    }


def test_what_is_not_finer_is_refused() -> None:
    free = next(
        item
        for item in (sample(FINE, Random(number)) for number in range(50))
        if item.answers["layer_0/stacks"] == 3
    )
    with pytest.raises(
        ValueError,
        match=(
            "no counterpart in 'flexibert_homogeneous', which is not finer: the choice "
            "'layer_0/feed_forward' has no answer"
        ),
    ):
        refined(free, MIDDLE)
    with pytest.raises(ValueError, match="no counterpart in 'flexibert_tiny'"):
        refined(free, load_space("flexibert_tiny"))
    with pytest.raises(ValueError, match="has a number of layers"):
        refined(sample(load_space("nasbench201"), Random(0)), FINE)


def history_of(items: list[Architecture], scores: list[float]) -> History:
    trials = [
        Trial(number, 0, "level-0", item, "random", None, canonical_key(COARSE.graph(item)), 0)
        for number, item in enumerate(items)
    ]
    return fold(
        [
            round_event(0, "level-0", trials),
            *(
                outcome_event(number, Observation(score, 0.0))
                for number, score in enumerate(scores)
            ),
        ],
        EMPTY,
    )


def interpolants(first: Architecture, second: Architecture) -> set[tuple]:
    """The interpolants of two homogeneous transformers, for each depth that a parent has."""
    answers = [first.answers, second.answers]
    found = set()
    for depth in {int(each["layers"]) for each in answers}:  # type: ignore[arg-type]
        paths = [
            f"layer_{number}/{name}"
            for number in range(depth)
            for name in ("hidden", "heads", "operation", "stacks", "feed_forward")
        ]
        for chosen in product(
            *[{each[path] for each in answers if path in each} for path in paths]
        ):
            found.add((("layers", depth), *zip(paths, chosen, strict=True)))
    return found


def test_the_library_has_the_parents_and_the_size_that_are_written_out() -> None:
    """Twelve shallow transformers and a deep one; the authors' libraries are rebuilt by loops."""
    shallow = list(
        dict.fromkeys(sample(fix(COARSE, {"layers": 2}), Random(seed)) for seed in range(40))
    )[:12]
    items = [*shallow, sample(fix(COARSE, {"layers": 4}), Random(0))]
    scores = [float(number * 7 % 13) for number in range(13)]
    found = refinement(history_of(items, scores), MIDDLE, refined, top=5, nearest=2)
    ranked = [
        refined(item, MIDDLE)
        for _, item in sorted(zip(scores, items, strict=True), key=lambda pair: -pair[0])
    ]
    top = ranked[:5]
    expected = {frozenset(pair) for pair in combinations(top, 2)}
    for one in top:
        others = [other for other in ranked if other != one]
        apart = {other: len(set(one.decisions) ^ set(other.decisions)) for other in others}
        # A shared question with two answers is twice in the symmetric difference. It counts once.
        apart = {
            other: count
            - sum(other.answers.get(path, answer) != answer for path, answer in one.decisions)
            for other, count in apart.items()
        }
        expected |= {frozenset((one, other)) for other in sorted(others, key=apart.__getitem__)[:2]}
    assert {frozenset(pair) for pair in found.pairs} == expected
    assert len(found.pairs) == len(expected) >= 12
    assert set(found.parents) == set().union(*expected) >= set(top)
    library = set().union(*(interpolants(*pair) for pair in found.pairs))
    assert {item.decisions for item in enumerate_all(found.space)} == library
    assert size(found.space) == len(library) > 100
    assert {parent.decisions for parent in found.parents} <= library


def test_the_third_level_frees_the_feed_forward_layers() -> None:
    parents = [
        refined(sample(fix(COARSE, {"layers": 2, "layer_0/stacks": 3}), Random(seed)), MIDDLE)
        for seed in (0, 3)
    ]
    trials = [
        Trial(number, 0, "level-1", item, "random", None, canonical_key(MIDDLE.graph(item)), 0)
        for number, item in enumerate(parents)
    ]
    history = fold(
        [
            round_event(0, "level-1", trials),
            *(outcome_event(number, Observation(1.0, 0.0)) for number in range(2)),
        ],
        EMPTY,
    )
    found = refinement(history, FINE, refined)
    differing = sum(
        len({each.answers[path] for each in found.parents}) == 2
        for path in found.parents[1].answers
    )
    assert size(found.space) == 2**differing
    assert differing >= 6, "both layers have three feed-forward layers, each of a width of its own"


SURROGATE = SurrogateSearch(PREDICTORS["ridge"](), initial=6, candidates=40)


def begin(evaluate, directory: Path | None, strategy=SURROGATE) -> Flow:
    levels = [Level(RandomSearch(), 9, 3), Level(strategy, 8, 4), Level(strategy, 6, 3)]
    return hierarchical(
        LEVELS,
        evaluate,
        carry=refined,
        levels=levels,
        top=3,
        nearest=2,
        seed=4,
        directory=directory,
    )


@pytest.mark.parametrize(
    "strategy",
    [RandomSearch(), Evolution(population=6, tournament=2), SURROGATE],
    ids=["random", "evolution", "surrogate"],
)
def test_each_level_begins_with_parents_that_cost_nothing_and_searches_between_them(
    strategy,
) -> None:
    seen: list[Architecture] = []

    def evaluate(architecture: Architecture) -> float:
        seen.append(architecture)
        return score(architecture)

    flow = begin(evaluate, None, strategy)
    assert {architecture.space for architecture in seen} == {"flexibert"}
    assert (
        len(seen)
        == len({canonical_key(FINE.graph(item)) for item in seen})
        == flow.evaluations
        <= 9 + 8 + 6
    )
    before: tuple[Trial, ...] = flow.history.of_arm("level-0").trials
    for arm, space, budget in (("level-1", MIDDLE, 8), ("level-2", FINE, 6)):
        found = refinement(History(before), space, refined, top=3, nearest=2)
        trials = flow.history.of_arm(arm).trials
        carried = [trial.architecture for trial in trials if trial.origin == "carried"]
        assert (
            carried
            == list(found.parents)
            == [trial.architecture for trial in trials[: len(carried)]]
        )
        count = size(found.space)
        assert count is not None
        assert len(trials) - len(carried) == min(budget, count - len(carried)), (
            "the budget, or all that there is"
        )
        for trial in trials:
            assert found.space.graph(trial.architecture) == space.graph(trial.architecture), (
                "nothing lies outside"
            )
        before = (*before, *trials)
    assert flow.best.score == max(map(score, seen))


class Killed(BaseException):
    """Ends the run as a signal would end the process: nothing catches it."""


def test_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = begin(score, None)
    calls, allowed = 0, 0

    def evaluate(architecture: Architecture) -> float:
        nonlocal calls
        if calls == allowed:
            raise Killed
        calls += 1
        return score(architecture)

    for allowed in (2, 9, 12, 14, 17, 1000):  # noqa: B007
        try:
            flow = begin(evaluate, tmp_path / "flow")
        except Killed:
            continue
    assert flow.history.trials == whole.history.trials
    assert calls == whole.evaluations, "no finished evaluation was made again"
    with open_for_reading(tmp_path / "flow") as journal:
        assert [event.kind for event in journal.events()].count("resumed") == 5
    allowed = calls
    assert begin(evaluate, tmp_path / "flow") == flow
    levels = [Level(RandomSearch(), 9, 3), Level(SURROGATE, 8, 4), Level(SURROGATE, 6, 3)]
    with pytest.raises(ValueError, match="holds another flow: top was 3 and is 4"):
        hierarchical(
            LEVELS,
            score,
            carry=refined,
            levels=levels,
            top=4,
            nearest=2,
            seed=4,
            directory=tmp_path / "flow",
        )


def test_one_success_leaves_nothing_between() -> None:
    calls = 0

    def evaluate(architecture: Architecture) -> float | Failed:
        nonlocal calls
        calls += 1
        return 1.0 if calls == 2 else Failed("exception", "no")

    flow = begin(evaluate, None)
    assert {trial.arm for trial in flow.history.trials} == {"level-0"}
    assert flow.best.number == 1


def test_levels_are_checked() -> None:
    level = Level(RandomSearch(), 2)
    with pytest.raises(ValueError, match="got 3 spaces and 2 levels"):
        hierarchical(LEVELS, score, carry=refined, levels=[level, level])
    with pytest.raises(ValueError, match="top 0"):
        hierarchical(LEVELS, score, carry=refined, levels=[level] * 3, top=0)
    with pytest.raises(ValueError, match="nothing was evaluated with success"):
        refinement(EMPTY, MIDDLE, refined)
