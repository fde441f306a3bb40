"""Latencies of many architectures: of a run's trials or of a space, and the files that hold them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy

from nas.latency.measuring import Latency, measure
from nas.latency.settings import LatencySettings
from nas.objectives.pareto import front
from nas.proxies.batch import noise_batch
from nas.proxies.measuring import vocabulary
from nas.record.arms import SEARCH
from nas.record.history import History, Trial
from nas.record.scorecard import rank_correlation
from nas.search.run import check_unchanged, winner
from nas.seeds import derive
from nas.tasks.arrays import ARCHITECTURE
from nas.training.loop import find_device, own_randomness
from spaces import Architecture, SearchSpace
from spaces.ops import costs


@dataclass(frozen=True)
class Profiled:
    """An architecture, how long its network takes, and what can be counted of it; of a run's trial
    also which it is, and its validation score.
    """

    architecture: Architecture
    latency: Latency
    parameters: int
    multiply_adds: int
    trial: int | None = None
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values; the latency in milliseconds."""
        measured = asdict(self.latency)
        named = {
            "latency": measured.pop("milliseconds"),
            "latency_error": measured.pop("error"),
            **measured,
        }
        counted = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        whose = {} if self.trial is None else {"trial": self.trial, "score": self.score}
        return {**whose, ARCHITECTURE: self.architecture.to_json(), **named, **counted}


def profile(
    space: SearchSpace, architectures: Sequence[Architecture], settings: LatencySettings, seed: int
) -> Iterator[Profiled]:
    """Each architecture's network with fresh weights, measured one after the other on noise.

    Raises:
        ValueError: there is no such device, or the space builds no networks.
    """
    device = find_device(settings.device)
    for architecture in architectures:
        network = space.network_graph(space.graph(architecture))
        counted = costs(network, space.shapes.input)
        with own_randomness(derive(seed, "profile: weights"), device):
            module = space.build(architecture)
        inputs = noise_batch(
            space.shapes,
            settings.batch_size,
            derive(seed, "profile: inputs"),
            tokens=vocabulary(network),
        ).inputs
        yield Profiled(
            architecture,
            measure(module, inputs, settings, device),
            counted.parameters,
            counted.multiply_adds,
        )


def chosen_trials(
    space: SearchSpace, history: History, number: int | None, *, every: bool
) -> list[Trial]:
    """The trial of that number; or all that were observed, each network once; or the search's
    winner, and where there is none its best.

    Raises:
        ValueError: there is no such trial, nothing was observed, or the space has changed since.
    """
    if number is not None:
        trials = [history.trial(number)]
    elif every:
        trials = list({trial.canonical: trial for trial in reversed(history.observed)}.values())[
            ::-1
        ]
    else:
        best = winner(history, SEARCH)
        found = (
            history.trial(best) if best is not None else history.of_arm(SEARCH).best or history.best
        )
        trials = [] if found is None else [found]
    if not trials:
        raise ValueError(
            "no evaluation of the run has succeeded yet; name a trial with --trial, or wait"
        )
    for trial in trials:
        check_unchanged(space, trial)
    return trials


def rank_correlations(rows: Sequence[Profiled]) -> dict[str, float | None]:
    """Spearman's correlation of the latency with what needs no measuring."""
    latency_N = numpy.array([row.latency.milliseconds for row in rows])
    return {
        name: rank_correlation(numpy.array([getattr(row, name) for row in rows]), latency_N)
        for name in ("multiply_adds", "parameters")
    }


def unbeaten(rows: Sequence[Profiled]) -> list[bool]:
    """Which rows no other beats in score and latency together; none where there are no scores."""
    if not rows or any(row.score is None for row in rows):
        return [False] * len(rows)
    return front(
        numpy.array([[row.score, -row.latency.milliseconds] for row in rows], dtype=float)
    ).tolist()


def write(rows: Sequence[Profiled], path: Path) -> None:
    """Columns by name, as npz or CSV by the file's name: a table whose column `architecture` says
    what each row is.

    Raises:
        ValueError: it cannot be written.
    """
    listed = [row.to_dict() for row in rows]
    columns = {name: [row[name] for row in listed] for name in (listed[0] if listed else ())}
    try:
        if path.suffix == ".csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
            path.write_text(text.getvalue(), encoding="utf-8")
        else:
            scores = (
                {
                    "score": numpy.array(
                        [numpy.nan if row.score is None else row.score for row in rows]
                    )
                }
                if "score" in columns
                else {}
            )
            arrays = {name: numpy.array(values) for name, values in columns.items()}
            numpy.savez_compressed(path, allow_pickle=False, **{**arrays, **scores})
    except OSError as error:
        raise ValueError(
            f"the latencies could not be written to {path}: {error}; name another file"
        ) from error
