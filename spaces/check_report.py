"""The report of a check of a search space, as a value and as a table of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spaces.space import Shapes
from spaces.structure import by_name, is_shape, mapped


@dataclass(frozen=True)
class Range:
    """The smallest value, the median and the largest value over the architectures drawn."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        space, shapes: the space's name, and the shapes of the data that it was checked for.
        builds: whether the space makes networks of its architectures; only then were they tried.
        count: number of architectures drawn, rejected draws not included.
        rejected: number of draws that the space's program rejected.
        reasons: each reason for a rejection and how often it occurred, the most frequent first.
        duplicates: number of architectures whose graph is isomorphic to that of an earlier one.
        dead: number of disconnected architectures, without a path from input to output: they are
            valid, but cannot learn anything.
        idle: the decisions that never changed the network when another answer was tried.
        size: number of architectures of the space; "infinite", or "unknown" if counting takes too
            long.
        parameters, multiply_adds, activations: of one network, as `spaces.ops.costs` counts them;
            None if no network could be counted.
        sample_seconds, build_seconds, step_seconds: mean seconds for one architecture: to draw it
            with its graph, to make its torch module, and for a forward and a backward pass of a
            batch of two.
        problems: one sentence for each problem, with the key of the first architecture that has
            it. Empty if no problem was found.
    """

    space: str
    shapes: Shapes
    builds: bool
    count: int
    rejected: int
    reasons: tuple[tuple[str, int], ...]
    duplicates: int
    dead: int
    idle: tuple[str, ...]
    size: int | Literal["infinite", "unknown"]
    parameters: Range | None
    multiply_adds: Range | None
    activations: Range | None
    sample_seconds: float
    build_seconds: float
    step_seconds: float
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            **asdict(self),
            "shapes": self.shapes.to_json(),
            "reasons": dict(self.reasons),
            "idle": list(self.idle),
            "problems": list(self.problems),
        }


def report_text(report: Report) -> str:
    """The report as a table for a terminal, the problems at its end."""
    lines = [f"space {report.space}", ""]
    lines += [f"  {name:<30}{value}" for name, value in _rows(report)]
    lines += ["", *_range_lines(report)]
    if not report.problems:
        return "\n".join([*lines, "no problems"])
    many = len(report.problems) > 1
    return "\n".join(
        [
            *lines,
            f"{len(report.problems)} problem{'s' if many else ''}:",
            *("  - " + problem.replace("\n", "\n    ") for problem in report.problems),
        ]
    )


def _rows(report: Report) -> list[tuple[str, str]]:
    """The upper rows of the table: a name and a value each."""
    drawn = report.count + report.rejected
    share = f" ({report.rejected / drawn:.0%})" if report.rejected else ""
    rows = []
    if report.builds:
        rows.append(("input, output", _data(report.shapes)))
    else:
        rows.append(("networks", "none are made: it describes architectures only"))
    rows += [
        ("architectures in all", _shown_size(report.size)),
        ("drawn", str(report.count)),
        ("rejected", f"{report.rejected} of {drawn} draws{share}"),
    ]
    rows += [("", f"{times} times: {reason[:90]}") for reason, times in report.reasons[:3]]
    rows.append(("duplicates", str(report.duplicates)))
    if report.dead:
        rows.append(("without a path to the output", str(report.dead)))
    rows.append(("seconds to draw one", f"{report.sample_seconds:.2g}"))
    if report.idle:
        more = f" and {len(report.idle) - 3} more" if len(report.idle) > 3 else ""
        rows.append(("decisions changing nothing", ", ".join(report.idle[:3]) + more))
    if report.builds:
        rows.append(("seconds to build one", f"{report.build_seconds:.2g}"))
        rows.append(("seconds for a batch of 2", f"{report.step_seconds:.2g}"))
    return rows


def _range_lines(report: Report) -> list[str]:
    """The lower lines of the table: least, median and most of each number of a network."""
    ranges = [
        ("parameters", report.parameters),
        ("multiply-adds", report.multiply_adds),
        ("activation values", report.activations),
    ]
    if all(values is None for _, values in ranges):
        return []
    lines = [f"  {'of one network':<30}{'least':>10}{'median':>10}{'most':>10}"]
    for name, values in ranges:
        if values is not None:
            numbers = (values.minimum, values.median, values.maximum)
            lines.append(f"  {name:<30}" + "".join(f"{_short(value):>10}" for value in numbers))
    return [*lines, ""]


def _data(shapes: Shapes) -> str:
    tokens = mapped(
        lambda shape, count: "" if count is None else f" of {count:,} tokens",
        *(shapes.input, shapes.vocabularies),
        leaf=is_shape,
    )
    inputs = mapped(lambda shape, more: _sizes(shape) + more, shapes.input, tokens, leaf=is_shape)
    outputs = mapped(_sizes, shapes.output, leaf=is_shape)
    return f"{_listed(inputs, 'input')}, {_listed(outputs, 'output')}"


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _listed(shown: Any, root: str) -> str:
    """The shapes of several inputs or outputs with their names."""
    if isinstance(shown, str):
        return shown
    return " and ".join(f"{name} {shape}" for name, shape in by_name(shown, root).items())


def _shown_size(count: int | str) -> str:
    if isinstance(count, str):
        return count
    return f"{count:,}" if count < 10**9 else f"{count:.2e}"


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"
