"""The commands `nas search` and `nas resume`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import Overrides
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
    from nas.config.config import load_config
    from nas.search.run import start

    with sentences():
        checked = load_config(config, override or ())
        directory = out if out is not None else _new_directory(config)
        with (
            about(config),
            Progress(checked, begun=f"run: {directory}") as progress,
            interruptible(directory),
        ):
            start(checked, directory, progress)
        print_summary(directory)


def resume(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Run the code that a run names which you did not begin on this machine."
        ),
    ] = False,
    changed_data: Annotated[
        bool,
        typer.Option(
            "--changed-data",
            help=(
                "Go on though the task's data, or the table, are not those that the run began with."
            ),
        ),
    ] = False,
    override: Annotated[list[str] | None, typer.Option("-s", "--set", hidden=True)] = None,
) -> None:
    """Go on with a run that was interrupted, losing no finished evaluation."""
    from nas.cli.progress import Progress
    from nas.config.config import parse_config
    from nas.record.journal import open_for_reading
    from nas.search.run import resume as go_on

    with sentences():
        if override:
            raise ValueError(
                f"a run goes on with the settings that it began with, so {override[0]!r} has no "
                "place here: its results would be of two kinds. "
                "For other settings begin a new run, with `nas search CONFIG -s KEY=VALUE`"
            )
        with open_for_reading(directory) as journal:
            config = parse_config(journal.config, f"the configuration in {directory}")
        with Progress(config) as progress, interruptible(directory):
            go_on(directory, progress, trust=trust, changed_data=changed_data)
        print_summary(directory)


@contextmanager
def interruptible(directory: Path) -> Iterator[None]:
    """Ctrl-C ends the command with exit code 130 and the sentence that says how to go on."""
    from nas.record.journal import FILE

    try:
        yield
    except KeyboardInterrupt:
        begun = (directory / FILE).exists()
        print(
            "\nstopped"
            + (
                f"; nothing that was finished is lost. Go on with: nas resume {directory}"
                if begun
                else ""
            ),
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


def _new_directory(config: Path) -> Path:
    """runs/NAME, or runs/NAME-2 and so on where that is taken."""
    first = Path("runs") / config.stem
    number, directory = 2, first
    while directory.exists():
        directory = first.with_name(f"{first.name}-{number}")
        number += 1
    return directory
