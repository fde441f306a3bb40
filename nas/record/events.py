"""The events of a journal, made of values: how each kind is written. Bodies are JSON.

round           {round, arm, proposals: [...], note}   before any evaluation of the round
                a proposal is {trial, architecture, canonical, origin, prediction, seed}; one
                of fewer epochs has `fidelity` too, one that continues another trial's training
                `continues`, and one that begins with another trial's weights `donor`
observation     {trial, score, seconds, curve, metrics}
failure         {trial, kind, reason, seconds, detail}
round_end       {round, arm, ranking: {...}}           how right the surrogate was
finalist        {trial, rank, arm}
final           {trial, seed, validation, test, seconds, curve}
final_failure   {trial, seed, kind, reason, seconds, detail}
finished        {reason}
resumed         {}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nas.evaluators.evaluator import Failed, Observation
from nas.record.journal import Event
from nas.record.trials import Final, Finalist, Trial


def round_event(number: int, arm: str, trials: Sequence[Trial], note: str = "") -> Event:
    """The `round` event that proposes these trials, together."""
    proposals = [_proposal_body(trial) for trial in trials]
    return Event("round", {"round": number, "arm": arm, "proposals": proposals, "note": note})


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
    # Through JSON already here, so that the history that is folded before the event is appended
    # equals the one that is read back.
    kept = json.loads(json.dumps(ranking, allow_nan=False))
    return Event("round_end", {"round": number, "arm": arm, "ranking": kept})


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


def _proposal_body(trial: Trial) -> dict[str, Any]:
    # The optional fields are written only if they are used, so that a journal without fidelities
    # and donors is the same as in earlier versions.
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
