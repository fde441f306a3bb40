"""How much a training gains from a neighbour's weights, against fresh ones after as many steps.

    python benchmarks/transfer.py --text DIRECTORY --pairs 10

A pair is a donor, which is a random trained architecture, and a child, which is the donor after one
mutation. The child is trained from fresh weights, and from the weights that each rule copies, with
the same order of the samples. This is repeated for each budget: a quarter of an epoch, a half, one
and two, each with its own learning rate schedule down to 0. If no tensor changes its size, the
three rules copy the same, and one training counts for all.

Printed are the mean scores, and the mean difference to the fresh start with its standard error over
the pairs: of all pairs, and of those whose overlap is at least `--least`, which a search would
transfer. The share of pairs with this overlap is also counted over 300 pairs that are not trained.

There are two spaces. `flexibert_tiny` is trained on the sentences of SST-2 (`sst2_train.tsv` and
`sst2_dev.tsv` in DIRECTORY; 32 tokens of a vocabulary of 2,000). The score is measured on a fifth
of the training file and on the development file, and donors are trained for 3 epochs. `convnet` is
trained on digits. The score is measured on validation and test samples, and donors are trained for
6 epochs.

Everything runs on one thread. Writes `results/transfer.csv`, a row for each pair, start and budget,
and `results/transfer_overlaps.csv`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from nas.seeds import derive, generator
from nas.tasks import load_task
from nas.tasks.task import Split, Task
from nas.training.devices import own_randomness
from nas.training.loop import train
from nas.training.recipe import Recipe
from nas.transfer import RULES
from nas.transfer.copying import correspondence, inherited, overlap
from spaces import Architecture, SearchSpace
from spaces.graph import Graph
from spaces.load import load_space
from spaces.operators import mutate, sample

BUDGETS = (0.25, 0.5, 1.0, 2.0)
CPU = torch.device("cpu")
FRESH = "fresh"


@dataclass(frozen=True)
class Setting:
    """A space, its task and training, and the number of epochs of its donors."""

    name: str
    space: SearchSpace
    task: Task
    recipe: Recipe
    donor_epochs: int

    def graph(self, architecture: Architecture) -> Graph:
        """The graph of the whole network."""
        return self.space.network_graph(self.space.graph(architecture))

    def overlaps(self, donor: Architecture, child: Architecture) -> dict[str, float]:
        """The overlap of the pair by each rule."""
        return {
            rule: overlap(self.graph(donor), self.graph(child), rule, self.space.shapes.input)
            for rule in RULES
        }

    def pairs(
        self, purpose: str, count: int
    ) -> Iterator[tuple[int, Architecture, Architecture, str]]:
        """Number, donor, child, and the names of the decisions in which they differ."""
        for number in range(count):
            random = generator(0, f"{purpose} {self.name}", number)
            donor = sample(self.space, random)
            child = mutate(self.space, donor, random)
            paths = sorted(donor.answers.keys() | child.answers.keys())
            differ = [path for path in paths if donor.answers.get(path) != child.answers.get(path)]
            yield number, donor, child, " ".join(differ)


def settings(text: Path | None) -> Iterator[Setting]:
    """The settings of the two spaces; without the sentences' directory that of digits alone."""
    digits = _pooled(load_task("digits", seed=0))
    if text is not None:
        sentences = load_task(
            "text",
            path=str(text / "sst2_train.tsv"),
            test=str(text / "sst2_dev.tsv"),
            length=32,
            vocabulary=2000,
            validation_share=0.2,
            seed=0,
        )
        sentences = _pooled(sentences)
        recipe = Recipe(
            epochs=1, batch_size=64, learning_rate=3e-3, warmup_epochs=0.1, gradient_clip=1.0
        )
        yield Setting(
            "flexibert_tiny",
            load_space("flexibert_tiny").for_shapes(sentences.shapes),
            sentences,
            recipe,
            donor_epochs=3,
        )
    recipe = Recipe(epochs=1, batch_size=32, learning_rate=4e-3, warmup_epochs=0.1)
    yield Setting(
        "convnet", load_space("convnet").for_shapes(digits.shapes), digits, recipe, donor_epochs=6
    )


def _pooled(task: Task) -> Task:
    """The task with validation and test samples as one split: no score chooses anything here."""
    parts = (task.validation, task.test)
    inputs = torch.cat([part.inputs for part in parts])
    targets = torch.cat([part.targets for part in parts])
    return replace(task, validation=Split(inputs, targets))


def trained(setting: Setting, module: nn.Module, epochs: float, seed: int) -> float:
    """The score after this many epochs.

    Less than one epoch is one epoch of a part of the samples, which depends only on the seed.
    """
    task, recipe = setting.task, replace(setting.recipe, epochs=max(1, int(epochs)))
    if epochs < 1:
        random = torch.Generator().manual_seed(derive(seed, "part"))
        order = torch.randperm(len(task.train), generator=random)
        rows = order[: int(epochs * len(task.train))]
        task = replace(task, train=Split(task.train.inputs[rows], task.train.targets[rows]))
    return train(module, task, recipe, seed=seed, device=CPU).validation


