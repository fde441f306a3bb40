"""Rungs of successive halving, and the history that the strategy below them is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nas.record.history import EMPTY, History
from nas.record.scorecard import scorecard
from nas.strategies import ASHA, RandomSearch
from nas.strategies.rungs import lifted, lifts, rungs, rungs_of
from tests.contracts.strategy_contract import networks
from tests.nas.strategies.letters import NINTH, THIRD, Letters, ask, go_on, letter_of


def test_rungs_go_down_as_far_as_least() -> None:
    assert rungs(3, 0.1111) == rungs(3, 1 / 9) == rungs(3, 0.05) == (NINTH, THIRD, 1.0)
    assert len(rungs(3, 0.037)) == 4
    assert rungs(2, 0.25) == (0.25, 0.5, 1.0)
    assert rungs(4, 0.1111) == (0.25, 1.0)
    assert rungs_of(RandomSearch()) == (1.0,)
    assert rungs_of(ASHA()) == (NINTH, THIRD, 1.0)


def some_rungs() -> History:
    """A run of ASHA in which each promotion adds 10 to the score, and letter 5 fails."""
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
    # All gains are equal here, so the lifted score is exactly that of a full training.
    assert all(trial.score == letter_of(trial) + 20.0 for trial in view.observed)
    assert [letter_of(trial) for trial in view.failed] == [5]
    assert sum(len(item.trials) for item in view.rounds) == len(view.trials)
    assert lifts(EMPTY, ladder) == dict.fromkeys(ladder, 0.0)


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)), min_size=9, max_size=30
    )
)
def test_the_order_within_a_rung_is_kept(values) -> None:
    asha, history = ASHA(Letters()), EMPTY
    # Ten rounds leave at least two trainings on each rung.
    for _ in range(10):
        history = go_on(
            history,
            ask(asha, history, 5).proposals,
            lambda letter, f: values[letter % len(values)][(NINTH, THIRD, 1.0).index(f)],
        )
    view = lifted(history, asha.rungs)
    for fidelity in asha.rungs:
        own = [trial for trial in history.latest if trial.fidelity == fidelity]
        assert len(own) >= 2
        lifted_score = {trial.canonical: trial.score for trial in view.observed}
        by_own_score = sorted(own, key=lambda trial: trial.score)
        ordered = [lifted_score[trial.canonical] for trial in by_own_score]
        # A sum may make two scores equal, but never reverses their order.
        assert ordered == sorted(ordered)


def test_a_prediction_is_of_the_score_that_comes_out_on_its_rung() -> None:
    history = some_rungs()
    late = [trial for trial in history.trials if trial.continues is None][-3:]
    promoted = [trial for trial in history.trials if trial.continues is not None]
    assert all(trial.prediction is None for trial in promoted), (
        "a prediction of the first score is not compared with a later one"
    )
    # The strategy below predicts on the scale of full trainings, where scores are 20 higher, that
    # the score is the letter's number.
    predictions = [trial.prediction for trial in late if trial.prediction is not None]
    assert len(late) == 3
    assert promoted
    assert [each.mean for each in predictions] == [letter_of(trial) - 20.0 for trial in late]
    assert scorecard(promoted) == {"predicted": 0}
    predicted = {
        trial.canonical: trial.prediction.mean
        for trial in lifted(history, (NINTH, THIRD, 1.0)).trials
        if trial.prediction is not None
    }
    assert all(predicted[trial.canonical] == letter_of(trial) for trial in late)
