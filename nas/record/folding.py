"""From the events of a journal to the history: `fold`, and what each kind of event does to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.history import EMPTY, History, place_of
from nas.record.journal import Event
from nas.record.trials import Final, Finalist, Predicted, Round, Trial
from spaces import Architecture


def fold(events: Iterable[Event], history: History = EMPTY) -> History:
    """The history after the events: `fold(a + b) == fold(b, fold(a))`.

    Each call copies the history's tuples once, so fold many events at once.

    Args:
        events: in the order of the journal.
        history: what came before them.

    Raises:
        ValueError: an event does not fit what came before it, or is of no known kind.
    """
    draft = _Draft(
        list(history.trials),
        list(history.rounds),
        list(history.finalists),
        list(history.finals),
        history.finished,
    )
    for event in events:
        apply = KINDS.get(event.kind)
        if apply is None:
            raise ValueError(f"unknown kind of event {event.kind!r}; known are {', '.join(KINDS)}")
        try:
            apply(draft, event.body)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"event {event.number} ({event.kind}) has not the fields that its kind needs: "
                f"{type(error).__name__} {error}"
            ) from error
    return History(
        tuple(draft.trials),
        tuple(draft.rounds),
        tuple(draft.finalists),
        tuple(draft.finals),
        draft.finished,
    )


@dataclass
class _Draft:
    """A history that may be changed; it lives for one call of `fold`."""

    trials: list[Trial]
    rounds: list[Round]
    finalists: list[Finalist]
    finals: list[Final]
    finished: str | None


def _apply_round(draft: _Draft, body: Mapping[str, Any]) -> None:
    before = next((item.number for item in reversed(draft.rounds) if item.arm == body["arm"]), -1)
    if body["round"] <= before:
        raise ValueError(
            f"the rounds of an arm are numbered upwards; after round {before} of the arm "
            f"{body['arm']!r} came {body['round']}"
        )
    trials = [_trial(body, proposal) for proposal in body["proposals"]]
    last = draft.trials[-1].number if draft.trials else -1
    for trial in trials:
        if trial.number <= last:
            raise ValueError(f"trials are numbered upwards; after trial {last} came {trial.number}")
        last = trial.number
        _check_promotion(draft, trial)
        _check_donor(draft, trial)
    draft.trials.extend(trials)
    numbers = tuple(trial.number for trial in trials)
    draft.rounds.append(Round(body["round"], body["arm"], numbers, body.get("note", "")))


def _check_promotion(draft: _Draft, trial: Trial) -> None:
    if not 0 < trial.fidelity <= 1:
        raise ValueError(
            "a fidelity is a share of the epochs, more than 0 and at most 1; trial "
            f"{trial.number} has {trial.fidelity}"
        )
    if trial.continues is None:
        return
    before = draft.trials[place_of(draft.trials, trial.continues)]
    if not before.is_observed:
        raise ValueError(
            f"trial {before.number} is pending, or failed, and cannot be promoted to trial "
            f"{trial.number}"
        )
    if any(other.continues == before.number for other in draft.trials):
        raise ValueError(
            f"trial {before.number} is promoted already; a second promotion, trial "
            f"{trial.number}, came"
        )
    expected = (before.arm, before.canonical, before.seed)
    given = (trial.arm, trial.canonical, trial.seed)
    if given != expected or before.fidelity >= trial.fidelity:
        raise ValueError(
            "a promotion has the arm, the architecture and the seed of the trial that it "
            "continues, and a higher fidelity; "
            f"trial {trial.number} is no such promotion of trial {before.number}"
        )


def _check_donor(draft: _Draft, trial: Trial) -> None:
    if trial.donor is None:
        return
    if trial.continues is not None:
        raise ValueError(
            f"trial {trial.number} goes on with the training of trial {trial.continues}, and "
            f"cannot begin with the weights of trial {trial.donor}"
        )
    if not draft.trials[place_of(draft.trials, trial.donor)].is_observed:
        raise ValueError(
            f"trial {trial.donor} is pending, or failed, and has no weights for trial "
            f"{trial.number} to begin with"
        )


def _apply_observation(draft: _Draft, body: Mapping[str, Any]) -> None:
    score, seconds = _number(body["score"]), _number(body["seconds"])
    observation = Observation(score, seconds, _curve(body), tuple(body["metrics"].items()))
    _set_outcome(draft, body["trial"], observation)


def _apply_failure(draft: _Draft, body: Mapping[str, Any]) -> None:
    _set_outcome(draft, body["trial"], _failed(body))


def _apply_round_end(draft: _Draft, body: Mapping[str, Any]) -> None:
    # The round that ends is among the last ones, so look from the end.
    for place in reversed(range(len(draft.rounds))):
        if draft.rounds[place].number == body["round"] and draft.rounds[place].arm == body["arm"]:
            draft.rounds[place] = replace(draft.rounds[place], ranking=body["ranking"])
            return
    raise ValueError(f"round {body['round']} of the arm {body['arm']!r} ended without having begun")


def _apply_finalist(draft: _Draft, body: Mapping[str, Any]) -> None:
    place_of(draft.trials, body["trial"])
    draft.finalists.append(Finalist(body["trial"], body["rank"], body["arm"]))


def _apply_final(draft: _Draft, body: Mapping[str, Any]) -> None:
    place_of(draft.trials, body["trial"])
    result = FinalResult(
        _number(body["validation"]), _number(body["test"]), _number(body["seconds"]), _curve(body)
    )
    draft.finals.append(Final(body["trial"], body["seed"], result))


def _apply_final_failure(draft: _Draft, body: Mapping[str, Any]) -> None:
    place_of(draft.trials, body["trial"])
    draft.finals.append(Final(body["trial"], body["seed"], _failed(body)))


def _apply_finished(draft: _Draft, body: Mapping[str, Any]) -> None:
    draft.finished = body["reason"]


def _apply_resumed(draft: _Draft, body: Mapping[str, Any]) -> None:
    draft.finished = None


KINDS: Mapping[str, Callable[[_Draft, Mapping[str, Any]], None]] = MappingProxyType(
    {
        "round": _apply_round,
        "observation": _apply_observation,
        "failure": _apply_failure,
        "round_end": _apply_round_end,
        "finalist": _apply_finalist,
        "final": _apply_final,
        "final_failure": _apply_final_failure,
        "finished": _apply_finished,
        "resumed": _apply_resumed,
    }
)


def _trial(body: Mapping[str, Any], proposal: Mapping[str, Any]) -> Trial:
    told = proposal["prediction"]
    prediction = None
    if told is not None:
        prediction = Predicted(told["mean"], told["aleatoric"], told["epistemic"])
    return Trial(
        number=proposal["trial"],
        round=body["round"],
        arm=body["arm"],
        architecture=Architecture.from_json(json.dumps(proposal["architecture"])),
        origin=proposal["origin"],
        prediction=prediction,
        canonical=proposal["canonical"],
        seed=proposal["seed"],
        fidelity=_number(proposal.get("fidelity", 1.0)),
        continues=proposal.get("continues"),
        donor=proposal.get("donor"),
    )


def _failed(body: Mapping[str, Any]) -> Failed:
    return Failed(body["kind"], body["reason"], _number(body["seconds"]), body["detail"])


def _curve(body: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(map(_number, body["curve"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _set_outcome(draft: _Draft, number: int, outcome: Observation | Failed) -> None:
    place = place_of(draft.trials, number)
    if draft.trials[place].outcome is not None:
        raise ValueError(f"trial {number} has a result already; a second one came")
    draft.trials[place] = replace(draft.trials[place], outcome=outcome)
