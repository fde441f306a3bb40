"""The model card: what an exported network is, how it is used, how good it is and how it was found."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nas.config.config import RunConfig, TableSection
from nas.evaluators.evaluator import FinalResult
from nas.export.formats import Format
from nas.export.preprocessing import Preprocessing, classes_of, objective_of, tokenizer_of
from nas.export.usage import TOKENIZER, usage
from nas.export.weights import Chosen
from nas.record.history import History
from spaces import Graph, Shapes
from spaces.draw import draw_text
from spaces.ops import Costs

_LONGEST_DRAWING = 120
_MOST_CLASSES = 100


@dataclass(frozen=True)
class Card:
    """Everything that the card says.

    Attributes:
        graph: of the architecture, as the space gives it.
        costs: of the whole network.
        preprocessing: None where the weights do not say.
        metadata: of the weights file.
        difference: the largest one found when the export was checked.
    """

    format: Format
    config: RunConfig
    environment: dict[str, Any]
    created: float
    history: History
    chosen: Chosen
    graph: Graph
    shapes: Shapes
    costs: Costs
    preprocessing: Preprocessing | None
    metadata: dict[str, str]
    difference: float


def title(space: str, trial: int) -> str:
    """One line that says what the network is."""
    return f"A network of the search space {space}: trial {trial} of a neural architecture search."


def render(card: Card) -> str:
    """The card as Markdown."""
    sections = [
        "# Network "
        f"{card.chosen.trial.architecture.key}\n\n{title(card.chosen.trial.architecture.space, card.chosen.trial.number)}\n",
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
    )
    difference = (
        f"they differ by {card.difference:.1e} at most" if card.difference else "they are equal"
    )
    return (
        f"{said}\nIts outputs were compared with the original network's in a process that has not "
        f"this project: {difference}.\n"
    )


def _shapes(card: Card) -> Iterator[tuple[str, str]]:
    yield "input", f"(batch, {', '.join(map(str, card.shapes.input))})"
    told = {
        "masked": ": at each place a score for every token that may be hidden there",
        "causal": ": at each place a score for every token that may follow",
    }
    objective = objective_of(card.metadata)
    yield (
        "output",
        "(batch, "
        f"{', '.join(map(str, card.shapes.output))}){'' if objective is None else told[objective]}",
    )
    classes = classes_of(card.metadata)
    if classes:
        yield (
            "classes",
            ", ".join(classes[:_MOST_CLASSES])
            + (
                f", ... ({len(classes)}: see architecture.json)"
                if len(classes) > _MOST_CLASSES
                else ""
            ),
        )
    if tokenizer_of(card.metadata) is not None:
        mask = ", 2 a hidden token" if objective == "masked" else ""
        yield (
            "preprocessing",
            f"text to tokens (int64) by `{TOKENIZER}`; 0 is the padding, 1 a byte that the "
            f"training texts have not{mask}",
        )
    else:
        yield (
            "preprocessing",
            "not known" if card.preprocessing is None else str(card.preprocessing),
        )
    yield "parameters", f"{card.costs.parameters:,}"
    yield "multiply-adds", f"{card.costs.multiply_adds:,} for one sample"
    yield "largest activation", f"{card.costs.largest_activation:,} numbers for one sample"


def _results(card: Card) -> str:
    metric = (
        f" The score is the {card.metadata['metric'].replace('_', ' ')}."
        if "metric" in card.metadata
        else ""
    )
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
    lines = [f"{weights}{metric}\n"]
    finals = [final for final in card.history.finals if final.trial == source.number]
    results = [final.result for final in finals if isinstance(final.result, FinalResult)]
    if results:
        rows = ["| full training | validation | test |", "|---|---|---|"]
        for final in finals:
            if isinstance(final.result, FinalResult):
                mark = " (these weights)" if chosen.final == final else ""
                rows.append(
                    f"| seed {final.seed}{mark} | {final.result.validation:.4f} | "
                    f"{final.result.test:.4f} |"
                )
            else:
                rows.append(f"| seed {final.seed} | failed: {final.result.reason} | |")
        spreads = [
            _spread([getattr(result, part) for result in results])
            for part in ("validation", "test")
        ]
        rows.append(
            f"| mean ± standard deviation of {len(results)} | {spreads[0]} | {spreads[1]} |"
        )
        lines.append("\n".join(rows) + "\n")
    if card.chosen.trial in card.history.observed:
        lines.append(
            f"In the search it scored {card.chosen.trial.score:.4f} on the validation "
            f"data{_inherited(card)}.\n"
        )
    return "\n".join(lines)


def _inherited(card: Card) -> str:
    """Of a network that was trained once more: what the score in the search owes to another's
    weights.
    """
    donor = card.history.beginning(card.chosen.trial).donor
    if donor is None or card.chosen.final is None:
        return ""
    return (
        f", in a training that began with weights of trial {donor}, a network like it; the full "
        "trainings began with fresh ones"
    )


def _spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def _search(card: Card) -> Iterator[tuple[str, str]]:
    config, trial = card.config, card.chosen.trial
    yield "space", config.space
    if isinstance(config.evaluator, TableSection):
        yield "scores", f"looked up in a table, column {config.evaluator.score}"
    elif config.task is not None:
        yield "task", config.task.name
        yield (
            "training",
            f"{config.training.epochs} epochs in the search, "
            f"{config.finalists.epochs or 3 * config.training.epochs} for a finalist",
        )
    predictor = (
        f", predictor {config.predictor.name}" if config.strategy.name == "surrogate" else ""
    )
    yield "strategy", f"{config.strategy.name}{predictor}"
    yield "trial", f"{trial.number}, proposed by {trial.arm} (origin: {trial.origin})"
    unfinished = (
        ""
        if card.history.finished is not None
        else "; the run had not ended when this was exported"
    )
    yield (
        "budget",
        f"{config.budget} evaluations for each strategy; {len(card.history.observed)} scores in "
        f"all{unfinished}",
    )
    yield "seed", str(config.seed)
    yield (
        "run begun",
        datetime.datetime.fromtimestamp(card.created, datetime.UTC).strftime("%Y-%m-%d"),
    )
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
    decisions = _table(
        (
            (f"`{path}`", f"`{answer}`")
            for path, answer in card.chosen.source.architecture.decisions
        ),
        "decision",
        "answer",
    )
    lines = draw_text(card.graph).splitlines()
    if len(lines) > _LONGEST_DRAWING:
        lines = [
            *lines[:_LONGEST_DRAWING],
            f"... and {len(lines) - _LONGEST_DRAWING} lines more; architecture.json has the "
            "whole graph",
        ]
    drawing = "\n".join(lines)
    return f"{decisions}\n```text\n{drawing}\n```\n"


def _table(rows: Iterator[tuple[str, str]], *head: str) -> str:
    first, second = head or ("", "")
    return (
        "\n".join(
            [
                f"| {first} | {second} |",
                "|---|---|",
                *(f"| {name} | {value} |" for name, value in rows),
            ]
        )
        + "\n"
    )
