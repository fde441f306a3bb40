"""Epochs that each optimizer needs to a loss, and what each option of a recipe costs in a step.

    python benchmarks/recipe_options.py --seeds 5

The network is a perceptron with two hidden layers of 64 on the digits, batches of 32, and a
constant learning rate. For each optimizer the learning rate is the best of a grid on seeds of its
own, 0 and 1; reported are seeds from 1000 on: the epochs until the validation loss is below each of
the marks, with `adamw` beside them. Below, the time of a step of a network with 16 hidden neurons:
with all options off, and with each of them on, as a multiple; trainings of all kinds take turns, in
one process. Writes `results/recipe_options.csv`, a row for each optimizer and seed and for each
option.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record, spread
from nas.tasks import load_task
from nas.tasks.task import Task
from nas.training.devices import own_randomness
from nas.training.loop import train
from nas.training.optimizers import OPTIMIZERS
from nas.training.recipe import Recipe

CPU, EPOCHS, MARKS = torch.device("cpu"), 30, (0.3, 0.2, 0.15)
RATES = {"sgd": (0.01, 0.03, 0.1, 0.3)}
USUAL_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
OPTIONS: dict[str, dict[str, Any]] = {
    "off": {},
    "muon": {"optimizer": "muon"},
    "soap": {"optimizer": "soap"},
    "cosmos": {"optimizer": "cosmos"},
    "ema": {"ema": 0.99},
    "mixup": {"mixup": 0.2},
    "class_weights": {"class_weights": "balanced"},
    "accumulate 2": {"accumulate": 2},
    "hopeless": {"hopeless": 1.0},
}


def perceptron(width: int, depth: int, seed: int) -> nn.Module:
    with own_randomness(seed, CPU):
        sizes = [64] + [width] * depth
        hidden = [
            layer
            for before, after in pairwise(sizes)
            for layer in (nn.Linear(before, after), nn.ReLU())
        ]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10))


def losses(task: Task, recipe: Recipe, seed: int) -> list[float]:
    """The validation loss after each epoch."""
    module = perceptron(64, 2, seed)
    return [-score for score in train(module, task, recipe, seed=seed, device=CPU).curve]


def optimizer_rows(task: Task, seeds: int) -> Iterator[dict[str, Any]]:
    for name in OPTIMIZERS:
        recipe = Recipe(
            epochs=EPOCHS, batch_size=32, optimizer=name, schedule="constant", warmup_epochs=0
        )
        # By the best loss of the training, averaged: a constant rate may be too high for its end.
        tried = {
            rate: statistics.mean(
                min(losses(task, replace(recipe, learning_rate=rate), seed)) for seed in (0, 1)
            )
            for rate in RATES.get(name, USUAL_RATES)
        }
        rate = min(tried, key=lambda rate: tried[rate])
        reached = []
        for seed in range(1000, 1000 + seeds):
            curve = losses(task, replace(recipe, learning_rate=rate), seed)
            epochs = [
                next((epoch for epoch, loss in enumerate(curve, 1) if loss < mark), EPOCHS + 1)
                for mark in MARKS
            ]
            reached.append([*epochs, min(curve)])
            yield (
                {"kind": "epochs", "name": name, "rate": rate, "seed": seed}
                | {f"to_{mark}": epoch for mark, epoch in zip(MARKS, epochs, strict=True)}
                | {"best_loss": min(curve)}
            )
        shown = "  ".join(
            f"{label} {spread([each[place] for each in reached])}"
            for place, label in enumerate([*(f"to {mark}:" for mark in MARKS), "best:"])
        )
        print(f"{name:7} rate {rate}: {shown}", flush=True)


def time_rows(task: Task, repeats: int) -> Iterator[dict[str, Any]]:
    seconds: dict[str, list[float]] = {name: [] for name in OPTIONS}
    for repeat in range(repeats + 1):
        for name, changes in OPTIONS.items():
            module, recipe = perceptron(16, 1, 0), Recipe(epochs=2, batch_size=16, **changes)
            begun = time.process_time()
            train(module, task, recipe, seed=0, device=CPU)
            # The first round imports and allocates.
            if repeat:
                seconds[name].append(time.process_time() - begun)
    for name, each in seconds.items():
        ratios = [own / off for own, off in zip(each, seconds["off"], strict=True)]
        yield {"kind": "time", "name": name, "times_off": statistics.median(ratios)}
        print(f"{name:13} {spread(ratios)} times a step with all off", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task("digits")
    by_loss = replace(
        task, metric=lambda outputs, targets: -functional.cross_entropy(outputs, targets).item()
    )
    rows = [*optimizer_rows(by_loss, options.seeds), *time_rows(task, options.repeats)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(record("recipe_options", [{name: row.get(name, "") for name in names} for row in rows]))


if __name__ == "__main__":
    main()
