"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[Path, typer.Argument(help="A configuration file.")]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1, or auto, which is CUDA if there is a GPU.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the configuration, such as -s budget=64; may be repeated.",
    ),
]
PredictorDirectory = Annotated[
    Path, typer.Argument(metavar="PREDICTOR", help="The directory that `nas predictor fit` wrote.")
]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")]
SpaceName = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help="A built-in or installed space, my_file.py:space or package.module:space.",
    ),
]
# A run directory may come from elsewhere; code that it names does not run (`nas.record.trust`).
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help=(
            "The space (my_file.py:space), if it is code and you did not begin the run on this "
            "machine."
        ),
    ),
]

# The shapes for which a space makes networks. Shapes that are left out are the space's own
# (`nas.cli.shapes.shapes_of_options`).
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help=(
            "The input's shape without the batch, such as 3,32,32; of several inputs "
            "'3,32,32;16' or 'image=3,32,32;table=16'."
        ),
    ),
]
OutputShape = Annotated[
    str | None,
    typer.Option(
        "--output",
        "--classes",
        metavar="SHAPE",
        help=(
            "The output's shape without the batch: the number of classes, or 32,500 for 500 scores "
            "of each of 32 tokens."
        ),
    ),
]
Vocabulary = Annotated[
    int | None, typer.Option(min=1, help="The number of different tokens, if inputs are tokens.")
]
