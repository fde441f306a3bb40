from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.events import (
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import Event
from nas.record.trials import Final, Finalist, Predicted, Proposal, Trial
from spaces import Architecture

numbers = st.floats(allow_nan=False, allow_infinity=False)
answers = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | numbers | st.text(max_size=5),
    lambda item: st.lists(item, max_size=3).map(tuple),
    max_leaves=4,
)
architectures = st.builds(
    Architecture,
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=5), answers, max_size=4).map(
        lambda decisions: tuple(decisions.items())
    ),
)
observations = st.builds(
    Observation,
    numbers,
    numbers,
    st.lists(numbers, max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=5), numbers, max_size=3).map(
        lambda metrics: tuple(metrics.items())
    ),
)
failures = st.builds(
    Failed,
    st.sampled_from(["exception", "killed"]),
    st.text(max_size=9),
    numbers,
    st.text(max_size=9),
)
predictions = st.none() | st.builds(Predicted, numbers, numbers, numbers)


@st.composite
def rounds(draw):
    """The events of the rounds of two arms.

    Each round has the event that proposes it, the outcomes of some of its trials, and its end.
    """
    result, first = [], 0
    for number in range(draw(st.integers(0, 4))):
        arm = draw(st.sampled_from(["surrogate", "random"]))
        trials = tuple(
            Trial(
                first + place,
                number,
                arm,
                draw(architectures),
                "random",
                draw(predictions),
                f"k{draw(st.integers(0, 5))}",
                draw(st.integers(0, 2**63)),
            )
            for place in range(draw(st.integers(0, 4)))
        )
        first += len(trials)
        outcomes = [
            outcome_event(trial.number, draw(observations | failures))
            for trial in trials
            if draw(st.booleans())
        ]
        result.append(
            (
                round_event(number, arm, trials, draw(st.text(max_size=5))),
                outcomes,
                round_end_event(number, arm, {"kendall": draw(numbers)}),
            )
        )
    return result


def flat(parts) -> list[Event]:
    return [event for begin, outcomes, end in parts for event in (begin, *outcomes, end)]


def trial(number: int, arm: str = "a") -> Trial:
    return Trial(
        number,
        0,
        arm,
        Architecture("toy", (("x", number),)),
        "random",
        None,
        f"key{number}",
        number,
    )


def small() -> list[Event]:
    return [
        round_event(0, "a", [trial(0), trial(1), trial(2)]),
        outcome_event(1, Observation(0.5)),
        outcome_event(0, Observation(0.5)),
        outcome_event(2, Failed("killed", "gone")),
        round_event(0, "b", [trial(3, "b"), trial(4, "b")]),
        outcome_event(4, Observation(0.25)),
    ]


@given(rounds(), st.data())
def test_the_order_of_results_within_a_round_does_not_matter(parts, data):
    shuffled = [
        (begin, data.draw(st.permutations(outcomes)), end) for begin, outcomes, end in parts
    ]
    assert fold(flat(parts)) == fold(flat(shuffled))


@given(rounds(), st.integers(0, 40))
def test_folding_in_two_parts_is_folding_the_whole(parts, cut):
    events = flat(parts)
    assert fold(events[cut:], fold(events[:cut])) == fold(events)
    one_by_one = EMPTY
    for event in events:
        one_by_one = fold([event], one_by_one)
    assert one_by_one == fold(events)


@given(rounds())
def test_events_survive_json_exactly(parts):
    events = flat(parts)
    read = [
        Event(event.kind, json.loads(json.dumps(event.body, allow_nan=False))) for event in events
    ]
    assert fold(read) == fold(events)


@given(rounds())
def test_what_was_put_in_comes_out(parts):
    result = fold(flat(parts))
    assert [item.number for item in result.trials] == list(range(len(result.trials)))
    assert set(result.observed) | set(result.failed) | set(result.pending) == set(result.trials)
    assert len(result.observed) + len(result.failed) + len(result.pending) == len(result.trials)
    for begin, _, _ in parts:
        for proposal in begin.body["proposals"]:
            assert (
                json.loads(result.trial(proposal["trial"]).architecture.to_json())
                == proposal["architecture"]
            )


