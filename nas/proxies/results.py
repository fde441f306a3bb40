"""The scores of many architectures, and the npz or CSV files that hold them.

An unfinished npz file can be continued; a CSV file is only for reading.
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
from typing import Any

import numpy

from nas.proxies.measuring import ProxyPlan
from nas.record.shapes import shapes_to_json
from nas.tasks.arrays import read_npz
from spaces import Architecture


@dataclass(frozen=True, eq=False)
class Results:
    """The scores of N architectures, filled in as they are computed.

    Attributes:
        settings: everything that the scores depend on, as JSON. Results with other settings cannot
            be continued.
        proxies: the names of the columns.
        architectures: one for each row.
        listed: whether the file holds the architectures; not needed if a table beside it does.
        values: (N, proxies); NaN where a score is not computed or not finite.
        computed: (N,), bool.
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
        """The arrays of a file: one for each proxy, `computed` and `settings`.

        If `listed`, the first is `architecture`, as JSON.
        """
        columns: dict[str, numpy.ndarray] = {}
        if self.listed:
            architectures = [architecture.to_json() for architecture in self.architectures]
            columns["architecture"] = numpy.array(architectures)
        for number, name in enumerate(self.proxies):
            columns[name] = self.values[:, number]
        return {**columns, "computed": self.computed, "settings": numpy.array(self.settings)}

    def write(self, path: Path) -> None:
        """Writes the file completely or not at all, as CSV or npz by its name.

        Raises:
            ValueError: the file cannot be written.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                if path.suffix == ".csv":
                    file.write(self._csv().encode())
                else:
                    columns: dict[str, Any] = dict(self.columns())
                    numpy.savez_compressed(file, **columns)
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
    plan: ProxyPlan, architectures: Sequence[Architecture], path: Path, *, listed: bool
) -> Results:
    """The results in the npz file at the path; empty results if there is no file yet.

    Raises:
        ValueError: the file was written with other settings or is not of this form, its folder is
            missing, or its name ends neither in .npz nor in .csv.
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
            f"{path} exists already, and only an .npz file can be continued: name another file, "
            "or remove this one"
        )
    held = read_npz(path)
    before = str(held["settings"]) if "settings" in held else "nothing of proxies"
    if before != settings:
        raise ValueError(
            f"{path} exists already, with other settings: {_difference(before, settings)}. "
            "Name another file, or remove this one"
        )
    empty.values[:] = numpy.stack([held[name] for name in plan.proxies], axis=1)
    empty.computed[:] = held["computed"]
    return empty


def table_of(results: Results, seconds: dict[str, float]) -> Iterator[dict[str, object]]:
    """A row of statistics for each proxy.

    It holds the proxy's name, the minimum, median and maximum of its finite scores, the number of
    scores that are not finite, and the seconds for each architecture.
    """
    for number, name in enumerate(results.proxies):
        values = results.values[results.computed, number]
        finite = values[numpy.isfinite(values)]
        some = len(finite) > 0
        yield {
            "proxy": name,
            "min": float(numpy.min(finite)) if some else None,
            "median": float(numpy.median(finite)) if some else None,
            "max": float(numpy.max(finite)) if some else None,
            "not_finite": len(values) - len(finite),
            "seconds": seconds.get(name),
        }


def _settings(plan: ProxyPlan, architectures: Sequence[Architecture]) -> str:
    digest = blake2b(digest_size=8)
    for architecture in architectures:
        digest.update(architecture.key.encode())
    stated = {**asdict(plan), "shapes": shapes_to_json(plan.shapes)}
    # The device only changes the rounding.
    del stated["device"]
    stated["architectures"] = f"{len(architectures)}, digest {digest.hexdigest()}"
    return json.dumps(stated)


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
