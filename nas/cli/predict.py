"""The command `nas predict`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, PredictorDirectory

if TYPE_CHECKING:
    from nas.prediction.predicting import PredictedArchitecture

# The number of random architectures that are predicted by default.
DRAWS = 10_000

_NUMBERS = ("mean", "std", "aleatoric", "epistemic", "measured")


def predict(
    directory: PredictorDirectory,
    space: Annotated[
        str | None,
        typer.Option(help="The space; by default the one that the predictor was fitted on."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"How many random architectures are predicted; {DRAWS:,} by default."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Predict every architecture of the space.")
    ] = False,
    arch: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Predict the architecture, or the list of them, in this JSON file; may be repeated."
            ),
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the random architectures.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write all predictions to this CSV file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the architectures with the best predictions, best first."""
    with sentences():
        from tqdm import tqdm

        from nas.prediction.predicting import enumerated, read_architectures, sampled
        from nas.prediction.predicting import predict as rank
        from nas.prediction.saved import load, reading_in, space_of

        if (sample is not None) + every + bool(arch) > 1:
            raise ValueError(
                "--sample, --all and --arch are three ways to say which architectures are "
                "predicted: give one of them"
            )
        trained = load(directory)
        about, known = trained.about, space_of(trained.about, space)
        if arch:
            architectures = [
                architecture for path in arch for architecture in read_architectures(path)
            ]
            candidates = ((item, known.graph(item)) for item in architectures)
            total = len(architectures)
        elif every:
            candidates, total = enumerated(known), None
        else:
            candidates, total = sampled(known, sample or DRAWS, seed), sample or DRAWS
        with tqdm(
            candidates,
            total=total,
            desc="predicted",
            unit=" architectures",
            file=sys.stderr,
            leave=False,
            disable=None,
        ) as shown:
            ranked = rank(reading_in(trained, known), shown, distinct=not arch)
        if out is not None:
            _write_csv(out, ranked.best)
        best, distinct = ranked.best[:top], len(ranked.best)
        if as_json:
            described = {
                "predictor": str(directory),
                "column": about.column,
                "lower_is_better": about.lower_is_better,
                "looked_at": ranked.looked_at,
                "distinct": distinct,
                "best": [
                    {"rank": place, **_described(item)} for place, item in enumerate(best, start=1)
                ],
            }
            print(json.dumps(described))
            return
        better = "lower" if about.lower_is_better else "higher"
        print(_table(best))
        print(
            f"\n{distinct:,} distinct of {ranked.looked_at:,} architectures; {about.column}, "
            f"{better} is better"
        )


def _described(item: PredictedArchitecture) -> dict[str, Any]:
    return {
        **{name: getattr(item, name) for name in _NUMBERS},
        "canonical": item.canonical,
        "architecture": json.loads(item.architecture.to_json()),
    }


def _table(best: Iterable[PredictedArchitecture]) -> str:
    rows: list[tuple[str, ...]] = [("rank", *_NUMBERS, "architecture")]
    for rank, item in enumerate(best, start=1):
        values = (getattr(item, name) for name in _NUMBERS)
        numbers = ["" if value is None else f"{value:.4g}" for value in values]
        rows.append((str(rank), *numbers, str(item.architecture)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for *cells, architecture in rows:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
        lines.append("  ".join([*aligned, architecture]))
    return "\n".join(lines)


def _write_csv(path: Path, predictions: Iterable[PredictedArchitecture]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("rank", *_NUMBERS, "canonical", "architecture"))
            for rank, item in enumerate(predictions, start=1):
                numbers = (getattr(item, name) for name in _NUMBERS)
                writer.writerow((rank, *numbers, item.canonical, item.architecture.to_json()))
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
