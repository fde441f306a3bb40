"""The model card: the use of an exported network, its results, and how it was found."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.config.sections import RunConfig, TableSection
from nas.evaluators.evaluator import FinalResult
from nas.export.calling import shapes_text
from nas.export.formats import Format
from nas.export.preprocessing import (
    Preprocessing,
    SeveralPreprocessing,
    classes_of,
    objective_of,
    tokenizer_of,
)
from nas.export.travelling import Travelling
from nas.export.usage import TOKENIZER, usage
from nas.export.weights import Chosen
from nas.record.history import History
from spaces import Graph, Shapes
from spaces.draw import draw_text
from spaces.ops import Costs

# Lines of the drawing, and names of classes; the card leaves out what exceeds them.
_LONGEST_DRAWING = 120
_MOST_CLASSES = 100


@dataclass(frozen=True)
class Card:
    """The facts that the card shows.

    Attributes:
        format: of the network's file.
        config, environment, history: of the run.
        created: when the run was created, in seconds since the epoch.
        chosen: the trial, and the origin of its weights.
        graph: of the architecture, as the space gives it.
        shapes: of the network's input and output.
        costs: of the whole network.
        preprocessing: None if the weights file does not give it.
        metadata: of the weights file.
        difference: the largest difference between outputs that the verification found.
        digests: of the network's files, by their names.
        outputs: the shape of each output in evaluation, without the batch, by name.
        travelling: the user's source files that travel; None: there are none.
    """

    format: Format
    config: RunConfig
    environment: Mapping[str, Any]
    created: float
    history: History
    chosen: Chosen
    graph: Graph
    shapes: Shapes
    costs: Costs
    preprocessing: Preprocessing | SeveralPreprocessing | None
    metadata: dict[str, str]
    difference: float
    digests: Mapping[str, str]
    outputs: Mapping[str, tuple[int, ...]]
    travelling: Travelling | None = None


def title(space: str, trial: int) -> str:
    """One line with the network's space and trial."""
    return f"A network of the search space {space}: trial {trial} of a neural architecture search."


def render(card: Card) -> str:
    """The card as Markdown."""
    trial = card.chosen.trial
    sections = [
        f"# Network {trial.architecture.key}\n\n{title(trial.architecture.space, trial.number)}\n",
        f"## Use\n\n{_usage(card)}",
        f"## Inputs and outputs\n\n{_table(_shapes(card))}",
        f"## Results\n\n{_results(card)}",
        f"## How it was found\n\n{_table(_search(card))}",
        f"## Architecture\n\n{_architecture(card)}",
    ]
    return "\n".join(sections)


def _usage(card: Card) -> str:
    said = usage(
        card.format,
        card.shapes,
        prepares=card.preprocessing is not None and not card.preprocessing.does_nothing,
        tokenizer=tokenizer_of(card.metadata) is not None,
        objective=objective_of(card.metadata),
        outputs=tuple(card.outputs),
        files=None if card.travelling is None else str(card.travelling),
    )
    difference = (
        f"they differ by {card.difference:.1e} at most" if card.difference else "they are equal"
    )
    also = "" if card.travelling is None else ", and so were its outputs and gradients in training"
    return (
        f"{said}\nIts outputs were compared with the original network's in a process that has not "
        f"this project{also}: {difference}.\n\n{_digests(card.digests)}"
    )


def _digests(digests: Mapping[str, str]) -> str:
    listed = "\n".join(f"{digest}  {name}" for name, digest in digests.items())
    return (
        "The digests of the weights, as `b2sum -l 128` prints them, are also in "
        f"`architecture.json`:\n\n```text\n{listed}\n```\n"
    )


def _shapes(card: Card) -> Iterator[tuple[str, str]]:
    yield "input", shapes_text(card.shapes.input, "inputs")
    objective = objective_of(card.metadata)
    meaning = {
        None: "",
        "masked": ": at each place a score for every token that may be hidden there",
        "causal": ": at each place a score for every token that may follow",
    }[objective]
    outputs: Any = dict(card.outputs)
    yield "output", f"{shapes_text(outputs.get('outputs', outputs), 'outputs')}{meaning}"
    classes = classes_of(card.metadata)
    if classes:
        shown = ", ".join(classes[:_MOST_CLASSES])
        if len(classes) > _MOST_CLASSES:
            shown += f", ... ({len(classes)}: see architecture.json)"
        yield "classes", shown
    if tokenizer_of(card.metadata) is not None:
        mask = ", 2 a hidden token" if objective == "masked" else ""
        steps = (
            f"text to tokens (int64) by `{TOKENIZER}`; 0 is the padding, 1 a byte that the "
            f"training texts have not{mask}"
        )
    else:
        steps = "not known" if card.preprocessing is None else str(card.preprocessing)
    yield "preprocessing", steps
    yield "parameters", f"{card.costs.parameters:,}"
    yield "multiply-adds", f"{card.costs.multiply_adds:,} for one sample"
    yield "largest activation", f"{card.costs.largest_activation:,} numbers for one sample"


