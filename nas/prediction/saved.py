"""Saving and loading a fitted predictor, with `about.json`, which says what it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nas.record.shapes import with_shapes
from nas.record.trust import is_sealed, refuse_foreign_code
from nas.strategies.reading import executed_reader_of, reader_of
from predictors import Fitted, load_predictor
from predictors.prior.attached import FittedReading, fitted_reading, heads_of
from spaces import SearchSpace
from spaces.load import load_object, load_space

ABOUT = "about.json"


class About(BaseModel):
    """What a fitted predictor was fitted on; kept beside it in `about.json`.

    Attributes:
        predictor, settings: its name and settings.
        space: the space's name in a configuration.
        space_name: the space's name in its architectures.
        shapes: the shapes of inputs and outputs of the space's networks.
        source, column: where the labels came from.
        lower_is_better: whether a lower label is better.
        seed: of the sample of rows and of the fit.
        rows: the number of labels that it was fitted to.
        labels: the mean label by canonical key, in the labels' own units.
        seconds: the duration of the fit.
        check: the figures on held-out labels, or None.
        environment: versions and machine.
        seal: proves that this user named the code in `space` and `predictor` on this machine
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
        """The factor of the labels that makes higher better: 1 or -1."""
        return -1.0 if self.lower_is_better else 1.0


@dataclass(frozen=True)
class SavedPredictor:
    """A fitted predictor, which predicts higher-is-better scores, and what it was fitted on."""

    fitted: Fitted
    about: About


def check_free(out: Path) -> None:
    """Refuses a path where a predictor would overwrite something.

    Raises:
        ValueError: the path is a file, or a directory that is not empty.
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


def save(trained: SavedPredictor, out: Path) -> None:
    """Writes the predictor's files and `about.json` to a new or empty directory.

    Raises:
        ValueError: see `check_free`.
    """
    check_free(out)
    trained.fitted.save(out)
    (out / ABOUT).write_text(trained.about.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(directory: Path) -> SavedPredictor:
    """The predictor that `save` wrote.

    Raises:
        ValueError: a file is missing or malformed, or the predictor is code that this user did not
            name on this machine.
    """
    try:
        if not (directory / ABOUT).is_file():
            # Reading a pipe to which nobody writes would never end.
            raise FileNotFoundError(ABOUT)
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
        return SavedPredictor(load_predictor(directory), about)
    refuse_foreign_code(
        [about.predictor],
        own=_is_own(about),
        claim=f"{directory} says that its predictor is",
        kind="file",
        remedy="fit it here",
    )
    where, _, attribute = about.predictor.rpartition(":")
    return SavedPredictor(load_object(where, attribute, "predictor").load(directory), about)


def reading_in(trained: SavedPredictor, space: SearchSpace) -> SavedPredictor:
    """The predictor, which reads the whole networks of the space if it was fitted on such."""
    fitted = trained.fitted
    if isinstance(fitted, FittedReading):
        # It may be asked about another space than it was fitted on.
        fitted = fitted.fitted
    if not getattr(getattr(fitted, "settings", None), "reads_networks", False):
        return trained
    reader = replace(reader_of(space), heads=heads_of(fitted))
    return replace(trained, fitted=fitted_reading(fitted, reader, executed_reader_of(space)))


def space_name(about: About, named: str | None) -> str:
    """The name of the space that the user gives, else of the one that the predictor was fitted on.

    Raises:
        ValueError: the latter is code that this user did not name on this machine.
    """
    if named is not None:
        return named
    refuse_foreign_code(
        [about.space],
        own=_is_own(about),
        claim="the predictor's space is",
        kind="file",
        remedy="name it, with --space",
    )
    return about.space


def space_of(about: About, named: str | None) -> SearchSpace:
    """The space of that name; if it is the predictor's own, with the shapes of the fit.

    Raises:
        ValueError: see `space_name`, or there is no such space.
    """
    space = load_space(space_name(about, named))
    return with_shapes(space, about.shapes, ABOUT) if space.name == about.space_name else space


def _is_own(about: About) -> bool:
    return is_sealed({"space": about.space, "predictor": about.predictor}, about.seal)
