"""What a run knows: the fold of its journal, and the state of every strategy.

Events go in, a frozen `History` comes out. Trials stand in the order of their numbers, whatever the
order in which their results came, so what is computed from a history does not depend on which
worker was faster.

    round           {round, arm, proposals: [{trial, architecture, canonical, origin, prediction, seed}], note}   before any evaluation
                    a proposal of fewer epochs has `fidelity` too, one that goes on with another
                    trial's training `continues`, and one that begins with another trial's weights
                    `donor`
    observation     {trial, score, seconds, curve, metrics}
    failure         {trial, kind, reason, seconds, detail}
    round_end       {round, arm, ranking: {...}}      how right the surrogate was
    finalist        {trial, rank, arm}
    final           {trial, seed, validation, test, seconds, curve}
    final_failure   {trial, seed, kind, reason, seconds, detail}
    finished        {reason}
    resumed         {}
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.journal import Event
from nas.seeds import derive
from spaces import Architecture


@dataclass(frozen=True)
class Predicted:
    """What the surrogate believed of an architecture before it was evaluated; the standard
    deviations are in units of the score.
    """

    mean: float
    aleatoric: float
    epistemic: float


@dataclass(frozen=True)
class Proposal:
    """An architecture that a strategy wants to see evaluated.

    Attributes:
        architecture: the decisions.
        origin: where it comes from: `random`, `mutation`, `crossover`, ...
        prediction: what the surrogate believes of it; None where no surrogate was asked.
        canonical: the canonical key of its graph; two proposals with one key are one architecture.
        fidelity: the share of an evaluation's epochs that it is to be trained, more than 0.
        continues: the number of the trial whose training goes on, of the same architecture and a
            lower fidelity: this is its promotion.
    """

    architecture: Architecture
    origin: str
    prediction: Predicted | None
    canonical: str
    fidelity: float = 1.0
    continues: int | None = None


@dataclass(frozen=True)
class Trial:
    """A proposal that was accepted for evaluation, and what came of it.

    Attributes:
        number: its number in the run, from 0, over all rounds and arms.
        round: the number of its round within its arm.
        arm: which of the compared strategies proposed it.
        architecture, origin, prediction, canonical: as in `Proposal`.
        seed: what the evaluation draws from; a promotion's is that of the trial that it continues.
        outcome: None while it is pending.
        fidelity, continues: as in `Proposal`.
        donor: the number of the trial whose trained weights its training begins with; None: it
            begins with fresh ones.
    """

    number: int
    round: int
    arm: str
    architecture: Architecture
    origin: str
    prediction: Predicted | None
    canonical: str
    seed: int
    outcome: Observation | Failed | None = None
    fidelity: float = 1.0
    continues: int | None = None
    donor: int | None = None

    @property
    def is_observed(self) -> bool:
        """Whether it has a score: it neither failed nor is pending."""
        return isinstance(self.outcome, Observation)

    @property
    def score(self) -> float:
        """The validation score.

        Raises:
            ValueError: the trial was not observed.
        """
        if not isinstance(self.outcome, Observation):
            raise ValueError(
                f"trial {self.number} has no score: "
                f"{'it is pending' if self.outcome is None else self.outcome.reason}"
            )
        return self.outcome.score

    def with_score(self, score: float) -> Trial:
        """The same with another score.

        Raises:
            ValueError: the trial was not observed.
        """
        if not isinstance(self.outcome, Observation):
            raise ValueError(
                f"trial {self.number} has no score that another could take the place of"
            )
        return replace(self, outcome=replace(self.outcome, score=score))


@dataclass(frozen=True)
class Round:
    """The trials that were proposed together, and at the round's end how right the surrogate was
    (None before).
    """

    number: int
    arm: str
    trials: tuple[int, ...]
    note: str = ""
    ranking: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Finalist:
    """A trial chosen for full training; rank 1 is the best of its arm."""

    trial: int
    rank: int
    arm: str


@dataclass(frozen=True)
class Final:
    """A finalist's full training with one seed."""

    trial: int
    seed: int
    result: FinalResult | Failed


