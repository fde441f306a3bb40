"""The command `nas record`: a benchmark of one's own, made of many trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import AsJson, ConfigFile, Overrides
from nas.cli.output import print_recorded
from nas.cli.search import interruptible, new_directory


def record(
    config: ConfigFile,
    count: Annotated[
        int | None, typer.Option(min=2, help="How many random architectures are trained.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Train all architectures of the space instead.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How often each is trained.")] = 3,
    override: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="The recording's directory; runs/NAME-recorded by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train many architectures of a space several times, into a table that searches can use.

    The recipe is that of the section `training`. An interrupted recording goes on with `nas
    resume`.
    """
    from nas.cli.progress import Progress
    from nas.config.loading import load_config
    from nas.config.plan import plan_of
    from nas.config.stored_run import TABLE
    from nas.search.recording import recording_of
    from nas.search.run import record as begin

    with sentences():
        if (count is None) == (not every):
            raise ValueError(
                "say which architectures are trained: either --count N, so many at random, or "
                "--all, every one of the space"
            )
        checked = load_config(config, override or ())
        directory = out
        if directory is None:
            directory = new_directory(Path(f"{config.stem}-recorded"))
        with about(config):
            plan = plan_of(recording_of(checked, count, seeds))
            begun = f"recording: {directory}"
            with (
                Progress(plan, "random", begun=begun, finals="recording") as progress,
                interruptible(directory),
            ):
                table = begin(checked, directory, progress, count=count, seeds=seeds)
        print_recorded(directory / TABLE, table, as_json=as_json)
