"""The command `nas predict`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, InputShape, OutputShape, Vocabulary
from nas.cli.output import aligned
from nas.cli.predict_unlabelled import DRAWS_OF_PRIOR, show_module, show_space
from nas.cli.ranking import NUMBERS, Asked, described

if TYPE_CHECKING:
    from nas.prediction.predicting import PredictedArchitecture

# How many random architectures are predicted by default.
DRAWS = 10_000


def predict(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PREDICTOR]",
            help="The directory that `nas predictor fit` wrote; left out, the prior predicts.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="The space; by default the one that the predictor was fitted on."),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:OBJECT",
            help=(
                "Predict one nn.Module, my_file.py:network, or what a function of that name "
                "returns."
            ),
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR", help="What predicts without a predictor: shipped, or a directory."
        ),
    ] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Without a predictor: rank by costs such as latency.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=(
                f"How many random architectures are predicted; by default {DRAWS:,}, or "
                f"{DRAWS_OF_PRIOR:,} without a predictor."
            ),
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
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    top: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the random architectures.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write all predictions to this CSV file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the architectures with the best predictions, best first; or predict one module.

    Without a predictor nothing needs to be labelled: a prior predicts, which learnt from published
    tables of other spaces.
    """
    shapes = {"--input": input_shape, "--output": output_shape, "--vocabulary": vocabulary}
    which = {"--sample": sample, "--all": every, "--arch": arch, "--out": out}
    with sentences():
        if prior is not None and not prior.strip():
            raise ValueError("--prior names a prior, shipped or a directory; got an empty name")
        asked = Asked(sample, every, tuple(arch or ()), seed, out)
        if directory is not None:
            foreign = {"--module": module, "--prior": prior, "--cost": cost, **shapes}
            _refuse(foreign, "a predictor's directory")
            _show_predicted(directory, space, asked, top=top, as_json=as_json)
            return
        if module is not None:
            _refuse({"--space": space, "--cost": cost, **which}, "--module")
            show_module(module, prior or "shipped", tuple(shapes.values()), as_json=as_json)
        elif space is not None:
            from nas.cli.shapes import shapes_of_options
            from spaces.load import load_space

            known = load_space(space)
            known = known.for_shapes(
                shapes_of_options(known.shapes, input_shape, output_shape, vocabulary)
            )
            show_space(known, prior or "shipped", asked, cost=cost, top=top, as_json=as_json)
        else:
            raise ValueError(
                "nothing was named that could be predicted: give the directory of a predictor "
                "(`nas predictor fit` makes one), --space for the architectures of a space "
                "without any label, or --module for a module of your own"
            )


def _refuse(options: Mapping[str, object], beside: str) -> None:
    """Refuses those of the options that were given.

    Raises:
        ValueError: there are some.
    """
    given = [name for name, value in options.items() if value not in (None, False, [])]
    if given:
        raise ValueError(
            f"{' and '.join(given)} cannot stand beside {beside}: predictions are made by a "
            "predictor, or without one by the prior for --space or for --module"
        )


def _show_predicted(
    directory: Path, space: str | None, asked: Asked, *, top: int, as_json: bool
) -> None:
    """Shows the best architectures by a fitted predictor."""
    from nas.prediction.predicting import predict as rank
    from nas.prediction.saved import load, space_of

    trained = load(directory)
    about, known = trained.about, space_of(trained.about, space)
    ranked = asked.ranked(partial(rank, trained, known), known, DRAWS)
    best, distinct = ranked.best[:top], len(ranked.best)
    if as_json:
        answer = {
            "predictor": str(directory),
            "column": about.column,
            "lower_is_better": about.lower_is_better,
            "looked_at": ranked.looked_at,
            "distinct": distinct,
            "best": described(best),
        }
        print(json.dumps(answer))
        return
    better = "lower" if about.lower_is_better else "higher"
    print(_table(best))
    print(
        f"\n{distinct:,} distinct of {ranked.looked_at:,} architectures; {about.column}, "
        f"{better} is better"
    )


def _table(best: Iterable[PredictedArchitecture]) -> str:
    rows: list[tuple[str, ...]] = [("rank", *NUMBERS, "architecture")]
    for rank, item in enumerate(best, start=1):
        values = (getattr(item, name) for name in NUMBERS)
        numbers = ["" if value is None else f"{value:.4g}" for value in values]
        rows.append((str(rank), *numbers, str(item.architecture)))
    return aligned(rows, left=("architecture",))
