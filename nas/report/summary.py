"""A run in figures: one JSON object behind `nas status --json`, the terminal's closing table and
the report.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nas.config.config import RunConfig, TrainSection
from nas.evaluators.evaluator import Failed, FinalResult
from nas.objectives.constraints import CONSTRAINT, feasible, none_feasible
from nas.objectives.objective import SCORE
from nas.record.arms import BASELINE, SEARCH
from nas.record.history import History
from nas.record.journal import Event
from nas.record.scorecard import scorecard
from nas.report.figures import (
    amount,
    at_fidelity,
    counted,
    decimals_for,
    duration,
    figure,
    percent,
    with_spread,
)
from nas.report.front import front, terminal_front
from nas.report.outlook import outlook
from nas.report.verdict import compare
from nas.search.forecast import forecast
from nas.search.run import winner


def summarize(history: History, config: RunConfig, events: Sequence[Event] = ()) -> dict[str, Any]:
    """The run in figures, JSON values throughout; what is not known yet is None. Works at any
    moment of a run.

    Args:
        history, config: the run's.
        events: those that the history is the fold of; their times tell how long the run will go on.

    Returns:
        What was run: `space`, `task`, `evaluator`, `strategy`, `predictor`, `seed`, `budget`.
            `finished` (the reason, or None). `seconds` of all
        evaluations and full trainings, a network that both arms share counted once. `arms` by name:
        `evaluated`, `spent` (of the budget), `failed`, `pending`, `seconds`, `infeasible`, `best`
        (trial, validation score, fidelity), `winner` (a trial) and `finalists`, each with its
        `finals` by seed and the mean and standard deviation of `validation` and `test` over the
        seeds. `constraints`, the trials that break one (`infeasible`), and a sentence where all of
        the search do (`unkept`). `transfer` (None where trainings take over no weights): how many
        of the `trained` have `inherited` some, and a `sentence`. `front` (None with one objective).
        `comparison` of the winners (None without a baseline). `surrogate`: the scorecard by round
        and
        pooled. `notes` of the rounds. `failures` by kind. `forecast`: what is ahead
            (`nas.search.forecast.Forecast`). `decimals` to show scores with.
    """
    seen = feasible(history, config.constraints)
    arms = {
        name: _arm(history.of_arm(name), seen.of_arm(name), name)
        for name in arm_names(history, config)
    }
    decimals = decimals_for([score for arm in arms.values() for score in _scores(arm)])
    return {
        "space": config.space,
        "task": None if config.task is None else config.task.name,
        "evaluator": config.evaluator.name,
        "strategy": config.strategy.name,
        "predictor": config.predictor.name
        if "surrogate" in (config.strategy.name, _over(config))
        else None,
        "seed": config.seed,
        "budget": config.budget,
        "finished": history.finished,
        "seconds": _seconds(history),
        "arms": arms,
        "constraints": [str(constraint) for constraint in config.constraints],
        "infeasible": _infeasible(seen),
        "unkept": none_feasible(history.of_arm(SEARCH), config.constraints),
        "transfer": _transfer(history, config),
        "front": front(seen, config, tuple(arms)),
        "comparison": _comparison(history, arms, config, decimals) if BASELINE in arms else None,
        "surrogate": _surrogate(history),
        "notes": [
            {"arm": item.arm, "round": item.number, "note": item.note}
            for item in history.rounds
            if item.note
        ],
        "failures": _failures(history),
        "forecast": None
        if (ahead := forecast(events, history, config)) is None
        else {**asdict(ahead), "gains": [asdict(gain) for gain in ahead.gains]},
        "decimals": decimals,
    }


def arm_names(history: History, config: RunConfig) -> tuple[str, ...]:
    """The arms that the configuration asks for, begun or not, and any others that the history has."""
    baseline = (
        (BASELINE,) if config.baseline == "random" and config.strategy.name != "random" else ()
    )
    return tuple(dict.fromkeys((SEARCH, *baseline, *(item.arm for item in history.rounds))))


def _over(config: RunConfig) -> str | None:
    """The strategy below one of several fidelities."""
    over = config.strategy.settings.get("over")
    return over.get("name") if isinstance(over, Mapping) else over


def winning(arm: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The winner among an arm's finalists in the summary."""
    return next(
        (finalist for finalist in arm["finalists"] if finalist["trial"] == arm["winner"]), None
    )


def headline(summary: Mapping[str, Any]) -> str:
    """What came out, in a sentence or two; random search's result at the same budget is part of it."""
    if summary["unkept"] is not None:
        return f"{summary['unkept'][0].upper()}{summary['unkept'][1:]}."
    if summary["front"] is None:
        return _by_score(summary)
    return f"{summary['front']['sentence']} {_by_score(summary)}".rstrip()


