"""What every evaluator keeps. Authors of one call `check_evaluator` in their own tests."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy
import pytest
import torch

from nas.evaluators.evaluator import Evaluator, Failed, FinalResult, Observation
from spaces import Architecture


def check_evaluator(evaluator: Evaluator, architectures: Sequence[Architecture], folder: Path) -> None:
    """Asserts the protocol on some architectures that the evaluator can score; weights go to the (empty) folder."""
    assert len(architectures) >= 2
    for architecture in architectures:
        check_observation(evaluator, architecture, folder)
    check_final_result(evaluator, architectures[0], folder)
    check_foreign_architecture(evaluator)


def check_observation(evaluator: Evaluator, architecture: Architecture, folder: Path) -> None:
    weights = folder / "first" / f"{architecture.key}.safetensors"
    before = _global_randomness()
    first = evaluator.evaluate(architecture, seed=7, weights=weights)
    assert _global_randomness() == before, "an evaluator takes its randomness from the seed and leaves the global generators alone"
    assert isinstance(first, Observation)
    assert math.isfinite(first.score)
    assert math.isfinite(first.seconds)
    assert first.seconds >= 0
    assert all(math.isfinite(value) for value in first.curve)
    assert not first.curve or first.curve[-1] == first.score
    assert all(isinstance(name, str) and math.isfinite(value) for name, value in first.metrics)
    named = [*(field.name for field in fields(first)), *(name for name, _ in first.metrics)]
    assert not any("test" in name for name in named), f"an observation holds no test score; got {named}"

    random.random(), numpy.random.random(), torch.rand(1)
    second = evaluator.evaluate(architecture, seed=7)
    assert isinstance(second, Observation)
    assert (second.score, second.curve, second.metrics) == (first.score, first.curve, first.metrics), "one seed, one result"

    left = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert not left, f"files other than the weights: {left}"


def check_final_result(evaluator: Evaluator, architecture: Architecture, folder: Path) -> None:
    first = evaluator.finalize(architecture, seed=3, weights=folder / "final.safetensors")
    second = evaluator.finalize(architecture, seed=3)
    assert isinstance(first, FinalResult)
    assert isinstance(second, FinalResult)
    assert math.isfinite(first.validation)
    assert math.isfinite(first.test)
    assert (first.validation, first.test, first.curve) == (second.validation, second.test, second.curve)


def check_foreign_architecture(evaluator: Evaluator) -> None:
    foreign = Architecture("a space that nobody has", (("op", "conv"),))
    with pytest.raises(ValueError, match="space"):
        evaluator.evaluate(foreign, seed=0)


def _global_randomness() -> tuple:
    state = numpy.random.get_state(legacy=False)
    return random.getstate(), str(state), torch.get_rng_state().tolist()


def check_failure(result: object, kind: str, says: str) -> None:
    """Asserts a `Failed` of that kind whose reason holds the words."""
    assert isinstance(result, Failed), f"expected a failure, got {result}"
    assert result.kind == kind
    assert says in result.reason
