"""Bounds that an architecture has to keep: `parameters <= 1e6`, `latency <= 5`, `score >= 0.9`.

A bound on a number of the graph is checked before any training, and architectures that break it are
never proposed (`nas.objectives.constrained_space`). A bound on a number that only an evaluation
gives is checked afterwards. The observation then stays in the journal, but the trial is not
feasible: it is never the best, never a finalist, and not on the front.
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
from nas.record.history import History
from nas.record.trials import Trial

# A strategy that does not handle constraints sees an infeasible trial as a failure of this kind.
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
        """How far the value is on the wrong side of the bound; 0 if the constraint is kept."""
        return max(0.0, value - self.bound if self.sense == "<=" else self.bound - value)

    def __str__(self) -> str:
        return f"{self.name} {self.sense} {shown(self.bound)}"


@dataclass(frozen=True)
class Broken:
    """A constraint that a trial breaks, with the trial's value; None if it was not measured."""

    constraint: Constraint
    value: float | None

    def __str__(self) -> str:
        if self.value is None:
            return f"breaks {self.constraint} (not known)"
        near = f"{self.value:.6g}"
        # Never shown rounded to the bound that it breaks.
        exact = float(self.value).is_integer() or self.constraint.missed(float(near)) == 0
        return f"breaks {self.constraint} ({shown(self.value) if exact else near})"


def parse(text: str) -> Constraint:
    """The constraint written as `NAME <= NUMBER` or `NAME >= NUMBER`.

    Raises:
        ValueError: the text does not have this form.

    >>> parse("parameters <= 1e6")
    Constraint(name='parameters', sense='<=', bound=1000000.0)
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
    """Checks that no two bounds on the same number contradict each other.

    Raises:
        ValueError: two do.
    """
    for low in (each for each in constraints if each.sense == ">="):
        for high in (each for each in constraints if each.sense == "<=" and each.name == low.name):
            if low.bound > high.bound:
                raise ValueError(f"no architecture can keep both {low} and {high}")


def broken(trial: Trial, constraints: Sequence[Constraint]) -> tuple[Broken, ...]:
    """The constraints that an observed trial breaks, in their order.

    Empty for a trial that failed or is pending.
    """
    if not constraints or not isinstance(trial.outcome, Observation):
        return ()
    known = trial.outcome.numbers
    result = [Broken(constraint, known.get(constraint.name)) for constraint in constraints]
    return tuple(
        each for each in result if each.value is None or each.constraint.missed(each.value) > 0
    )


def violation(trial: Trial, constraints: Sequence[Constraint]) -> float:
    """How far an observed trial is from being feasible; 0 for a feasible one.

    It is the sum over constraints of the distance to the bound, as a share of the bound. It is
    infinite if a constrained number was not measured.
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
    """The observed trials, the best first, by constrained domination (Deb et al. 2002, section VI).

    Feasible trials come first, in the order of `nas.objectives.pareto.ranked`. The others follow by
    rising `violation`.
    """
    missed = {trial.number: violation(trial, constraints) for trial in observed}
    kept = [trial for trial in observed if not missed[trial.number]]
    others = sorted(
        (trial for trial in observed if missed[trial.number]),
        key=lambda trial: (missed[trial.number], trial.number),
    )
    return [*(kept[place] for place in ranked(values(kept, objectives))), *others]


def feasible(history: History, constraints: Sequence[Constraint]) -> History:
    """The history in which each trial that breaks a constraint is a failure.

    A strategy that does not handle constraints is given this view. The best trial of a run is the
    best of this view.
    """
    if not constraints:
        return history
    return replace(
        history,
        trials=tuple(_judged(trial, broken(trial, constraints)) for trial in history.trials),
    )


def seen_by(strategy: Any, history: History, constraints: Sequence[Constraint]) -> History:
    """The history that the strategy is given.

    It is the whole history if the strategy handles constraints itself, that is, if it has a field
    `constraints` with `repr=False`. Otherwise it is the feasible view.
    """
    field = getattr(strategy, "__dataclass_fields__", {}).get("constraints")
    return history if field is not None and not field.repr else feasible(history, constraints)


def none_feasible(history: History, constraints: Sequence[Constraint]) -> str | None:
    """A sentence if trials were observed but none is feasible; None otherwise."""
    observed = history.observed
    if not observed or any(not broken(trial, constraints) for trial in observed):
        return None
    nearest = min(observed, key=lambda trial: (violation(trial, constraints), trial.number))
    reasons = ", ".join(map(str, broken(nearest, constraints)))
    return (
        f"none of {len(observed)} evaluated architectures keeps the constraints; the nearest, "
        f"trial {nearest.number}, {reasons}"
    )


def shown(value: float) -> str:
    """The exact number as text; whole numbers are written without a decimal point."""
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