def fresh(setting: Setting, architecture: Architecture, seed: int) -> nn.Module:
    """The network with weights drawn from the seed."""
    with own_randomness(seed, CPU):
        return setting.space.build(architecture)


def measured(setting: Setting, count: int) -> Iterator[dict[str, Any]]:
    """The rows of all pairs."""
    for number, donor, child, differs in setting.pairs("transfer", count):
        teacher = fresh(setting, donor, derive(number, "donor"))
        donor_score = trained(
            setting, teacher, setting.donor_epochs, derive(number, "donor's training")
        )
        tensors = correspondence(
            setting.graph(donor), setting.graph(child), setting.space.shapes.input
        )
        overlaps = setting.overlaps(donor, child)
        is_exact = all(each.child.shape == each.donor.shape for each in tensors)
        for budget in BUDGETS:
            scores = dict[str, float]()
            for start in (FRESH, *RULES):
                if start in RULES[1:] and is_exact:
                    scores[start] = scores[RULES[0]]
                    continue
                module = fresh(setting, child, derive(number, "child"))
                if start in RULES:
                    states, seed = (
                        (module.state_dict(), teacher.state_dict()),
                        derive(number, "transfer"),
                    )
                    module.load_state_dict(inherited(*states, tensors, start, seed=seed))
                scores[start] = trained(setting, module, budget, derive(number, "child's training"))
            for start, score in scores.items():
                yield {
                    "space": setting.name,
                    "pair": number,
                    "mutated": differs,
                    "start": start,
                    "epochs": budget,
                    "score": score,
                    "overlap": overlaps.get(start, 0.0),
                    "donor_score": donor_score,
                }


def summary(rows: Sequence[Mapping[str, Any]], least: float) -> Iterator[str]:
    """The lines of the table of one space, in percent."""
    starts = {(row["start"], row["epochs"], row["pair"]): row for row in rows}
    score = {key: row["score"] for key, row in starts.items()}
    numbers = sorted({row["pair"] for row in rows})
    yield f"{'':28}{'pairs':>6}" + "".join(f"{f'{budget:g} epochs':>19}" for budget in BUDGETS)
    means = [statistics.fmean(score[FRESH, budget, pair] for pair in numbers) for budget in BUDGETS]
    yield f"{FRESH:28}{len(numbers):6}" + "".join(f"{100 * mean:19.2f}" for mean in means)
    for kind, bound in (("", 0.0), (f", overlap >= {least:g}", least)):
        for rule in RULES:
            able = [pair for pair in numbers if starts[rule, BUDGETS[0], pair]["overlap"] >= bound]
            cells = []
            for budget in BUDGETS:
                gains = [
                    100 * (score[rule, budget, pair] - score[FRESH, budget, pair]) for pair in able
                ]
                cells.append(difference(gains))
            yield f"{rule + kind:28}{len(able):6}" + "".join(f"{cell:>19}" for cell in cells)


def difference(values: Sequence[float]) -> str:
    """The mean with its standard error."""
    if len(values) < 2:
        return "–"
    return f"{statistics.fmean(values):+.2f} ± {statistics.stdev(values) / len(values) ** 0.5:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, help="the directory of SST-2; without it only digits")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument(
        "--drawn", type=int, default=300, help="pairs whose overlap is counted without training"
    )
    parser.add_argument("--least", type=float, default=0.8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, overlaps = list[dict[str, Any]](), list[dict[str, Any]]()
    for setting in settings(arguments.text):
        started = time.process_time()
        drawn = [
            (differs, setting.overlaps(donor, child))
            for _, donor, child, differs in setting.pairs("overlap", arguments.drawn)
        ]
        overlaps += [
            {"space": setting.name, "mutated": differs, **shares} for differs, shares in drawn
        ]
        reaching = {
            rule: statistics.fmean(shares[rule] >= arguments.least for _, shares in drawn)
            for rule in RULES
        }
        reach = ", ".join(f"{rule} {share:.0%}" for rule, share in reaching.items())
        print(
            f"{setting.name}: share of {arguments.drawn} neighbours with an overlap of at least "
            f"{arguments.least:g}: {reach}",
            flush=True,
        )
        own = list(measured(setting, arguments.pairs))
        rows += own
        seconds = f"{time.process_time() - started:.0f} s of one core"
        print(*summary(own, arguments.least), seconds, sep="\n", flush=True)
        # Written after each space, because the first takes long.
        record("transfer", [_rounded(row) for row in rows])
        record("transfer_overlaps", [_rounded(row) for row in overlaps])


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: f"{value:.5g}" if isinstance(value, float) else value for key, value in row.items()
    }


if __name__ == "__main__":
    main()
