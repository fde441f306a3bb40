"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the config, such as -s budget=64.",
    ),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="The space of a run that you did not begin on this machine (my_file.py:space).",
    ),
]

# Of a space: what its networks are for, without the batch; the space's own where they are left out.
# See `nas.config.shapes.shapes_of_options`.
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input", metavar="SHAPE", help="The input's shape without the batch, such as 3,32,32."
    ),
]
OutputShape = Annotated[
    str | None,
    typer.Option(
        "--output",
        "--classes",
        metavar="SHAPE",
        help="The output's shape without the batch: a number of classes, or 32,500 and the like.",
    ),
]
Vocabulary = Annotated[
    int | None, typer.Option(min=1, help="How many different tokens, where the inputs are tokens.")
]
