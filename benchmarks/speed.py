"""How long the engine itself takes: start of commands, journal, architectures, surrogate round.

    python benchmarks/speed.py

Measured are the start-up of two commands, 1,000 looked-up and journalled evaluations, the number of
architectures that are made and traced in a second, and one round of the surrogate search. Writes
`results/speed.csv`, a row for each repetition.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record

CONFIG = Path(__file__).parents[1] / "configs" / "nasbench201.yaml"
COMMAND = Path(sys.executable).with_name("nas")


def seconds_of(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [str(COMMAND), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def search_seconds() -> float:
    """Seconds of `nas search` with 1,000 looked-up evaluations, with the start of Python."""
    overrides = ("strategy=random", "budget=1000", "baseline=none", "finalists.count=0")
    settings = [item for text in overrides for item in ("-s", text)]
    with tempfile.TemporaryDirectory() as folder:
        return seconds_of("search", str(CONFIG), "--out", os.path.join(folder, "run"), *settings)


def made_a_second(count: int = 100_000) -> float:
    """Architectures of NAS-Bench-201 drawn in a second, each with its validated graph."""
    from spaces.nasbench201 import space
    from spaces.operators import sample_graph

    random = Random(0)
    began = time.perf_counter()
    for _ in range(count):
        sample_graph(space, random)
    return count / (time.perf_counter() - began)


def traced_a_second(count: int = 300) -> float:
    """Residual networks of ten layers that are built on the meta device and traced in a second."""
    import torch
    from torch import nn

    from spaces import Chooser, SearchSpace, Shapes
    from spaces.operators import sample_graph

    class Block(nn.Module):
        def __init__(self, width: int, kernel: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
            self.norm = nn.BatchNorm2d(width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.relu(self.norm(self.conv(x)))

    def define(choose: Chooser) -> nn.Module:
        width = choose.one_of("width", [16, 32, 64])
        blocks = [Block(width, choose.one_of(f"kernel{number}", [3, 5, 7])) for number in range(8)]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
        return nn.Sequential(nn.Conv2d(3, width, 3), *blocks, *head)

    space = SearchSpace("ten_layers", define, Shapes((3, 32, 32), (10,)))
    random = Random(0)
    sample_graph(space, random)
    began = time.perf_counter()
    for _ in range(count):
        sample_graph(space, random)
    return count / (time.perf_counter() - began)


def residual_space() -> Any:
    """A space of PyTorch modules, residual networks of twelve blocks: graphs of 64 nodes."""
    import torch
    from torch import nn

    from spaces import Chooser, SearchSpace, Shapes

    class Block(nn.Module):
        def __init__(self, before: int, width: int, kernel: int, act: str, norm: str) -> None:
            super().__init__()
            self.conv = nn.Conv2d(before, width, kernel, padding=kernel // 2, bias=False)
            self.norm = nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(4, width)
            self.act = getattr(nn, act)()
            self.skip = nn.Identity() if before == width else nn.Conv2d(before, width, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.norm(self.conv(x)) + self.skip(x))

    class Network(nn.Module):
        def __init__(self, choose: Chooser) -> None:
            super().__init__()
            self.blocks, width = nn.Sequential(), 3
            for number in range(12):
                with choose.scope(f"block{number}"):
                    before, width = width, choose.one_of("width", [16, 24, 32])
                    kernel = choose.one_of("kernel", [1, 3, 5])
                    act = choose.one_of("act", ["ReLU", "SiLU", "GELU"])
                    norm = choose.one_of("norm", ["batch", "group"])
                    self.blocks.append(Block(before, width, kernel, act, norm))
            self.head = nn.Linear(width, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.blocks(x).mean((2, 3)))

    return SearchSpace("residual", Network, Shapes((3, 32, 32), (10,)))


def milliseconds_to_describe(*, again: bool, count: int = 100) -> float:
    """Median milliseconds to sample and describe a module of 64 nodes, or to look at it again."""
    from spaces.operators import sample

    space, random = residual_space(), Random(0)
    space.graph(sample(space, random))
    took, architectures = list[float](), list[Any]()
    for _ in range(count):
        began = time.perf_counter()
        architectures.append(sample(space, random))
        space.graph(architectures[-1])
        took.append(time.perf_counter() - began)
    if again:
        took.clear()
        for architecture in architectures:
            began = time.perf_counter()
            space.graph(architecture)
            took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


def surrogate_round(space: Any = None, observed: int = 100) -> float:
    """Seconds in which the default search proposes ten architectures after some results.

    The predictor is fitted, its thousand candidates are ranked, and ten are chosen. The space is
    NAS-Bench-201 unless another is given.
    """
    from nas.evaluators.evaluator import Observation
    from nas.record.events import outcome_event, round_event
    from nas.record.folding import fold
    from nas.record.history import EMPTY
    from nas.strategies import RandomSearch, SurrogateSearch
    from predictors import PREDICTORS
    from spaces.nasbench201 import space as cells

    space = cells if space is None else space
    proposals = RandomSearch().ask(space, EMPTY, observed, 0).proposals
    trials = EMPTY.next_round("search", proposals, 0)
    # Any score that depends on the cell will do.
    good = ("nor_conv_3x3", "nor_conv_1x1", 32, 5, "GELU")
    scores = [sum(answer in good for _, answer in trial.architecture.decisions) for trial in trials]
    results = zip(trials, scores, strict=True)
    ends = [outcome_event(trial.number, Observation(score)) for trial, score in results]
    history = fold([round_event(0, "search", trials), *ends])
    strategy = SurrogateSearch(PREDICTORS["quick"]())
    began = time.perf_counter()
    assert len(strategy.ask(space, history, 10, 0).proposals) == 10
    return time.perf_counter() - began


# Each repetition asks about other architectures, since rows of networks are remembered.
_DRAWS = itertools.count()


def asked_of_the_prior(space: Any = None, count: int = 1000) -> float:
    """Seconds in which the shipped prior ranks architectures, their graphs included.

    The space is NAS-Bench-201 unless another is given.
    """
    from nas.strategies.prior import known_before
    from predictors import PREDICTORS
    from spaces.nasbench201 import space as cells
    from spaces.operators import sample

    space = cells if space is None else space
    known = known_before(space, PREDICTORS["quick"](), 0)
    assert known is not None
    random = Random(next(_DRAWS))
    architectures = [sample(space, random) for _ in range(count)]
    began = time.perf_counter()
    known.predict([space.graph(architecture) for architecture in architectures])
    return time.perf_counter() - began


MEASURES: tuple[tuple[str, str, Callable[[], float]], ...] = (
    ("nas --help", "seconds", lambda: seconds_of("--help")),
    ("nas space list", "seconds", lambda: seconds_of("space", "list")),
    ("1,000 tabular evaluations by random search, journalled", "seconds", search_seconds),
    ("NAS-Bench-201: sample + define + Graph", "a second", made_a_second),
    ("PyTorch space of ten layers: define + trace", "a second", traced_a_second),
    ("NAS-Bench-201: a round of the surrogate search, 10 after 100", "seconds", surrogate_round),
    (
        "PyTorch modules of 64 nodes: sample and describe",
        "ms",
        lambda: milliseconds_to_describe(again=False),
    ),
    ("the same again", "ms", lambda: milliseconds_to_describe(again=True)),
    (
        "PyTorch modules of 64 nodes: a round, 10 after 24",
        "seconds",
        lambda: surrogate_round(residual_space(), 24),
    ),
    ("NAS-Bench-201: the prior ranks 1,000 architectures", "seconds", asked_of_the_prior),
    (
        "PyTorch modules of 64 nodes: the prior ranks 1,000",
        "seconds",
        lambda: asked_of_the_prior(residual_space()),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    rows: list[dict[str, Any]] = []
    for name, unit, measure in MEASURES:
        measure()
        values = [measure() for _ in range(repeat)]
        rows += [
            {"what": name, "unit": unit, "repeat": number, "value": round(value, 4)}
            for number, value in enumerate(values)
        ]
        span = f"({min(values):,.3f} to {max(values):,.3f})"
        print(f"{name:58} {statistics.median(values):12,.3f} {unit}   {span}", flush=True)
    print("written:", record("speed", rows))


if __name__ == "__main__":
    main()
