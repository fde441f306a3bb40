"""Bounds that an architecture has to keep: `parameters <= 1e6`, `latency <= 5`, `score >= 0.9`.

What the graph alone tells is refused before any training (`nas.objectives.constrained_space`). What
only an evaluation tells leaves its observation in the journal; the trial is then not feasible: it
is never the best, no finalist, and not on the front.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.objective import Objective, values
from nas.objectives.pareto import ranked
from nas.record.history import History, Trial

# The kind of the failure that an infeasible trial is to a strategy without knowledge of
# constraints.
CONSTRAINT = "constraint"

_FORM = re.compile(
    r"\s*(?P<name>[^<>=\s](?:[^<>=]*[^<>=\s])?)\s*(?P<sense><=|>=)\s*(?P<bound>[^<>=\s]+)\s*"
)


@dataclass(frozen=True)
class Constraint:
    """A bound on one number of an architecture; a value at the bound keeps it.

    Attributes:
        name: as in `Objective`: `score`, `seconds`, one of the observation's metrics, or a number
            of the graph (`nas.objectives.descriptors`).
        sense: which side of the bound is allowed.
        bound: a finite number.
    """

    name: str
    sense: Literal["<=", ">="]
    bound: float

    def missed(self, value: float) -> float:
        """How far the value is on the wrong side of the bound; 0 where the constraint is kept."""
        return max(0.0, value - self.bound if self.sense == "<=" else self.bound - value)

    def __str__(self) -> str:
        return f"{self.name} {self.sense} {shown(self.bound)}"


@dataclass(frozen=True)
class Broken:
    """A constraint that a trial does not keep, and its value; None where the evaluation did not
    tell it.
    """

    constraint: Constraint
    value: float | None

    def __str__(self) -> str:
        if self.value is None:
            return f"breaks {self.constraint} (not known)"
        near = f"{self.value:.6g}"
        # Never rounded onto the bound that it breaks.
        exact = float(self.value).is_integer() or self.constraint.missed(float(near)) == 0
        return f"breaks {self.constraint} ({shown(self.value) if exact else near})"


def parse(text: str) -> Constraint:
    """The constraint that is written so, `NAME <= NUMBER` or `NAME >= NUMBER`.

    Raises:
        ValueError: it is not written so.
    """
    matched = _FORM.fullmatch(text)
    bound = _number(matched["bound"]) if matched else None
    if matched is None or bound is None:
        raise ValueError(
            "a constraint is NAME <= NUMBER or NAME >= NUMBER, such as 'parameters <= 1e6' or "
            f"'score >= 0.9'; got {text!r}"
        )
    return Constraint(matched["name"], "<=" if matched["sense"] == "<=" else ">=", bound)


def check(constraints: Sequence[Constraint]) -> None:
    """Nothing, if one number can keep all the bounds on it.

    Raises:
        ValueError: two contradict each other.
    """
    for low in (each for each in constraints if each.sense == ">="):
        for high in (each for each in constraints if each.sense == "<=" and each.name == low.name):
            if low.bound > high.bound:
                raise ValueError(f"no architecture can keep both {low} and {high}")


def broken(trial: Trial, constraints: Sequence[Constraint]) -> tuple[Broken, ...]:
    """The constraints that an observed trial does not keep, in their order; none for a trial that
    failed or is pending.
    """
    if not constraints or not isinstance(trial.outcome, Observation):
        return ()
    known = trial.outcome.numbers
    result = [Broken(constraint, known.get(constraint.name)) for constraint in constraints]
    return tuple(
        each for each in result if each.value is None or each.constraint.missed(each.value) > 0
    )


def violation(trial: Trial, constraints: Sequence[Constraint]) -> float:
    """How far an observed trial is from being feasible: the sum over constraints of what is missed,
    in shares of the bound; 0 for a feasible one.
    """
    return sum(
        math.inf
        if each.value is None
        else each.constraint.missed(each.value) / (abs(each.constraint.bound) or 1.0)
        for each in broken(trial, constraints)
    )


def best_first(
    observed: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> list[Trial]:
    """The observed trials, the best first: those that keep the constraints as
    `nas.objectives.pareto.ranked` says, then the others by how far they miss them.

    That is constrained domination (Deb et al. 2002, section VI).
    """
    missed = {trial.number: violation(trial, constraints) for trial in observed}
    kept = [trial for trial in observed if not missed[trial.number]]
    others = sorted(
        (trial for trial in observed if missed[trial.number]),
        key=lambda trial: (missed[trial.number], trial.number),
    )
    return [*(kept[place] for place in ranked(values(kept, objectives))), *others]


def feasible(history: History, constraints: Sequence[Constraint]) -> History:
    """The history with each trial that breaks a constraint as a failure: what a strategy sees that
    knows of no constraints, and what the best is of.
    """
    if not constraints:
        return history
    return replace(
        history,
        trials=tuple(_judged(trial, broken(trial, constraints)) for trial in history.trials),
    )


def seen_by(strategy: Any, history: History, constraints: Sequence[Constraint]) -> History:
    """What the strategy is asked with: the whole history where it is given the constraints, in a
    field of that name without repr; else the feasible view.
    """
    field = getattr(strategy, "__dataclass_fields__", {}).get("constraints")
    return history if field is not None and not field.repr else feasible(history, constraints)


def none_feasible(history: History, constraints: Sequence[Constraint]) -> str | None:
    """A sentence where trials were observed and none is feasible; None otherwise."""
    observed = history.observed
    if not observed or any(not broken(trial, constraints) for trial in observed):
        return None
    nearest = min(observed, key=lambda trial: (violation(trial, constraints), trial.number))
    said = ", ".join(map(str, broken(nearest, constraints)))
    return (
        f"none of {len(observed)} evaluated architectures keeps the constraints; the nearest, "
        f"trial {nearest.number}, {said}"
    )


def shown(value: float) -> str:
    """The number as people write it, exactly: whole ones without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def _judged(trial: Trial, found: tuple[Broken, ...]) -> Trial:
    if not found or not isinstance(trial.outcome, Observation):
        return trial
    return replace(
        trial, outcome=Failed(CONSTRAINT, ", ".join(map(str, found)), trial.outcome.seconds)
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