def _by_score(summary: Mapping[str, Any]) -> str:
    if summary["comparison"] is not None:
        return summary["comparison"]["sentence"]
    arm, won = summary["arms"][SEARCH], winning(summary["arms"][SEARCH])
    if won is not None:
        seeds = counted(won["test"]["seeds"], "seed")
        return (
            f"The winner, trial {won['trial']}, scores "
            f"{with_spread(won['test'], summary['decimals'])} on test, over {seeds}."
        )
    if arm["best"] is not None:
        return (
            "The best validation score is "
            f"{figure(arm['best']['validation'], summary['decimals'])}, of trial "
            f"{arm['best']['trial']}."
        )
    return (
        "Nothing has been evaluated "
        f"yet{'; ' + counted(arm['failed'], 'evaluation') + ' failed' if arm['failed'] else ''}."
    )


def terminal_summary(summary: Mapping[str, Any]) -> str:
    """The same as plain text: a column for each arm, then what the surrogate was worth, the
    failures, and the headline.
    """
    rows = [("", *summary["arms"]), *_terminal_rows(summary)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "   ".join(
            [
                row[0].ljust(widths[0]),
                *(
                    cell.rjust(max(width, 12))
                    for cell, width in zip(row[1:], widths[1:], strict=True)
                ),
            ]
        )
        for row in rows
    ]
    rule = "─" * len(table[0])
    shown = ["", *terminal_front(summary)] if summary["front"] else []
    lines = [
        table[0],
        rule,
        *table[1:],
        rule,
        *_terminal_notes(summary),
        *shown,
        "",
        *textwrap.wrap(headline(summary), 100),
    ]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _terminal_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    decimals = summary["decimals"]

    def row(label: str, cell: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
        return (label, *map(cell, summary["arms"].values()))

    in_parts = any(
        arm["spent"] != arm["evaluated"] + arm["failed"] + arm["pending"]
        for arm in summary["arms"].values()
    )
    yield row(
        "evaluated",
        lambda arm: str(arm["evaluated"]) + ("" if in_parts else f" of {summary['budget']}"),
    )
    if in_parts:
        yield row("  in whole ones", lambda arm: f"{amount(arm['spent'])} of {summary['budget']}")
    yield row("failed", lambda arm: str(arm["failed"]))
    if summary["constraints"]:
        yield row("infeasible", lambda arm: str(arm["infeasible"]))
    yield row(
        "best validation", lambda arm: figure(arm["best"] and arm["best"]["validation"], decimals)
    )
    yield row(
        "  trial",
        lambda arm: (
            f"{arm['best']['trial']}{at_fidelity(arm['best']['fidelity'])}" if arm["best"] else "–"
        ),
    )
    if any(arm["winner"] is not None for arm in summary["arms"].values()):
        yield row("winner: trial", lambda arm: str(arm["winner"]) if winning(arm) else "–")
        yield row(
            "  validation",
            lambda arm: with_spread((winning(arm) or {}).get("validation"), decimals),
        )
        yield row("  test", lambda arm: with_spread((winning(arm) or {}).get("test"), decimals))


def _terminal_notes(summary: Mapping[str, Any]) -> Iterator[str]:
    pooled = summary["surrogate"]["pooled"]
    if pooled["predicted"]:
        inside = (
            f"{percent(pooled['coverage_90'])} of {counted(pooled['predicted'], 'result')} inside "
            "its 90 % intervals"
        )
        yield f"surrogate   rank correlation {figure(pooled['rank_correlation'], 2)}, {inside}"
    if summary["transfer"] is not None:
        yield from _under("transfer    ", summary["transfer"]["sentence"])
    if summary["failures"]:
        yield "failures    " + ", ".join(
            f"{item['count']} {item['kind']}" for item in summary["failures"]
        )
    if summary["constraints"]:
        yield f"kept        {', '.join(summary['constraints'])}"
    if summary["infeasible"]:
        first, others = summary["infeasible"][0], len(summary["infeasible"]) - 1
        yield f"infeasible  trial {first['trial']} {first['reason']}" + (
            f", and {counted(others, 'other')}" if others else ""
        )
    if summary["forecast"] is not None and (
        ahead := outlook(summary["forecast"], summary["decimals"])
    ):
        yield from _under("forecast    ", ahead)
    state = "not finished" if summary["finished"] is None else f"finished: {summary['finished']}"
    yield (
        "state       "
        f"{state}{'; ' + duration(summary['seconds']) + ' of evaluation' if summary['seconds'] else ''}"
    )


def _under(label: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, 100 - len(label))
    yield from (
        f"{label if place == 0 else ' ' * len(label)}{line}" for place, line in enumerate(lines)
    )


def _arm(history: History, seen: History, name: str) -> dict[str, Any]:
    best = seen.best
    return {
        "evaluated": len(history.observed),
        "spent": history.spent,
        "failed": len(history.failed),
        "infeasible": len(history.observed) - len(seen.observed),
        "pending": len(history.pending),
        "seconds": _seconds(history),
        "best": None
        if best is None
        else {"trial": best.number, "validation": best.score, "fidelity": best.fidelity},
        "winner": winner(history, name),
        "finalists": [
            _finalist(history, finalist.trial, finalist.rank)
            for finalist in sorted(history.finalists, key=lambda item: item.rank)
        ],
    }


def _finalist(history: History, trial: int, rank: int) -> dict[str, Any]:
    finals, results = [], []
    for final in history.finals:
        if final.trial == trial and isinstance(final.result, FinalResult):
            results.append(final.result)
            finals.append(
                {
                    "seed": final.seed,
                    "validation": final.result.validation,
                    "test": final.result.test,
                }
            )
        elif final.trial == trial and isinstance(final.result, Failed):
            finals.append(
                {"seed": final.seed, "failed": final.result.kind, "reason": final.result.reason}
            )
    return {
        "trial": trial,
        "rank": rank,
        "search_validation": history.trial(trial).score,
        "finals": finals,
        "validation": _statistics([result.validation for result in results]),
        "test": _statistics([result.test for result in results]),
    }


def _statistics(values: Sequence[float]) -> dict[str, Any] | None:
    """Mean and standard deviation of the sample; the deviation is None for one value."""
    if not values:
        return None
    return {
        "mean": statistics.fmean(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
    }


def _infeasible(seen: History) -> list[dict[str, Any]]:
    broken = ((trial, trial.outcome) for trial in seen.failed)
    return [
        {"trial": trial.number, "arm": trial.arm, "reason": outcome.reason}
        for trial, outcome in broken
        if isinstance(outcome, Failed) and outcome.kind == CONSTRAINT
    ]


def _transfer(history: History, config: RunConfig) -> dict[str, Any] | None:
    """How many trainings have begun with a donor's weights; a promotion goes on with its own and is
    none of them.
    """
    if not isinstance(config.evaluator, TrainSection) or config.evaluator.transfer is None:
        return None
    trained = [trial for trial in history.observed if trial.continues is None]
    inherited, least = (
        sum(trial.donor is not None for trial in trained),
        config.evaluator.transfer.least,
    )
    if inherited:
        sentence = (
            f"{inherited} of {counted(len(trained), 'training')} began with the weights of a "
            "network like theirs; full trainings begin with fresh ones, so a "
            "finalist's score is not to be compared with that of its trial in the search"
        )
    else:
        sentence = (
            f"{len(trained)} trainings so far, all from fresh weights: none has found a network "
            f"that shares {percent(least)} of its tensors "
            "(evaluator.transfer.least; with a lower one more do)"
        )
    return {"trained": len(trained), "inherited": inherited, "sentence": sentence}


def _comparison(
    history: History, arms: Mapping[str, Any], config: RunConfig, decimals: int
) -> dict[str, Any]:
    winners = [arms[name]["winner"] for name in (SEARCH, BASELINE)]
    same_network = (
        None not in winners and len({history.trial(number).canonical for number in winners}) == 1
    )
    compared = compare(arms[SEARCH], arms[BASELINE], same_network=same_network, decimals=decimals)
    if config.objectives == (SCORE,):
        return compared
    # Who wins by score alone decides nothing where the score is one objective of several, or none.
    return {
        **compared,
        "sentence": f"By the score alone: {compared['sentence'][0].lower()}{compared['sentence'][1:]}",
    }


def _surrogate(history: History) -> dict[str, Any]:
    judged = [
        item
        for item in history.rounds
        if item.ranking is not None and item.ranking.get("predicted")
    ]
    return {
        "rounds": [
            {"arm": item.arm, "round": item.number, **(item.ranking or {})} for item in judged
        ],
        "pooled": scorecard(history.trials),
    }


def _failures(history: History) -> list[dict[str, Any]]:
    """By kind, the commonest first; `trials` names a trial once for each of its failures, `finals`
    counts those of full trainings.
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


def _seconds(history: History) -> float:
    """Of every evaluation and full training; where a network's result was copied to its twin, once."""
    canonical = {trial.number: trial.canonical for trial in history.trials}
    spent = {
        (trial.canonical, trial.outcome): trial.outcome.seconds
        for trial in history.trials
        if trial.outcome is not None
    }
    trained = {
        (canonical[final.trial], final.seed): final.result.seconds for final in history.finals
    }
    return float(sum(spent.values()) + sum(trained.values()))


def _scores(arm: Mapping[str, Any]) -> Iterator[float]:
    if arm["best"] is not None:
        yield arm["best"]["validation"]
    for finalist in arm["finalists"]:
        yield finalist["search_validation"]
        for final in finalist["finals"]:
            yield from (final[key] for key in ("validation", "test") if key in final)
