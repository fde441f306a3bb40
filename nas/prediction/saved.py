"""A fitted predictor with what it was fitted on: `about.json` beside the files of the predictor
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nas.prediction.labels import with_shapes
from nas.record.trust import is_sealed
from predictors import Fitted, load_predictor
from spaces import SearchSpace
from spaces.load import load_object, load_space

ABOUT = "about.json"


class About(BaseModel):
    """What a fitted predictor was fitted on; kept beside it in `about.json`.

    Attributes:
        predictor, settings: its name and settings.
        space: as a configuration names it; `space_name` is what its architectures say, and `shapes`
            what its networks take and give.
        source, column: where the labels came from.
        lower_is_better: of the labels' own units.
        seed: of the sample of rows and of the fit.
        rows: how many labels it was fitted to.
        labels: their mean by canonical key, in the labels' own units.
        seconds: how long the fit took.
        check: what held-out folds said, or None.
        environment: versions and machine.
        seal: whether the code that is named was named by this user on this machine
            (`nas.record.trust`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    predictor: str
    settings: dict[str, Any]
    space: str
    space_name: str
    shapes: dict[str, tuple[int, ...] | int]
    source: str
    column: str
    lower_is_better: bool
    seed: int
    rows: int
    labels: dict[str, float]
    seconds: float
    check: dict[str, float] | None
    environment: dict[str, Any]
    seal: str = ""

    @property
    def sign(self) -> float:
        """What the labels are multiplied by, so that higher is better."""
        return -1.0 if self.lower_is_better else 1.0


@dataclass(frozen=True)
class Trained:
    """A fitted predictor, whose scores are higher-is-better, and what it was fitted on."""

    fitted: Fitted
    about: About


def check_free(out: Path) -> None:
    """Refuses a place where something is already.

    Raises:
        ValueError: it is a file, or a directory that is not empty.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(
            f"{out} is a file; a predictor is a directory, so name another place with --out"
        )
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out} is not empty, and a fitted predictor overwrites nothing; name another "
            "directory with --out, or remove this one"
        )


def save(trained: Trained, out: Path) -> None:
    """Writes the predictor's files and `about.json` to a new or empty directory.

    Raises:
        ValueError: the directory is taken.
    """
    check_free(out)
    trained.fitted.save(out)
    (out / ABOUT).write_text(trained.about.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(directory: Path) -> Trained:
    """What `save` wrote.

    Raises:
        ValueError: a file is missing or malformed, or the predictor is somebody else's code.
    """
    try:
        about = About.model_validate_json((directory / ABOUT).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{directory} is not a predictor: it has no readable {ABOUT}. `nas predictor fit` "
            "makes one"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{directory / ABOUT} is not what `nas predictor fit` writes: {error}"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(
            f"{directory / ABOUT} is not what `nas predictor fit` writes: {place}: "
            f"{first['msg'].lower()}; fit the predictor again"
        ) from error
    if ":" not in about.predictor:
        return Trained(load_predictor(directory), about)
    if not _ours(about):
        raise ValueError(
            f"{directory} says that its predictor is the code {about.predictor}, and code is not "
            "run because a file says so: fit it here"
        )
    where, _, attribute = about.predictor.rpartition(":")
    return Trained(load_object(where, attribute, "predictor").load(directory), about)


def space_name(about: About, named: str | None) -> str:
    """The space that the user names; or the one that the predictor was fitted on.

    Raises:
        ValueError: it is code that somebody else has named.
    """
    if named is None and ":" in about.space and not _ours(about):
        raise ValueError(
            f"the predictor's space is the code {about.space}, and code is not run because a "
            "file says so: name it, with --space"
        )
    return named or about.space


def space_of(about: About, named: str | None) -> SearchSpace:
    """The same as a space, that of the predictor for the shapes it had then.

    Raises:
        ValueError: see `space_name`, or there is no such space.
    """
    space = load_space(space_name(about, named))
    return with_shapes(space, about.shapes, ABOUT) if space.name == about.space_name else space


def _ours(about: About) -> bool:
    return is_sealed({"space": about.space, "predictor": about.predictor}, about.seal)
