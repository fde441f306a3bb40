"""The contract of evaluators. The author of an evaluator calls `check_evaluator` in its tests."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file

from nas.evaluators.evaluator import Evaluator, Failed, FinalResult, Observation
from spaces import Architecture


def check_evaluator(
    evaluator: Evaluator,
    architectures: Sequence[Architecture],
    folder: Path,
    fidelities: Sequence[float] = (),
) -> None:
    """Asserts that the evaluator keeps the protocol.

    Args:
        evaluator: to check.
        architectures: at least two that it can score.
        folder: an empty folder for weights and checkpoints.
        fidelities: below 1 and ascending, of which the evaluator has scores.
    """
    assert len(architectures) >= 2
    for architecture in architectures:
        check_observation(evaluator, architecture, folder)
    check_final_result(evaluator, architectures[0], folder)
    check_foreign_architecture(evaluator)
    if fidelities:
        check_fidelities(evaluator, architectures[0], folder, (*fidelities, 1.0))


def check_observation(evaluator: Evaluator, architecture: Architecture, folder: Path) -> None:
    weights = folder / "first" / f"{architecture.key}.safetensors"
    before = _global_randomness()
    first = evaluator.evaluate(architecture, seed=7, weights=weights)
    assert _global_randomness() == before, (
        "an evaluator takes its randomness from the seed and leaves the global generators alone"
    )
    assert isinstance(first, Observation)
    assert math.isfinite(first.score)
    assert math.isfinite(first.seconds)
    assert first.seconds >= 0
    assert all(math.isfinite(value) for value in first.curve)
    assert not first.curve or first.curve[-1] == first.score
    assert all(isinstance(name, str) and math.isfinite(value) for name, value in first.metrics)
    named = [*(field.name for field in fields(first)), *(name for name, _ in first.metrics)]
    assert not any("test" in name for name in named), (
        f"an observation holds no test score; got {named}"
    )

    random.random(), numpy.random.random(), torch.rand(1)
    second = evaluator.evaluate(architecture, seed=7)
    assert isinstance(second, Observation)
    assert replace(second, seconds=0) == replace(first, seconds=0), "one seed, one result"

    left = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert not left, f"files other than the weights: {left}"


def check_final_result(evaluator: Evaluator, architecture: Architecture, folder: Path) -> None:
    first = evaluator.finalize(architecture, seed=3, weights=folder / "final.safetensors")
    second = evaluator.finalize(architecture, seed=3)
    assert isinstance(first, FinalResult)
    assert isinstance(second, FinalResult)
    assert math.isfinite(first.validation)
    assert math.isfinite(first.test)
    assert replace(first, seconds=0) == replace(second, seconds=0)


def check_fidelities(
    evaluator: Evaluator, architecture: Architecture, folder: Path, fidelities: Sequence[float]
) -> None:
    """A training resumed at each fidelity gives the same results as one without a checkpoint."""
    checkpoint, curve = folder / "checkpoints" / "trial.safetensors", ()
    writes_weights = (folder / "first" / f"{architecture.key}.safetensors").exists()
    for fidelity in fidelities:
        weights = (
            folder / f"alone-{fidelity:.3f}.safetensors",
            folder / f"resumed-{fidelity:.3f}.safetensors",
        )
        alone = evaluator.evaluate(architecture, seed=7, weights=weights[0], fidelity=fidelity)
        resumed = evaluator.evaluate(
            architecture, seed=7, weights=weights[1], fidelity=fidelity, checkpoint=checkpoint
        )
        assert isinstance(alone, Observation)
        assert isinstance(resumed, Observation)
        assert replace(alone, seconds=0) == replace(resumed, seconds=0)
        assert alone.curve[: len(curve)] == curve, "fewer epochs are the first ones of all"
        assert weights[0].exists() == weights[1].exists() == writes_weights
        if writes_weights:
            first, second = map(load_file, weights)
            assert first
            assert first.keys() == second.keys()
            assert all(torch.equal(first[name], second[name]) for name in first)
        curve = alone.curve


def check_foreign_architecture(evaluator: Evaluator) -> None:
    foreign = Architecture("a space that nobody has", (("op", "conv"),))
    with pytest.raises(ValueError, match="space"):
        evaluator.evaluate(foreign, seed=0)


def _global_randomness() -> tuple:
    state = numpy.random.get_state(legacy=False)
    return random.getstate(), str(state), torch.get_rng_state().tolist()


def check_failure(result: object, kind: str, says: str) -> None:
    """Asserts that the result is a `Failed` of this kind whose reason contains the words."""
    assert isinstance(result, Failed), f"expected a failure, got {result}"
    assert result.kind == kind
    assert says in result.reason
