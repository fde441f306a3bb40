"""The files that `nas init` writes: a configuration, a space and a task that run as they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

NAMES = ("config.yaml", "space.py", "task.py", "README.md")


def write_starter_files(directory: str | Path) -> list[Path]:
    """The files that were written into the directory, which is made if it does not exist.

    Raises:
        ValueError: one of the files exists already, and nothing was written; or the directory
            cannot be written.
    """
    directory = Path(directory)
    targets = [directory / name for name in NAMES]
    taken = [path for path in targets if path.exists()]
    if taken:
        files_taken = " and ".join(map(str, taken))
        raise ValueError(
            f"{files_taken} would be overwritten: give `nas init` another directory, or move the "
            "files away"
        )
    templates = files("nas") / "cli" / "templates"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, target in zip(NAMES, targets, strict=True):
            # Mode "x" does not overwrite a file that appeared in the meantime.
            with target.open("x", encoding="utf-8") as file:
                file.write((templates / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the files could not be written into {directory}: {error}") from error
    return targets
