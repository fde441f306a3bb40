"""The networks of timm's result files, as coarse graphs with their top-1 accuracy.

A row is a trained classifier. An architecture may stand there with several recipes, and at several
sizes of an image.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.vision_libraries import vision_library
from predictors.prior.coarse import CoarseGraph, coarse_graph

# An architecture's name for `timm.create_model`, and the height and width of an image.
Named = tuple[str, int]


def timm_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV of timm's results that the installed timm can make."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    known = set(vision_library("timm").list_models())
    return [row for row in rows if row["arch"] in known]


def named(row: Mapping[str, str]) -> Named:
    """The network of a row."""
    return row["arch"], int(row["img_size"])


def distinct(rows: Sequence[Mapping[str, str]]) -> list[Named]:
    """The networks of the rows, each once, in the order that `timm_networks` has."""
    return sorted({named(row) for row in rows})


def timm_networks(
    path: Path,
) -> tuple[Iterator[CoarseGraph], dict[str, np.ndarray], np.ndarray]:
    """The networks of the file, their mean accuracy over recipes, and their family's number."""
    rows = timm_rows(path)
    found: dict[Named, list[float]] = {}
    families: dict[Named, str] = {}
    for row in rows:
        found.setdefault(named(row), []).append(float(row["top1"]))
        families[named(row)] = row["fam"]
    asked, names = distinct(rows), sorted(set(families.values()))
    family_M = np.array([names.index(families[each]) for each in asked])
    accuracy_M = np.array([np.mean(found[each]) for each in asked])
    return (timm_network(*each) for each in asked), {"imagenet": accuracy_M}, family_M


def timm_network(architecture: str, size: int) -> CoarseGraph:
    """The network without weights, for images of this size."""
    from spaces import Chooser, SearchSpace, Shapes
    from spaces.trace import describe

    create: Any = vision_library("timm").create_model
    shape = (3, size, size)

    def define(choose: Chooser, shapes: Shapes) -> Any:
        try:
            return create(architecture, pretrained=False, img_size=size)
        except TypeError:
            # This architecture takes images of any size, and has no such argument.
            return create(architecture, pretrained=False)

    space = SearchSpace("one", define, Shapes(shape, (1000,)))
    module: Any = space.returned(Chooser())
    return coarse_graph(describe(module, shape), shape)
