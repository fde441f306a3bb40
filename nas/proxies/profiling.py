"""Size and measured latency of untrained networks: of a run's trials or of a space's architectures.

The networks have fresh weights and see noise, so no task is needed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy

from nas.config.arms import SEARCH
from nas.latency.measuring import Latency, measure
from nas.latency.settings import LatencySettings
from nas.objectives.pareto import front
from nas.proxies.batch import noise_batch
from nas.record.history import History
from nas.record.scorecard import rank_correlation
from nas.record.trials import Trial
from nas.record.unchanged import check_unchanged
from nas.search.finalists import winner
from nas.seeds import derive
from nas.tasks.arrays import ARCHITECTURE
from nas.training.devices import find_device, own_randomness
from spaces import Architecture, SearchSpace
from spaces.ops import costs
from spaces.ops.tokens import vocabulary


@dataclass(frozen=True)
class Profiled:
    """An architecture with the measured latency and the size of its network.

    Attributes:
        architecture: that was measured.
        latency: of a network with fresh weights.
        parameters: their number.
        multiply_adds: of one sample.
        trial: the number of the run's trial; None if the architecture is of no run.
        score: the trial's validation score; None if there is none.
    """

    architecture: Architecture
    latency: Latency
    parameters: int
    multiply_adds: int
    trial: int | None = None
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values. The latency is in milliseconds."""
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
    """The measurements of each architecture's network, with fresh weights and on noise.

    Raises:
        ValueError: there is no such device, or the space cannot build networks.
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
    """The trials of a run to measure.

    Args:
        space: that the run searched.
        history: of the run.
        number: of the only trial to measure. None: see `every`.
        every: whether all observed trials are measured, isomorphic ones once. Otherwise the
            search's winner is measured, or its best trial if there is no winner.

    Raises:
        ValueError: there is no such trial, nothing was observed, or the space has changed since.
    """
    if number is not None:
        trials = [history.trial(number)]
    elif every:
        # The first of several isomorphic trials is kept, because it comes last here.
        first = {trial.canonical: trial for trial in reversed(history.observed)}
        trials = list(reversed(first.values()))
    else:
        best = winner(history, SEARCH)
        if best is not None:
            found = history.trial(best)
        else:
            found = history.of_arm(SEARCH).best or history.best
        trials = [] if found is None else [found]
    if not trials:
        raise ValueError(
            "no evaluation of the run has succeeded yet; name a trial with --trial, or wait"
        )
    for trial in trials:
        check_unchanged(space, trial)
    return trials


def rank_correlations(rows: Sequence[Profiled]) -> dict[str, float | None]:
    """Spearman's correlation of the latency with the multiply-adds and with the parameters."""
    latency_N = numpy.array([row.latency.milliseconds for row in rows])
    return {
        name: rank_correlation(numpy.array([getattr(row, name) for row in rows]), latency_N)
        for name in ("multiply_adds", "parameters")
    }


def unbeaten(rows: Sequence[Profiled]) -> list[bool]:
    """Which rows are on the Pareto front of score and latency; none if a row has no score."""
    if not rows or any(row.score is None for row in rows):
        return [False] * len(rows)
    values = [[row.score, -row.latency.milliseconds] for row in rows]
    return front(numpy.array(values, dtype=float)).tolist()


def write(rows: Sequence[Profiled], path: Path) -> None:
    """Writes the rows as a table, in CSV or npz by the file's name.

    The column `architecture` holds the architecture of each row as JSON.

    Raises:
        ValueError: the file cannot be written.
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
            arrays = {name: numpy.array(values) for name, values in columns.items()}
            if "score" in columns:
                scores = [numpy.nan if row.score is None else row.score for row in rows]
                arrays["score"] = numpy.array(scores)
            numpy.savez_compressed(path, allow_pickle=False, **arrays)
    except OSError as error:
        raise ValueError(
            f"the latencies could not be written to {path}: {error}; name another file"
        ) from error