def test_the_best_is_the_highest_and_of_equals_the_first():
    result = fold(small())
    assert result.best is not None
    assert result.best.number == 0
    assert result.best_so_far() == (0.5, 0.5, 0.5)
    assert [item.number for item in result.observed] == [0, 1, 4]
    assert [item.number for item in result.failed] == [2]
    assert [item.number for item in result.pending] == [3]
    assert result.keys == {f"key{number}" for number in range(5)}
    assert EMPTY.best is None
    assert EMPTY.best_so_far() == ()


def test_an_arm_is_a_history_of_its_own_that_can_be_folded_on():
    events = [
        *small(),
        finalist_event(Finalist(4, 1, "b")),
        final_event(Final(4, 9, FinalResult(0.75, 0.5, 2.0, (0.5, 0.75)))),
    ]
    arm = fold(events).of_arm("b")
    assert [item.number for item in arm.trials] == [3, 4]
    assert arm.best is not None
    assert arm.best.number == 4
    assert arm.finalists == (Finalist(4, 1, "b"),)
    assert arm.finals == (Final(4, 9, FinalResult(0.75, 0.5, 2.0, (0.5, 0.75))),)
    assert fold(events).of_arm("a").finals == ()
    assert len(fold([outcome_event(3, Observation(1.0))], arm).observed) == 2


def test_finals_failures_and_the_end_are_kept():
    events = [
        *small(),
        final_event(Final(0, 100, Failed("time-out", "too slow", 3.0))),
        round_end_event(0, "a", {"kendall": None, "pairs": (1, 2)}),
        finished_event("the budget is spent"),
    ]
    result = fold(events)
    assert result.finals == (Final(0, 100, Failed("time-out", "too slow", 3.0)),)
    assert result.rounds[0].ranking == {"kendall": None, "pairs": [1, 2]}
    assert result.rounds[1].ranking is None
    assert result.finished == "the budget is spent"
    assert fold([resumed_event()], result).finished is None


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (outcome_event(9, Observation(1.0)), "no trial 9"),
        (outcome_event(1, Observation(1.0)), "a result already"),
        (round_event(1, "a", [trial(2)]), "numbered upwards"),
        (round_event(1, "a", [trial(6), trial(5)]), "numbered upwards"),
        (round_event(0, "a", [trial(7)]), "after round 0 of the arm 'a' came 0"),
        (round_end_event(5, "a", {}), "without having begun"),
        (finalist_event(Finalist(77, 1, "a")), "no trial 77"),
        (Event("observation", {"trial": 3}), r"observation.*KeyError 'score'"),
        (Event("surprise", {}), "unknown kind of event 'surprise'; known are round"),
    ],
)
def test_events_that_do_not_fit_are_refused_in_a_sentence(event, sentence):
    with pytest.raises(ValueError, match=sentence):
        fold([event], fold(small()))


def test_a_pending_trial_has_no_score():
    with pytest.raises(ValueError, match="trial 3 has no score: it is pending"):
        _ = fold(small()).trial(3).score


def test_a_history_is_a_value():
    assert fold(small()) == fold(small())
    assert hash(fold(small())) == hash(fold(small()))
    assert isinstance(fold([]), History)


def lower(number: int, key: int, fidelity: float, continues: int | None = None, **changes) -> Trial:
    seed = key if continues is not None else number
    return Trial(
        number,
        0,
        "a",
        Architecture("toy", (("x", key),)),
        "o",
        None,
        f"key{key}",
        seed,
        fidelity=fidelity,
        continues=continues,
        **changes,
    )


def halved() -> list[Event]:
    """A history of promotions.

    Three trials have a ninth of the epochs. Trials 0 and 2 are promoted to a third, where 2 fails.
    Trial 0 is promoted to all epochs and pending. Trial 5 is new.
    """
    return [
        round_event(0, "a", [lower(0, 0, 1 / 9), lower(1, 1, 1 / 9), lower(2, 2, 1 / 9)]),
        *(
            outcome_event(number, Observation(score))
            for number, score in enumerate((0.3, 0.2, 0.9))
        ),
        round_event(1, "a", [lower(3, 0, 1 / 3, 0), lower(4, 2, 1 / 3, 2)]),
        outcome_event(3, Observation(0.25)),
        outcome_event(4, Failed("killed", "gone")),
        round_event(2, "a", [lower(5, 5, 1 / 9), lower(6, 0, 1.0, 3)]),
        outcome_event(5, Observation(0.7)),
    ]


