"""What every strategy keeps. For a strategy of your own: `check_strategy(MyStrategy())`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.record.history import EMPTY, History, Trial, fold, outcome_event, round_event
from nas.strategies import Strategy
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.canonical import canonical_key
from spaces.choices import Rejected

Score = Callable[[Architecture], float | None]


def cells(choose: Chooser) -> Graph:
    """Four operations in a row, each with a width: 20,736 architectures."""
    builder = GraphBuilder()
    value = builder.input()
    for number in range(4):
        op = choose.one_of(f"op{number}", ["conv2d", "max_pool2d", "relu", "tanh"])
        value = builder.node(op, value, width=choose.integer(f"width{number}", 1, 3))
    return builder.output(value)


def tiny(choose: Chooser) -> Graph:
    """Nine architectures, of which three are the same network."""
    builder = GraphBuilder()
    value = builder.node(choose.one_of("first", ["a", "b", "identity"]), builder.input())
    return builder.output(builder.node(choose.one_of("second", ["a", "b", "identity"]), value))


CELLS, TINY = SearchSpace("cells", cells), SearchSpace("tiny", tiny)

# A limit that one of five of the architectures keeps.
WIDEST = 6


def wide(architecture: Architecture) -> int:
    """The widths together, from 4 to 12."""
    return sum(int(architecture.answers[f"width{number}"]) for number in range(4))  # type: ignore[arg-type]


def refuse(space: SearchSpace, architecture: Architecture) -> Rejected | None:
    """What is too wide."""
    return (
        Rejected("too wide", missed=wide(architecture) - WIDEST)
        if wide(architecture) > WIDEST
        else None
    )


NARROW = SearchSpace("cells", cells, limit=refuse)


def score(architecture: Architecture) -> float:
    """Convolutions and narrow layers are good."""
    answers = architecture.answers
    return sum(
        (answers[f"op{number}"] == "conv2d") - 0.1 * answers[f"width{number}"]
        for number in range(4)
    )  # type: ignore[operator]


def play(
    strategy: Strategy, space: SearchSpace, rounds: int, count: int, score: Score, seed: int = 0
) -> History:
    """A search without a journal; a score of None is a failure."""
    history = EMPTY
    for number in range(rounds):
        asked = strategy.ask(space, history, count, seed)
        assert len(asked.proposals) <= count
        first = len(history.trials)
        trials = [
            Trial(
                first + place,
                number,
                "search",
                item.architecture,
                item.origin,
                item.prediction,
                item.canonical,
                seed=place if item.continues is None else history.trial(item.continues).seed,
                fidelity=item.fidelity,
                continues=item.continues,
            )
            for place, item in enumerate(asked.proposals)
        ]
        scores = [score(trial.architecture) for trial in trials]
        outcomes = [
            Failed("exception", "no reason") if value is None else Observation(value)
            for value in scores
        ]
        events = [
            round_event(number, "search", trials),
            *(
                outcome_event(trial.number, outcome)
                for trial, outcome in zip(trials, outcomes, strict=True)
            ),
        ]
        history = fold(events, history)
    return history


def networks(history: History) -> list[str]:
    """What was proposed, each training once: a promotion is the one legal repetition, and the
    history's fold has checked that it is one.
    """
    promoted = [trial.continues for trial in history.trials if trial.continues is not None]
    assert len(set(promoted)) == len(promoted), "no trial is promoted twice"
    return [trial.canonical for trial in history.trials if trial.continues is None]


def check_strategy(strategy: Strategy) -> None:
    """Asserts the whole contract."""
    for field in fields(strategy):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(strategy, field.name, None)

    history = play(strategy, CELLS, rounds=8, count=4, score=score)
    assert len(history.trials) == 32, "a strategy fills its batches while the space has more"
    assert [canonical_key(CELLS.graph(trial.architecture)) for trial in history.trials] == [
        trial.canonical for trial in history.trials
    ]
    assert len(history.keys) == len(networks(history)), "no network is proposed twice"
    assert all(trial.origin for trial in history.trials)

    assert play(strategy, CELLS, rounds=8, count=4, score=score) == history, (
        "the same history and seed give the same proposals"
    )
    assert play(strategy, CELLS, rounds=8, count=4, score=score, seed=1) != history, (
        "another seed gives others"
    )
    again = strategy.ask(CELLS, history, 4, 0)
    assert again == strategy.ask(CELLS, history, 4, 0), "asking changes nothing"

    whole = play(
        strategy, TINY, rounds=30, count=2, score=lambda architecture: float(len(architecture.key))
    )
    assert len(whole.keys) == len(networks(whole)) == 7, (
        "a small space is used up, then nothing is proposed"
    )

    failing = play(strategy, CELLS, rounds=8, count=4, score=lambda architecture: None)
    assert len(failing.trials) == 32, "failures do not stop a strategy"
    half = play(
        strategy,
        CELLS,
        rounds=8,
        count=4,
        score=lambda architecture: score(architecture) if score(architecture) > 0.5 else None,
    )
    assert len(half.trials) == 32
    narrow = play(strategy, NARROW, rounds=6, count=4, score=score)
    assert len(narrow.trials) == 24, "a limit of the space does not stop a strategy"
    assert all(wide(trial.architecture) <= WIDEST for trial in narrow.trials), (
        "nothing outside the space's limit is proposed"
    )
    flat = play(strategy, CELLS, rounds=8, count=4, score=lambda architecture: 1.0)
    assert len(flat.trials) == 32, "equal scores do not stop a strategy"
