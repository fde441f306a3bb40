"""The command `nas trials`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson
from nas.cli.output import write_text


def trials(
    directories: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="The directories of one or more runs.")
    ],
    to: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows to this CSV file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every trial of a run as a row, also while the run goes on."""
    with sentences():
        from nas.report.trials import of_runs, to_csv, to_text

        rows = of_runs(directories)
        if to is not None:
            write_text(to, to_csv(rows))
        if as_json:
            typer.echo(json.dumps(rows))
        elif to is not None:
            typer.echo(to)
        else:
            typer.echo(to_text(rows))