def test_a_score_of_few_epochs_is_no_match_for_one_of_more():
    result = fold(halved())
    assert [item.number for item in result.latest] == [1, 3, 4, 5]
    assert [item.number for item in result.ranked] == [3, 5, 1]
    assert [item.number for item in result.fullest] == [3]
    assert result.best is not None
    assert result.best.number == 3
    assert result.best_so_far() == (0.25,)
    assert result.keys == {"key0", "key1", "key2", "key5"}
    done = fold([outcome_event(6, Observation(0.1))], result)
    assert [item.number for item in done.ranked] == [6, 5, 1]


def test_the_budget_counts_epochs_once():
    result = fold(halved())
    assert result.spent == pytest.approx(3 / 9 + 2 * 2 / 9 + 1 / 9 + 2 / 3)
    assert result.used == pytest.approx(result.spent - 2 / 3)
    assert fold(small()).spent == 5
    wanted = [
        Proposal(lower(9, 1, 1).architecture, "promotion", None, "key1", 1 / 3, 1),
        *(Proposal(lower(9, new, 1).architecture, "o", None, f"key{new}", 1 / 9) for new in (7, 8)),
    ]
    for left, kept in ((0, []), (1 / 9, [1]), (2 / 9, [0]), (3 / 9, [0, 1]), (1, [0, 1, 2])):
        assert result.affordable(wanted, result.spent + left) == tuple(
            wanted[place] for place in kept
        )


def test_fidelities_are_journalled_where_there_are_any():
    events = halved()
    assert fold(
        [Event(event.kind, json.loads(json.dumps(event.body))) for event in events]
    ) == fold(events)
    assert [
        {"fidelity", "continues"} & set(proposal)
        for event in (events[0], events[4], events[7])
        for proposal in event.body["proposals"]
    ] == [
        *[{"fidelity"}] * 3,
        *[{"fidelity", "continues"}] * 2,
        {"fidelity"},
        {"continues"},
    ]
    assert not any(
        {"fidelity", "continues"} & set(proposal) for proposal in small()[0].body["proposals"]
    )


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        (lower(7, 1, 1 / 9, 1), "trial 7 is no such promotion of trial 1"),
        (lower(7, 1, 1 / 3, 5), "trial 7 is no such promotion of trial 5"),
        (lower(7, 1, 1 / 3, 50), "there is no trial 50"),
        (lower(7, 7, 0.0), "a fidelity is a share of the epochs"),
        (lower(7, 7, 1.5), "a fidelity is a share of the epochs"),
        (lower(7, 2, 1.0, 2), "trial 2 is promoted already"),
        (lower(7, 0, 1.0, 6), "trial 6 is pending, or failed"),
    ],
)
def test_what_is_no_promotion_is_refused(trial, says):
    with pytest.raises(ValueError, match=says):
        fold([round_event(3, "a", [trial])], fold(halved()))


def proposal(key: int, fidelity: float = 1.0, continues: int | None = None) -> Proposal:
    return Proposal(Architecture("toy", (("x", key),)), "o", None, f"key{key}", fidelity, continues)


def test_the_next_round_is_numbered_on_and_a_promotion_keeps_its_seed():
    before = fold(halved())
    new, promoted = before.next_round(
        "a", [proposal(7), proposal(5, 1 / 3, continues=5)], seed=3, donors=[1, None]
    )
    assert (new.number, promoted.number, new.round, promoted.round) == (7, 8, 3, 3)
    assert promoted.seed == before.trial(5).seed != new.seed
    assert (new.donor, promoted.donor) == (1, None)
    # Each arm counts its own rounds. A seed depends on the run's seed and the trial's number only.
    other, same = before.next_round("b", [proposal(7), proposal(8)], seed=3)
    assert (other.number, other.round, other.donor) == (7, 0, None)
    assert (
        other.seed
        == new.seed
        != same.seed
        != before.next_round("b", [proposal(7), proposal(8)], seed=4)[1].seed
    )
    assert len(fold([round_event(3, "a", [new, promoted])], before).trials) == 9
