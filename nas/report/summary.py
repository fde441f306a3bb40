"""A run's summary as JSON values; `nas status`, the terminal and the report show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nas.config.arms import BASELINE, SEARCH
from nas.config.plan import Plan, plan_of
from nas.config.sections import RunConfig, TableSection, TrainSection
from nas.evaluators.evaluator import Failed
from nas.objectives.constraints import CONSTRAINT, feasible, none_feasible
from nas.objectives.objective import SCORE, Objective
from nas.record.history import History
from nas.record.journal import Event
from nas.record.scorecard import scorecard
from nas.report.arm_figures import arm_figures, evaluation_seconds, scores_of
from nas.report.figures import counted, decimals_for, percent
from nas.report.front import front
from nas.report.verdict import compare
from nas.search.forecast import forecast


def summarize(history: History, config: RunConfig, events: Sequence[Event] = ()) -> dict[str, Any]:
    """The run in figures, as JSON values; a figure that is not known yet is None.

    It can be computed at any moment of a run; `terminal_summary` shows it as text.

    Args:
        history, config: of the run.
        events: those from which the history was folded; the forecast needs their times.

    Returns:
        `space`, `task`, `evaluator`, `strategy`, `predictor`, `seed`, `budget`: what was run.
        `finished`: the reason why the run ended, or None.
        `seconds`: of all evaluations and full trainings; a network that both arms share counts
            once.
        `arms` by name: `evaluated`, `spent` (of the budget), `failed`, `infeasible`, `pending`,
            `seconds`, `best` (trial, validation score, fidelity), `winner` (a trial) and
            `finalists`, each with its `finals` by seed and the mean and standard deviation of
            `validation` and `test` over the seeds.
        `constraints`: as text; `infeasible`: the trials that break one; `unkept`: a sentence if
            all trials of the search do.
        `transfer`: how many of the `trained` networks have `inherited` weights, and a `sentence`;
            None if the run transfers no weights.
        `front`: see `nas.report.front.front`; None with one objective.
        `comparison`: of the winners, see `nas.report.verdict.compare`; None without a baseline.
        `surrogate`: the scorecards of its predictions, by round (`rounds`) and `pooled`.
        `notes`: of the rounds.
        `failures`: by kind.
        `forecast`: the `nas.search.forecast.Forecast`, or None.
        `decimals`: with how many to show scores.
    """
    plan = plan_of(config)
    seen = feasible(history, plan.constraints)
    arms = {
        name: arm_figures(history.of_arm(name), seen.of_arm(name), name)
        for name in arm_names(history, plan)
    }
    decimals = decimals_for([score for arm in arms.values() for score in scores_of(arm)])
    uses_predictor = "surrogate" in (config.strategy.name, _over(config))
    compared = _comparison(history, arms, plan.objectives, decimals) if BASELINE in arms else None
    return {
        "space": config.space,
        "task": None if config.task is None else config.task.name,
        "evaluator": config.evaluator.name,
        "strategy": config.strategy.name,
        "predictor": config.predictor.name if uses_predictor else None,
        "seed": config.seed,
        "budget": config.budget,
        "finished": history.finished,
        "seconds": evaluation_seconds(history),
        "arms": arms,
        "constraints": [str(constraint) for constraint in plan.constraints],
        "infeasible": _infeasible(seen),
        "unkept": none_feasible(history.of_arm(SEARCH), plan.constraints),
        "transfer": _transfer(history, config.evaluator),
        "front": front(seen, plan.objectives, tuple(arms)),
        "comparison": compared,
        "surrogate": _surrogate(history),
        "notes": [
            {"arm": item.arm, "round": item.number, "note": item.note}
            for item in history.rounds
            if item.note
        ],
        "failures": _failures(history),
        "forecast": _forecast(events, history, plan),
        "decimals": decimals,
    }


def arm_names(history: History, plan: Plan) -> tuple[str, ...]:
    """The arms of the configuration, begun or not, and any other arms of the history."""
    return tuple(dict.fromkeys((*plan.arms, *(item.arm for item in history.rounds))))


def _over(config: RunConfig) -> str | None:
    """The strategy that a strategy of several fidelities takes its architectures from."""
    over = config.strategy.settings.get("over")
    return over.get("name") if isinstance(over, Mapping) else over


def _infeasible(seen: History) -> list[dict[str, Any]]:
    broken = ((trial, trial.outcome) for trial in seen.failed)
    return [
        {"trial": trial.number, "arm": trial.arm, "reason": outcome.reason}
        for trial, outcome in broken
        if isinstance(outcome, Failed) and outcome.kind == CONSTRAINT
    ]


def _transfer(history: History, evaluator: TrainSection | TableSection) -> dict[str, Any] | None:
    """How many trainings began with a donor's weights.

    A promoted trial continues with its own weights, so it is not counted.
    """
    if not isinstance(evaluator, TrainSection) or evaluator.transfer is None:
        return None
    trained = [trial for trial in history.observed if trial.continues is None]
    inherited = sum(trial.donor is not None for trial in trained)
    if inherited:
        sentence = (
            f"{inherited} of {counted(len(trained), 'training')} began with the weights of a "
            "network like theirs; full trainings begin with fresh ones, so a finalist's score is "
            "not to be compared with that of its trial in the search"
        )
    else:
        sentence = (
            f"{len(trained)} trainings so far, all from fresh weights: none has found a network "
            f"that shares {percent(evaluator.transfer.least)} of its tensors "
            "(evaluator.transfer.least; with a lower one more do)"
        )
    return {"trained": len(trained), "inherited": inherited, "sentence": sentence}


def _comparison(
    history: History, arms: Mapping[str, Any], objectives: Sequence[Objective], decimals: int
) -> dict[str, Any]:
    winners = [arms[name]["winner"] for name in (SEARCH, BASELINE)]
    same_network = (
        None not in winners and len({history.trial(number).canonical for number in winners}) == 1
    )
    compared = compare(arms[SEARCH], arms[BASELINE], same_network=same_network, decimals=decimals)
    if tuple(objectives) == (SCORE,):
        return compared
    # With other objectives than the score alone, the better score does not decide the comparison.
    sentence = compared["sentence"]
    return {**compared, "sentence": f"By the score alone: {sentence[0].lower()}{sentence[1:]}"}


def _surrogate(history: History) -> dict[str, Any]:
    rounds = [
        {"arm": item.arm, "round": item.number, **item.ranking}
        for item in history.rounds
        if item.ranking is not None and item.ranking.get("predicted")
    ]
    return {"rounds": rounds, "pooled": scorecard(history.trials)}


def _failures(history: History) -> list[dict[str, Any]]:
    """Failures by kind, the most frequent first.

    `trials` lists a trial once for each of its failures; `finals` counts failed full trainings.
    """
    search = [
        (trial.outcome.kind, trial.number, 0)
        for trial in history.failed
        if isinstance(trial.outcome, Failed)
    ]
    finals = [
        (final.result.kind, final.trial, 1)
        for final in history.finals
        if isinstance(final.result, Failed)
    ]
    kinds: dict[str, dict[str, Any]] = {}
    for kind, trial, is_final in (*search, *finals):
        item = kinds.setdefault(kind, {"kind": kind, "count": 0, "finals": 0, "trials": []})
        item["count"] += 1
        item["finals"] += is_final
        item["trials"].append(trial)
    return sorted(kinds.values(), key=lambda item: -item["count"])


def _forecast(events: Sequence[Event], history: History, plan: Plan) -> dict[str, Any] | None:
    ahead = forecast(events, history, plan)
    if ahead is None:
        return None
    return {**asdict(ahead), "gains": [asdict(gain) for gain in ahead.gains]}
