"""Scores by row, and the files that hold them. An npz file can be gone on with; a CSV file is for
reading.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy

from nas.config.shapes import shapes_to_json
from nas.proxies.measuring import Plan
from nas.tasks.arrays import read_npz
from spaces import Architecture


@dataclass(frozen=True, eq=False)
class Results:
    """The scores of N architectures, filled in as they are computed.

    Attributes:
        settings: JSON that says what the scores depend on; results with other settings are others.
        architectures: one a row.
        listed: whether a file shall hold the architectures, as there is no table beside it that
            does.
        values: (N, proxies); not a number where not computed, or not finite.
        computed: (N,) of bool.
    """

    settings: str
    proxies: tuple[str, ...]
    architectures: Sequence[Architecture]
    listed: bool
    values: numpy.ndarray
    computed: numpy.ndarray

    def keep(self, rows: Sequence[int], values: Sequence[float]) -> None:
        """Sets the scores of some rows."""
        self.values[rows] = values
        self.computed[rows] = True

    def columns(self) -> dict[str, numpy.ndarray]:
        """What a file holds: a column for each proxy, and `computed`; `architecture` as JSON where
        it is asked for; `settings`.
        """
        listed = (
            {
                "architecture": numpy.array(
                    [architecture.to_json() for architecture in self.architectures]
                )
            }
            if self.listed
            else {}
        )
        scores = {name: self.values[:, number] for number, name in enumerate(self.proxies)}
        return {
            **listed,
            **scores,
            "computed": self.computed,
            "settings": numpy.array(self.settings),
        }

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all, as CSV or npz by its name.

        Raises:
            ValueError: it cannot be written.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                if path.suffix == ".csv":
                    file.write(self._csv().encode())
                else:
                    numpy.savez_compressed(file, **self.columns())  # pyright: ignore[reportArgumentType]
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise ValueError(
                f"the scores could not be written to {path}: {error}; name another file"
            ) from error

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = {
            name: column.tolist()
            for name, column in self.columns().items()
            if name not in ("settings", "computed")
        }
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue()


def begin(
    plan: Plan, architectures: Sequence[Architecture], path: Path, *, listed: bool
) -> Results:
    """Empty results; or those of the npz file at the path, where it was written with the same
    settings.

    Raises:
        ValueError: the path holds something else, its folder is missing, or its name says neither
            npz nor CSV.
    """
    if path.suffix not in (".npz", ".csv"):
        raise ValueError(f"scores are written as .npz or .csv; got {path}")
    if not path.parent.is_dir():
        raise ValueError(
            f"there is no folder {path.parent} to write {path.name} into: make it first"
        )
    settings = _settings(plan, architectures)
    shape = (len(architectures), len(plan.proxies))
    empty = Results(
        settings,
        plan.proxies,
        architectures,
        listed,
        numpy.full(shape, numpy.nan),
        numpy.zeros(len(architectures), dtype=bool),
    )
    if not path.exists():
        return empty
    if path.suffix == ".csv":
        raise ValueError(
            f"{path} is there already, and only an .npz file can be gone on with: name another "
            "file, or remove this one"
        )
    held = read_npz(path)
    before = str(held["settings"]) if "settings" in held else "nothing of proxies"
    if before != settings:
        raise ValueError(
            f"{path} is there already, with other settings: {_difference(before, settings)}. "
            "Name another file, or remove this one"
        )
    empty.values[:] = numpy.stack([held[name] for name in plan.proxies], axis=1)
    empty.computed[:] = held["computed"]
    return empty


def table_of(results: Results, seconds: dict[str, float]) -> Iterator[dict[str, object]]:
    """For each proxy its name, minimum, median and maximum of the finite scores, how many are not
    finite, and the seconds an architecture took.
    """
    for number, name in enumerate(results.proxies):
        values = results.values[results.computed, number]
        finite = values[numpy.isfinite(values)]
        low, middle, high = (
            (float(statistic(finite)) for statistic in (numpy.min, numpy.median, numpy.max))
            if len(finite)
            else (None,) * 3
        )
        yield {
            "proxy": name,
            "min": low,
            "median": middle,
            "max": high,
            "not_finite": len(values) - len(finite),
            "seconds": seconds.get(name),
        }


def _settings(plan: Plan, architectures: Sequence[Architecture]) -> str:
    digest = blake2b(digest_size=8)
    for architecture in architectures:
        digest.update(architecture.key.encode())
    # The device changes the rounding only.
    stated = {
        name: value
        for name, value in {**asdict(plan), "shapes": shapes_to_json(plan.shapes)}.items()
        if name != "device"
    }
    return json.dumps(
        {**stated, "architectures": f"{len(architectures)}, digest {digest.hexdigest()}"}
    )


def _difference(before: str, after: str) -> str:
    try:
        old, new = json.loads(before), json.loads(after)
        return "; ".join(
            f"{name}: {old.get(name)} there, {value} now"
            for name, value in new.items()
            if old.get(name) != value
        )
    except (json.JSONDecodeError, AttributeError):
        return f"{before} there"
