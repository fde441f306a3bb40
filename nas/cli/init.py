"""The command `nas init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import sentences


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made if it does not exist.")
    ],
) -> None:
    """Write a configuration, a space and a task to start from; they run as they are."""
    from nas.cli.starter_files import write_starter_files

    with sentences():
        for path in write_starter_files(directory):
            print(path)
        print(f"\nStart with: cd {directory} && nas search config.yaml")
