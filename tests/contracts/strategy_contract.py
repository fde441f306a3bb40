"""The contract of a search strategy; test your own with `check_strategy(MyStrategy())`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.trials import Trial
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

# A limit that one in five architectures keeps.
WIDEST = 6


def width_of(architecture: Architecture, number: int) -> int:
    """The width of one of the four operations."""
    width = architecture.answers[f"width{number}"]
    assert isinstance(width, int)
    return width


def wide(architecture: Architecture) -> int:
    """The sum of the widths, from 4 to 12."""
    return sum(width_of(architecture, number) for number in range(4))


def refuse(space: SearchSpace, architecture: Architecture) -> Rejected | None:
    """Rejects architectures that are too wide."""
    excess = wide(architecture) - WIDEST
    return Rejected("too wide", missed=excess) if excess > 0 else None


NARROW = SearchSpace("cells", cells, limit=refuse)


def score(architecture: Architecture) -> float:
    """Convolutions and narrow layers are good."""
    return sum(
        (architecture.answers[f"op{number}"] == "conv2d") - 0.1 * width_of(architecture, number)
        for number in range(4)
    )


def play(
    strategy: Strategy, space: SearchSpace, rounds: int, count: int, score: Score, seed: int = 0
) -> History:
    """The history of a search without a journal; a score of None is a failure."""
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
        events = [round_event(number, "search", trials)]
        for trial in trials:
            value = score(trial.architecture)
            failed = Failed("exception", "no reason")
            outcome = failed if value is None else Observation(value)
            events.append(outcome_event(trial.number, outcome))
        history = fold(events, history)
    return history


def best_score(history: History) -> float:
    """The best score of a history in which something was observed."""
    assert history.best is not None
    return history.best.score


def networks(history: History) -> list[str]:
    """The canonical keys of the proposals, those of promotions left out.

    A promotion is the only repetition that is allowed. `fold` has checked that it is valid.
    """
    promoted = [trial.continues for trial in history.trials if trial.continues is not None]
    assert len(set(promoted)) == len(promoted), "no trial is promoted twice"
    return [trial.canonical for trial in history.trials if trial.continues is None]


def check_strategy(strategy: Strategy) -> None:
    """Asserts that the strategy keeps the whole contract."""
    for field in fields(strategy):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(strategy, field.name, None)
    # This holds for a strategy without settings too.
    with pytest.raises(FrozenInstanceError):
        strategy.no_such_setting = None  # type: ignore[attr-defined]

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
        "another seed gives other proposals"
    )
    again = strategy.ask(CELLS, history, 4, 0)
    assert len(again.proposals) == 4
    assert again == strategy.ask(CELLS, history, 4, 0), "asking changes nothing"

    whole = play(
        strategy, TINY, rounds=30, count=2, score=lambda architecture: float(len(architecture.key))
    )
    assert len(whole.keys) == len(networks(whole)) == 7, (
        "a small space is searched completely, then nothing more is proposed"
    )

    failing = play(strategy, CELLS, rounds=8, count=4, score=lambda architecture: None)
    assert len(failing.failed) == 32, "failures do not stop a strategy"
    half = play(
        strategy,
        CELLS,
        rounds=8,
        count=4,
        score=lambda architecture: score(architecture) if score(architecture) > 0.5 else None,
    )
    assert len(half.trials) == 32
    assert half.observed
    assert half.failed
    narrow = play(strategy, NARROW, rounds=6, count=4, score=score)
    assert len(narrow.trials) == 24, "a limit of the space does not stop a strategy"
    assert all(wide(trial.architecture) <= WIDEST for trial in narrow.trials), (
        "no proposal exceeds the space's limit"
    )
    flat = play(strategy, CELLS, rounds=8, count=4, score=lambda architecture: 1.0)
    assert len(flat.trials) == 32, "equal scores do not stop a strategy"
