"""The commands `nas search` and `nas resume`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import Overrides, RunDirectory
from nas.cli.output import print_summary


def search(
    config: Annotated[
        Path, typer.Argument(help="A configuration file; `nas init DIR` writes one to start from.")
    ],
    override: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's directory; runs/NAME by default.")
    ] = None,
) -> None:
    """Search for the best architecture, train the finalists fully, and test them."""
    from nas.cli.progress import Progress
    from nas.config.loading import load_config
    from nas.config.plan import plan_of
    from nas.search.run import start

    with sentences():
        checked = load_config(config, override or ())
        directory = out if out is not None else new_directory(config)
        with about(config):
            plan, strategy, begun = plan_of(checked), checked.strategy.name, f"run: {directory}"
            with Progress(plan, strategy, begun=begun) as progress, interruptible(directory):
                start(checked, directory, progress)
        print_summary(directory)


def resume(
    directory: RunDirectory,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help=(
                "Run the code that the configuration names although you did not begin the run on "
                "this machine."
            ),
        ),
    ] = False,
    changed_data: Annotated[
        bool,
        typer.Option(
            "--changed-data",
            help=(
                "Continue although the task's data, or the table, are not those that the run began "
                "with."
            ),
        ),
    ] = False,
    override: Annotated[list[str] | None, typer.Option("-s", "--set", hidden=True)] = None,
) -> None:
    """Continue an interrupted run; no finished evaluation is lost."""
    from nas.cli.progress import Progress
    from nas.config.stored_run import read_run
    from nas.search.run import resume as go_on

    with sentences():
        if override:
            raise ValueError(
                f"a run goes on with the settings that it began with, so {override[0]!r} has no "
                "place here: its results would be of two kinds. "
                "For other settings begin a new run, with `nas search CONFIG -s KEY=VALUE`"
            )
        run = read_run(directory, recordings=True)
        finals = "recording" if run.is_recording else "training finalists"
        with (
            Progress(run.plan, run.config.strategy.name, finals=finals) as progress,
            interruptible(directory),
        ):
            go_on(directory, progress, trust=trust, changed_data=changed_data)
        print_summary(directory)


@contextmanager
def interruptible(directory: Path) -> Iterator[None]:
    """Ctrl-C ends the command with exit code 130 and a sentence that says how to continue."""
    from nas.record.journal_file import FILE

    try:
        yield
    except KeyboardInterrupt:
        message = "\nstopped"
        if (directory / FILE).exists():
            message += f"; nothing that was finished is lost. Go on with: nas resume {directory}"
        print(message, file=sys.stderr)
        raise typer.Exit(130) from None


def new_directory(config: Path) -> Path:
    """runs/NAME, or if that is taken runs/NAME-2 and so on."""
    first = Path("runs") / config.stem
    number, directory = 2, first
    while directory.exists():
        directory = first.with_name(f"{first.name}-{number}")
        number += 1
    return directory
