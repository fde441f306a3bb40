"""The commands `nas status`, `nas report` and `nas export`, which show or export results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, RunDirectory, SpaceOption
from nas.cli.output import print_summary
from nas.cli.space import space_of


def status(directory: RunDirectory, as_json: AsJson = False) -> None:
    """Show the state of a run, also while it goes on."""
    with sentences():
        print_summary(directory, as_json=as_json)


def report(
    directory: RunDirectory,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; RUN/report.html by default.")
    ] = None,
    space: SpaceOption = None,
    as_json: AsJson = False,
) -> None:
    """Write the run's report, one HTML file that needs no network."""
    from nas.report import write_report

    with sentences():
        written = write_report(directory, out, space=space_of(directory, space))
        if as_json:
            print_summary(directory, as_json=True)
        else:
            print(written)


def export(
    directory: RunDirectory,
    out: Annotated[Path, typer.Option(help="A new or empty directory for the model.")],
    trial: Annotated[
        int | None, typer.Option(help="Which trial; the search's winner by default.")
    ] = None,
    format: Annotated[  # noqa: A002
        Literal["module", "pt2", "onnx"],
        typer.Option(help="A Python file with weights, torch.export's format, or ONNX."),
    ] = "module",
    space: SpaceOption = None,
    untrained: Annotated[
        bool,
        typer.Option("--untrained", help="Export fresh weights if none were kept."),
    ] = False,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Export every network of the search's front, for a run with several objectives.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export a trained model that runs without this project, and check it in a fresh process."""
    from nas.export import export as export_run
    from nas.export import export_front

    with sentences():
        if pareto and trial is not None:
            raise ValueError(
                f"--pareto exports the whole front and --trial {trial} one network: give one of "
                "them"
            )
        if pareto:
            exported = export_front(
                directory,
                format=format,
                out=out,
                space=space_of(directory, space),
                untrained=untrained,
            )
        else:
            exported = export_run(
                directory,
                trial=trial,
                format=format,
                out=out,
                space=space_of(directory, space),
                untrained=untrained,
            )
        if as_json:
            print(json.dumps(exported.to_dict()))
        else:
            print(exported)