def _results(card: Card) -> str:
    trial = card.chosen.trial
    metric = ""
    if "metric" in card.metadata:
        metric = f" The score is the {card.metadata['metric'].replace('_', ' ')}."
    lines = [f"{_weights(card)}{metric}\n", *_full_trainings(card)]
    if trial in card.history.observed:
        lines.append(
            f"In the search it scored {trial.score:.4f} on the validation data{_inherited(card)}.\n"
        )
    return "\n".join(lines)


def _weights(card: Card) -> str:
    """Where the weights come from."""
    chosen, source = card.chosen, card.chosen.source
    if chosen.weights is None:
        weights = "**The weights are fresh: this network has not been trained.**"
    elif chosen.final is None:
        weights = (
            "The weights are those of the trial's short training during the search; it was not "
            "trained further."
        )
        donor = card.history.beginning(source).donor
        if donor is not None:
            weights += f" That training began with weights of trial {donor}, a network like it."
    else:
        weights = (
            "The weights are those of the training marked below, the best on the validation data."
        )
    if source.number != chosen.trial.number:
        weights += (
            f" They come from trial {source.number}, whose graph is the same up to the order of "
            "its nodes."
        )
    return weights


def _full_trainings(card: Card) -> Iterator[str]:
    """The table of all full trainings of the network, if one of them succeeded."""
    finals = [final for final in card.history.finals if final.trial == card.chosen.source.number]
    results = [final.result for final in finals if isinstance(final.result, FinalResult)]
    if not results:
        return
    rows = ["| full training | validation | test |", "|---|---|---|"]
    for final in finals:
        result = final.result
        if isinstance(result, FinalResult):
            mark = " (these weights)" if card.chosen.final == final else ""
            scores = f"{result.validation:.4f} | {result.test:.4f}"
            rows.append(f"| seed {final.seed}{mark} | {scores} |")
        else:
            rows.append(f"| seed {final.seed} | failed: {result.reason} | |")
    validation = _mean([result.validation for result in results])
    test = _mean([result.test for result in results])
    rows.append(f"| mean ± standard deviation of {len(results)} | {validation} | {test} |")
    yield "\n".join(rows) + "\n"


def _inherited(card: Card) -> str:
    """A remark if the search's score was reached with inherited weights, unlike these weights."""
    donor = card.history.beginning(card.chosen.trial).donor
    if donor is None or card.chosen.final is None:
        return ""
    return (
        f", in a training that began with weights of trial {donor}, a network like it; the full "
        "trainings began with fresh ones"
    )


def _mean(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def _search(card: Card) -> Iterator[tuple[str, str]]:
    config, trial = card.config, card.chosen.trial
    yield "space", config.space
    if isinstance(config.evaluator, TableSection):
        column = config.evaluator.score
        looked_up = "of recorded trainings" if column is None else f"in a table, column {column}"
        yield "scores", f"looked up {looked_up}"
    elif config.task is not None:
        yield "task", config.task.name
        search, final = config.training.epochs, config.finalists.epochs
        yield "training", f"{search} epochs in the search, {final or 3 * search} for a finalist"
    uses_predictor = config.strategy.name == "surrogate"
    predictor = f", predictor {config.predictor.name}" if uses_predictor else ""
    yield "strategy", f"{config.strategy.name}{predictor}"
    yield "trial", f"{trial.number}, proposed by {trial.arm} (origin: {trial.origin})"
    spent = (
        f"{config.budget} evaluations for each strategy; {len(card.history.observed)} scores in all"
    )
    if card.history.finished is None:
        spent += "; the run had not ended when this was exported"
    yield "budget", spent
    yield "seed", str(config.seed)
    begun = datetime.datetime.fromtimestamp(card.created, datetime.UTC)
    yield "run begun", begun.strftime("%Y-%m-%d")
    packages = card.environment.get("packages", {})
    versions = [f"Python {card.environment['python']}"] if "python" in card.environment else []
    versions += [
        f"{name} {packages[name]}"
        for name in ("surrogate-nas", "torch", "torch-geometric")
        if name in packages
    ]
    if versions:
        yield "versions", ", ".join(versions)


def _architecture(card: Card) -> str:
    answers = card.chosen.source.architecture.decisions
    rows = ((f"`{path}`", f"`{answer}`") for path, answer in answers)
    decisions = _table(rows, "decision", "answer")
    lines = draw_text(card.graph).splitlines()
    more = len(lines) - _LONGEST_DRAWING
    if more > 0:
        lines = lines[:_LONGEST_DRAWING]
        lines.append(f"... and {more} lines more; architecture.json has the whole graph")
    drawing = "\n".join(lines)
    return f"{decisions}\n```text\n{drawing}\n```\n"


def _table(rows: Iterator[tuple[str, str]], *head: str) -> str:
    first, second = head or ("", "")
    shown = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([f"| {first} | {second} |", "|---|---|", *shown]) + "\n"
