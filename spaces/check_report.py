"""What the check of a search space found, and how it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spaces.space import Shapes


@dataclass(frozen=True)
class Range:
    """The smallest, the middle and the largest of a number over the architectures that were drawn."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        space, shapes: which space, and for what data.
        builds: whether networks are made of its architectures, and were tried.
        count: architectures that were drawn.
        rejected: draws that the space's program refused, beside these.
        reasons: how often it refused them for what reason, the most frequent first.
        duplicates: architectures whose graph is isomorphic to one drawn before.
        dead: architectures without a path from input to output: valid, but nothing can be learned.
        size: how many architectures the space has; "infinite", or "unknown" where counting takes
            too long.
        parameters, multiply_adds, activations: of one network, as `spaces.ops.costs` counts; None
            where none could be counted.
        sample_seconds, build_seconds, step_seconds: for one architecture: drawing it with its
            graph; making the torch module; a forward and backward pass of a batch of two.
        problems: a sentence each, with the key of the first architecture that shows it. Empty: the
            space is sound as far as was looked.
    """

    space: str
    shapes: Shapes
    builds: bool
    count: int
    rejected: int
    reasons: tuple[tuple[str, int], ...]
    duplicates: int
    dead: int
    size: int | Literal["infinite", "unknown"]
    parameters: Range | None
    multiply_adds: Range | None
    activations: Range | None
    sample_seconds: float
    build_seconds: float
    step_seconds: float
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {**asdict(self), "reasons": dict(self.reasons), "problems": list(self.problems)}


def report_text(report: Report) -> str:
    """The report as a table for a terminal, the problems at its end."""
    drawn = report.count + report.rejected
    rows = [
        *(
            ()
            if report.builds
            else (("networks", "none are made: it describes architectures only"),)
        ),
        *((("input, output", _data(report.shapes)),) if report.builds else ()),
        ("architectures in all", _shown_size(report.size)),
        ("drawn", str(report.count)),
        (
            "rejected",
            f"{report.rejected} of {drawn} draws"
            + (f" ({report.rejected / drawn:.0%})" if report.rejected else ""),
        ),
        *(("", f"{times} times: {reason[:90]}") for reason, times in report.reasons[:3]),
        ("duplicates", str(report.duplicates)),
        *((("without a path to the output", str(report.dead)),) if report.dead else ()),
        ("seconds to draw one", f"{report.sample_seconds:.2g}"),
        *(
            (
                ("seconds to build one", f"{report.build_seconds:.2g}"),
                ("seconds for a batch of 2", f"{report.step_seconds:.2g}"),
            )
            if report.builds
            else ()
        ),
    ]
    lines = [f"space {report.space}", "", *(f"  {name:<30}{value}" for name, value in rows), ""]
    ranges = [
        ("parameters", report.parameters),
        ("multiply-adds", report.multiply_adds),
        ("activation values", report.activations),
    ]
    if any(values is not None for _, values in ranges):
        lines.append(f"  {'of one network':<30}{'least':>10}{'median':>10}{'most':>10}")
        for name, values in ranges:
            if values is not None:
                lines.append(
                    f"  {name:<30}"
                    + "".join(
                        f"{_short(value):>10}"
                        for value in (values.minimum, values.median, values.maximum)
                    )
                )
        lines.append("")
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


def _data(shapes: Shapes) -> str:
    tokens = "" if shapes.vocabulary is None else f" of {shapes.vocabulary:,} tokens"
    return f"{_sizes(shapes.input)}{tokens}, {_sizes(shapes.output)}"


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _shown_size(count: int | str) -> str:
    if isinstance(count, str):
        return count
    return f"{count:,}" if count < 10**9 else f"{count:.2e}"


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"