@dataclass(frozen=True)
class History:
    """Everything that happened, trials in the order of their numbers. `finished` is the reason, or
    None while the run goes on.
    """

    trials: tuple[Trial, ...] = ()
    rounds: tuple[Round, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    finals: tuple[Final, ...] = ()
    finished: str | None = None

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            ValueError: there is none.
        """
        return self.trials[_place(self.trials, number)]

    def beginning(self, trial: Trial) -> Trial:
        """The trial that the training began with: itself, save where it is a promotion."""
        while trial.continues is not None:
            trial = self.trial(trial.continues)
        return trial

    @cached_property
    def observed(self) -> tuple[Trial, ...]:
        """The trials that have a score."""
        return tuple(trial for trial in self.trials if isinstance(trial.outcome, Observation))

    @cached_property
    def failed(self) -> tuple[Trial, ...]:
        """The trials whose evaluation failed."""
        return tuple(trial for trial in self.trials if isinstance(trial.outcome, Failed))

    @cached_property
    def pending(self) -> tuple[Trial, ...]:
        """The trials that were proposed and have no result yet."""
        return tuple(trial for trial in self.trials if trial.outcome is None)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The canonical keys of all that was proposed."""
        return frozenset(trial.canonical for trial in self.trials)

    @cached_property
    def latest(self) -> tuple[Trial, ...]:
        """What is known of each training: a trial whose promotion has ended gives way to it, a
        promotion that is pending does not count yet.
        """
        ended = {trial.continues for trial in self.trials if trial.outcome is not None}
        return tuple(
            trial
            for trial in self.trials
            if trial.number not in ended
            and not (trial.outcome is None and trial.continues is not None)
        )

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """The observed trials of `latest`, the best first: by fidelity, as a score of few epochs is
        no match for one of all, then by score, then number.
        """
        observed = (trial for trial in self.latest if trial.is_observed)
        return tuple(
            sorted(observed, key=lambda trial: (-trial.fidelity, -trial.score, trial.number))
        )

    @cached_property
    def fullest(self) -> tuple[Trial, ...]:
        """The observed trials of the highest fidelity among them: scores that can be compared."""
        highest = max((trial.fidelity for trial in self.observed), default=1.0)
        return tuple(trial for trial in self.observed if trial.fidelity == highest)

    @cached_property
    def best(self) -> Trial | None:
        """The first of `ranked`: with one fidelity the highest score, of equals the lower number.
        None while nothing is observed.
        """
        return max(
            (trial for trial in self.latest if trial.is_observed),
            key=lambda trial: (trial.fidelity, trial.score),
            default=None,
        )

    def best_so_far(self) -> tuple[float, ...]:
        """The highest score after each observed trial of the highest fidelity."""
        return tuple(accumulate((trial.score for trial in self.fullest), max))

    def cost(self, item: Proposal | Trial) -> float:
        """What it uses of a budget, in full evaluations: its fidelity less that of the trial that
        it continues.
        """
        return item.fidelity - (
            0.0 if item.continues is None else self.trial(item.continues).fidelity
        )

    @cached_property
    def spent(self) -> float:
        """What all trials use of a budget, failed and pending ones included; without fidelities
        their number.
        """
        return math.fsum(self.cost(trial) for trial in self.trials)

    @cached_property
    def used(self) -> float:
        """The same without the pending ones."""
        return math.fsum(self.cost(trial) for trial in self.trials if trial.outcome is not None)

    def affordable(self, proposals: Iterable[Proposal], budget: float) -> tuple[Proposal, ...]:
        """The proposals in their order, without those that what is left of the budget does not
        suffice for.
        """
        left, kept = budget - self.spent + ROUNDING, list[Proposal]()
        for proposal in proposals:
            cost = self.cost(proposal)
            if cost <= left:
                left -= cost
                kept.append(proposal)
        return tuple(kept)

    def of_arm(self, arm: str) -> History:
        """The same for one arm alone; the trials keep their numbers."""
        trials = tuple(trial for trial in self.trials if trial.arm == arm)
        numbers = {trial.number for trial in trials}
        return History(
            trials=trials,
            rounds=tuple(item for item in self.rounds if item.arm == arm),
            finalists=tuple(item for item in self.finalists if item.arm == arm),
            finals=tuple(item for item in self.finals if item.trial in numbers),
            finished=self.finished,
        )

    def next_round(
        self, arm: str, proposals: Sequence[Proposal], seed: int, donors: Sequence[int | None] = ()
    ) -> tuple[Trial, ...]:
        """The trials of a further round of the arm, numbered on from here. Each has a seed of its
        own, but a promotion keeps that of what it goes on with.

        Args:
            seed: the run's.
            donors: the trial whose weights each proposal begins with, where any does.
        """
        first, number = len(self.trials), len(self.of_arm(arm).rounds)
        return tuple(
            Trial(
                number=first + place,
                round=number,
                arm=arm,
                architecture=proposal.architecture,
                origin=proposal.origin,
                prediction=proposal.prediction,
                canonical=proposal.canonical,
                seed=derive(seed, "trial", first + place)
                if proposal.continues is None
                else self.trial(proposal.continues).seed,
                fidelity=proposal.fidelity,
                continues=proposal.continues,
                donor=donors[place] if donors else None,
            )
            for place, proposal in enumerate(proposals)
        )


EMPTY = History()

# Shares of a budget are added up, and thirds are not exact.
ROUNDING = 1e-9


def fold(events: Iterable[Event], history: History = EMPTY) -> History:
    """The history after the events: `fold(a + b) == fold(b, fold(a))`. One event costs one copy of
    the tuples, so fold many at once.

    A run folds before it appends: an event that does not fit never reaches the journal.

    Raises:
        ValueError: an event does not fit what came before it, or is not one of the kinds above.
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


def round_event(number: int, arm: str, trials: Sequence[Trial], note: str = "") -> Event:
    """The `round` event that proposes these trials, together."""
    return Event(
        "round",
        {
            "round": number,
            "arm": arm,
            "proposals": [_proposal_body(trial) for trial in trials],
            "note": note,
        },
    )


def outcome_event(trial: int, outcome: Observation | Failed) -> Event:
    """The `observation` or `failure` of a trial."""
    if isinstance(outcome, Failed):
        return Event("failure", {"trial": trial, **asdict(outcome)})
    body = {
        "score": outcome.score,
        "seconds": outcome.seconds,
        "curve": list(outcome.curve),
        "metrics": dict(outcome.metrics),
    }
    return Event("observation", {"trial": trial, **body})


def round_end_event(number: int, arm: str, ranking: Mapping[str, Any]) -> Event:
    """The end of a round, with how right the surrogate was in it.

    Raises:
        ValueError: `ranking` is not JSON; a number that is not defined is None, not NaN.
    """
    # Through JSON already here: the history folded before the event is appended equals the one read
    # back.
    return Event(
        "round_end",
        {"round": number, "arm": arm, "ranking": json.loads(json.dumps(ranking, allow_nan=False))},
    )


def finalist_event(finalist: Finalist) -> Event:
    """The choice of a finalist."""
    return Event("finalist", asdict(finalist))


def final_event(final: Final) -> Event:
    """The `final` or `final_failure` of a finalist's training with one seed."""
    kind = "final_failure" if isinstance(final.result, Failed) else "final"
    body = asdict(final.result)
    if "curve" in body:
        body["curve"] = list(body["curve"])
    return Event(kind, {"trial": final.trial, "seed": final.seed, **body})


def finished_event(reason: str) -> Event:
    """The end of the run."""
    return Event("finished", {"reason": reason})


def resumed_event() -> Event:
    """The run goes on in a new process."""
    return Event("resumed", {})


@dataclass
class _Draft:
    """The one place where a history is changed: it lives for one call of `fold`."""

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
    draft.rounds.append(
        Round(
            body["round"],
            body["arm"],
            tuple(trial.number for trial in trials),
            body.get("note", ""),
        )
    )


def _check_promotion(draft: _Draft, trial: Trial) -> None:
    if not 0 < trial.fidelity <= 1:
        raise ValueError(
            "a fidelity is a share of the epochs, more than 0 and at most 1; trial "
            f"{trial.number} has {trial.fidelity}"
        )
    if trial.continues is None:
        return
    before = draft.trials[_place(draft.trials, trial.continues)]
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
    if (before.arm, before.canonical, before.seed) != (
        trial.arm,
        trial.canonical,
        trial.seed,
    ) or before.fidelity >= trial.fidelity:
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
    if not draft.trials[_place(draft.trials, trial.donor)].is_observed:
        raise ValueError(
            f"trial {trial.donor} is pending, or failed, and has no weights for trial "
            f"{trial.number} to begin with"
        )


def _apply_observation(draft: _Draft, body: Mapping[str, Any]) -> None:
    _set_outcome(
        draft,
        body["trial"],
        Observation(
            _number(body["score"]),
            _number(body["seconds"]),
            _curve(body),
            tuple(body["metrics"].items()),
        ),
    )


def _apply_failure(draft: _Draft, body: Mapping[str, Any]) -> None:
    _set_outcome(draft, body["trial"], _failed(body))


def _apply_round_end(draft: _Draft, body: Mapping[str, Any]) -> None:
    # The round that ends is among the last ones, so the search runs from the end.
    for place in reversed(range(len(draft.rounds))):
        if draft.rounds[place].number == body["round"] and draft.rounds[place].arm == body["arm"]:
            draft.rounds[place] = replace(draft.rounds[place], ranking=body["ranking"])
            return
    raise ValueError(f"round {body['round']} of the arm {body['arm']!r} ended without having begun")


def _apply_finalist(draft: _Draft, body: Mapping[str, Any]) -> None:
    _place(draft.trials, body["trial"])
    draft.finalists.append(Finalist(body["trial"], body["rank"], body["arm"]))


def _apply_final(draft: _Draft, body: Mapping[str, Any]) -> None:
    _place(draft.trials, body["trial"])
    result = FinalResult(
        _number(body["validation"]), _number(body["test"]), _number(body["seconds"]), _curve(body)
    )
    draft.finals.append(Final(body["trial"], body["seed"], result))


def _apply_final_failure(draft: _Draft, body: Mapping[str, Any]) -> None:
    _place(draft.trials, body["trial"])
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


def _proposal_body(trial: Trial) -> dict[str, Any]:
    # Only where there is something to say, so that a journal without fidelities is what it always
    # was.
    further: dict[str, Any] = {} if trial.fidelity == 1.0 else {"fidelity": trial.fidelity}
    if trial.continues is not None:
        further["continues"] = trial.continues
    if trial.donor is not None:
        further["donor"] = trial.donor
    return {
        "trial": trial.number,
        "architecture": json.loads(trial.architecture.to_json()),
        "canonical": trial.canonical,
        "origin": trial.origin,
        "prediction": None if trial.prediction is None else asdict(trial.prediction),
        "seed": trial.seed,
        **further,
    }


def _trial(body: Mapping[str, Any], proposal: Mapping[str, Any]) -> Trial:
    prediction = proposal["prediction"]
    return Trial(
        number=proposal["trial"],
        round=body["round"],
        arm=body["arm"],
        architecture=Architecture.from_json(json.dumps(proposal["architecture"])),
        origin=proposal["origin"],
        prediction=None
        if prediction is None
        else Predicted(prediction["mean"], prediction["aleatoric"], prediction["epistemic"]),
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
    place = _place(draft.trials, number)
    if draft.trials[place].outcome is not None:
        raise ValueError(f"trial {number} has a result already; a second one came")
    draft.trials[place] = replace(draft.trials[place], outcome=outcome)


def _place(trials: Sequence[Trial], number: int) -> int:
    place = bisect_left(trials, number, key=lambda trial: trial.number)
    if place == len(trials) or trials[place].number != number:
        raise ValueError(f"there is no trial {number}; {len(trials)} trials were proposed")
    return place
