"""What `nas predict` shows without a predictor: a prior's opinion of a space, or of one module."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from nas.cli.output import aligned, printable
from nas.cli.ranking import Asked, described

if TYPE_CHECKING:
    from nas.prediction.one_module import Judged, JudgedModule, Opinion, Place, Unasked
    from nas.prediction.predicting import PredictedArchitecture, Ranked
    from nas.prediction.unlabelled import AskedTable, KnownSpace
    from spaces import SearchSpace

# A prior reads whole networks, so by default fewer architectures are predicted than by a predictor.
DRAWS_OF_PRIOR = 1_000
# Tables of a smaller share of the prediction are not shown.
LEAST_SHARE = 0.005
# So many standard deviations on both sides of a mean are its 90 % interval.
_WITHIN = NormalDist().inv_cdf(0.95)


def show_space(
    space: SearchSpace, prior: str, asked: Asked, *, cost: bool, top: int, as_json: bool
) -> None:
    """Shows the best architectures of a space of which no label is known, and who says so.

    Raises:
        ValueError: the prior says nothing of the space.
    """
    from nas.prediction.predicting import ranked
    from nas.prediction.unlabelled import known_prior, known_space

    known = known_space(space, known_prior(prior), cost=cost, seed=asked.seed)
    found = asked.ranked(
        partial(ranked, known.predictor, sign=-1.0 if cost else 1.0), space, DRAWS_OF_PRIOR
    )
    if not as_json:
        print(_ranking(found.best[:top]))
        print(f"\n{_about_space(space, known, found, cost=cost)}")
        return
    answer = {
        "space": space.name,
        "prior": prior,
        "lower_is_better": cost,
        "units": "standard deviations of the space",
        "expected_correlation": known.correlation,
        "tables": [
            {
                "table": table.table,
                "columns": table.columns,
                "networks": table.networks,
                "distance": table.distance,
                "share": table.share,
                "of_this_space": table.is_own,
            }
            for table in known.tables
        ],
        "looked_at": found.looked_at,
        "distinct": len(found.best),
        "best": described(found.best[:top]),
    }
    print(json.dumps(answer))


def _ranking(best: Sequence[PredictedArchitecture]) -> str:
    rows = [("rank", "expected", "90 % interval", "architecture")]
    for rank, item in enumerate(best, start=1):
        low, high = item.mean - _WITHIN * item.std, item.mean + _WITHIN * item.std
        interval = f"{low:+.2f} to {high:+.2f}"
        rows.append((str(rank), f"{item.mean:+.2f}", interval, str(item.architecture)))
    return aligned(rows, left=("architecture",))


def _about_space(space: SearchSpace, known: KnownSpace, found: Ranked, *, cost: bool) -> str:
    from nas.strategies.prior import LEAST_TRUST

    own = [table.table for table in known.tables if table.is_own]
    seen = (
        f"No label was given, but the prior has learnt from this very space: {', '.join(own)}."
        if own
        else "It has seen no label of this space."
    )
    numbers, better = ("costs", "lower") if cost else ("scores", "higher")
    trust = f"It expects a rank correlation of {known.correlation:.2f} with the {numbers}"
    if known.correlation < LEAST_TRUST:
        trust += ", which is little more than a guess"
    sentences = (
        f"{len(found.best):,} distinct of {found.looked_at:,} architectures of {space.name}, "
        f"ranked by the prior alone. {seen}",
        f"Expected {numbers} are in standard deviations from the mean of the space; {better} is "
        "better.",
        f"{trust}; that is no more than what tables at such a distance are usually worth:",
    )
    return "\n".join((*map(_wrapped, sentences), "", _tables(known.tables)))


def _tables(tables: Sequence[AskedTable]) -> str:
    rows = [("table", "columns", "networks", "distance", "share")]
    for each in tables:
        if each.share < LEAST_SHARE:
            continue
        columns = ", ".join(each.columns[:3])
        if len(each.columns) > 3:
            columns += f" and {len(each.columns) - 3} more"
        rows.append(
            (
                each.table,
                columns,
                f"{each.networks:,}",
                f"{each.distance:.2f}",
                f"{100 * each.share:.0f} %",
            )
        )
    return aligned(rows, left=("table", "columns"))


def show_module(
    name: str,
    prior: str,
    stated: tuple[str | None, str | None, int | None],
    *,
    as_json: bool,
) -> None:
    """Shows what the prior's experts say of one module.

    Args:
        name: the module, or a function that makes it, as `my_file.py:network`.
        prior: the prior's name.
        stated: the options for its input, its output and its vocabulary.
        as_json: whether JSON is printed.

    Raises:
        ValueError: the module cannot be loaded or described.
    """
    from nas.cli.shapes import shapes_of_options
    from nas.prediction.one_module import judge, load_module
    from nas.prediction.unlabelled import known_prior
    from spaces import Shapes

    shapes = shapes_of_options(Shapes((3, 32, 32), (10,)), *stated)
    experts = known_prior(prior)
    module = load_module(name)
    judged = judge(experts, module, shapes, check_output=stated[1] is not None)
    if as_json:
        answer = {
            "module": name,
            "prior": prior,
            "input": shapes.to_json()["input"],
            "parameters": judged.parameters,
            "multiply_adds": judged.multiply_adds,
            "scores": [_opinion(opinion) for opinion in judged.scores.opinions],
            "costs": [_opinion(opinion) for opinion in judged.costs.opinions],
            "not_asked": [
                {"table": each.table, "distance": each.distance, "is_far": each.is_far}
                for each in (*judged.scores.unasked, *judged.costs.unasked)
            ],
        }
        print(json.dumps(answer))
        return
    print(
        f"{printable(type(module).__name__)}: {judged.parameters:,} parameters, "
        f"{judged.multiply_adds:,} multiply-adds, for inputs {_shape_text(shapes.input)}"
    )
    for part in _about_module(judged):
        print(f"\n{part}")


def _about_module(judged: JudgedModule) -> list[str]:
    parts = [
        _judged(judged.scores, kind="score", better="better than"),
        _judged(judged.costs, kind="cost", better="cheaper than"),
    ]
    if judged.scores.opinions or judged.costs.opinions:
        parts.append(
            _wrapped(
                "A line says what the network would get in that table, in the column's own unit, "
                "and which share of the table's networks it would beat. No network of yours was "
                "seen, so the intervals are wide: the wider, the lower the correlation that is "
                "expected at the table's distance."
            )
        )
    return parts


def _judged(judged: Judged, *, kind: str, better: str) -> str:
    if not judged.opinions:
        if not judged.unasked:
            return f"The prior has no table of {kind}s."
        nothing = f"The prior says nothing of the network's {kind}: it knows no such networks."
        return f"{nothing}\n{_unasked(judged.unasked)}"
    rows = [("table", "column", "distance", "correlation", kind, "90 % interval", better, "")]
    for each in judged.opinions:
        low, high = each.lowest, each.highest
        shares = sorted(100 * place.better_than for place in (low, high))
        rows.append(
            (
                each.expert.table,
                each.expert.column,
                f"{each.distance:.2f}",
                f"{each.correlation:.2f}",
                _figure(each.expected.value),
                f"{_figure(low.value)} to {_figure(high.value)}",
                f"{100 * each.expected.better_than:.0f} %",
                f"({shares[0]:.0f} to {shares[1]:.0f} %)",
            )
        )
    table = aligned(rows, left=("table", "column"))
    return f"{table}\n{_unasked(judged.unasked)}" if judged.unasked else table


def _unasked(tables: Sequence[Unasked]) -> str:
    """Which tables say nothing, and why."""
    from nas.prediction.one_module import NEAR

    far = [f"{each.table} ({each.distance:.2f})" for each in tables if each.is_far]
    beyond = [each.table for each in tables if not each.is_far]
    said = []
    if beyond:
        said.append(f"Not asked, since their networks are of other sizes: {', '.join(beyond)}.")
    if far:
        said.append(f"Not asked, since they are farther than {NEAR:.2f}: {', '.join(far)}.")
    return "\n".join(map(_wrapped, said))


def _wrapped(text: str) -> str:
    return textwrap.fill(printable(text), 100, break_long_words=False, break_on_hyphens=False)


def _figure(value: float) -> str:
    """Three digits, or more before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def _shape_text(shape: Any) -> str:
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        return ",".join(map(str, shape))
    return str(shape)


def _opinion(opinion: Opinion) -> dict[str, Any]:
    def place(there: Place) -> dict[str, float]:
        return {"value": there.value, "better_than": there.better_than}

    return {
        "table": opinion.expert.table,
        "column": opinion.expert.column,
        "networks": opinion.expert.networks,
        "distance": opinion.distance,
        "expected_correlation": opinion.correlation,
        "expected": place(opinion.expected),
        "lowest": place(opinion.lowest),
        "highest": place(opinion.highest),
    }
