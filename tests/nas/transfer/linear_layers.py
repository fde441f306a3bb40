"""A search space of linear layers for the tests of weight transfer, and histories of it."""

from __future__ import annotations

from nas.config.loading import parse_config
from nas.config.sections import RunConfig
from nas.evaluators.evaluator import Failed, Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import History
from nas.record.trials import Trial
from spaces import Architecture

LAYERS = """
import torch

from nas.tasks.task import Split, Task
from spaces import GraphBuilder, SearchSpace, Shapes


def task():
    inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    parts = (inputs[:48], inputs[48:])
    train, validation = (Split(part, (part[:, 0] > 0).long()) for part in parts)
    return Task("tiny", train, validation, validation, Shapes((4,), (2,)))


def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    for layer in range(choose.integer("layers", 1, 4)):
        width = choose.one_of(f"width_{layer}", (8, 12))
        value = builder.node("relu", builder.node("linear", value, out_features=width))
    return builder.output(builder.node("linear", value, out_features=2))


space = SearchSpace("layers", define)
"""


def layers(*widths: int) -> Architecture:
    named = [(f"width_{layer}", width) for layer, width in enumerate(widths)]
    return Architecture("layers", (("layers", len(widths)), *named))


def configured(plugins: dict[str, str], **changes) -> RunConfig:
    values = {
        **plugins,
        "evaluator": {"name": "train", "transfer": {"rule": "ordered", "least": 0.5}},
        "strategy": {"name": "evolution", "population": 4, "tournament": 2},
        "training": {"epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, "learning_rate": 0.01},
        "executor": {"name": "inline", "devices": "cpu"},
        "budget": 9,
        "batch": 3,
        "finalists": {"count": 1, "seeds": 1, "epochs": 2},
    }
    return parse_config({**values, **changes}, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """A watcher that does nothing."""


def proposed(number: int, item: Architecture, arm: str = "search", **further) -> Trial:
    return Trial(number, 0, arm, item, "o", None, item.key, number, **further)


def seen(*trials: tuple[Architecture, float | None], arm: str = "search") -> History:
    """A history of evaluated architectures; one without a score has failed."""
    proposals = [proposed(number, item, arm) for number, (item, _) in enumerate(trials)]
    ends = [
        outcome_event(number, Failed("killed", "no") if score is None else Observation(score))
        for number, (_, score) in enumerate(trials)
    ]
    return fold([round_event(0, arm, proposals), *ends])
