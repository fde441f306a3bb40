"""What `nas init` writes: a config, a space and a task to start from, which run as they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

NAMES = ("config.yaml", "space.py", "task.py", "README.md")


def init(directory: str | Path) -> list[Path]:
    """The files written into the directory, which is made where it is missing.

    Raises:
        ValueError: one of the files is there already, or the directory cannot be written; nothing
            was written then.
    """
    directory = Path(directory)
    targets = [directory / name for name in NAMES]
    taken = [path for path in targets if path.exists()]
    if taken:
        raise ValueError(
            f"{' and '.join(map(str, taken))} would be overwritten: give `nas init` another "
            "directory, or move the files away"
        )
    templates = files("nas") / "cli" / "templates"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, target in zip(NAMES, targets, strict=True):
            # "x": a file that appeared in the meantime is not overwritten either.
            with target.open("x", encoding="utf-8") as file:
                file.write((templates / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the files could not be written into {directory}: {error}") from error
    return targets
