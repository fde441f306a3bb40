"""An evaluator that trains the architecture's network."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from nas.evaluators.evaluator import Donor, Failed, FinalResult, Observation
from nas.latency.measuring import measure
from nas.latency.settings import LatencySettings
from nas.seeds import derive
from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.task import Task
from nas.training.checkpoint import (
    identity,
    read_checkpoint,
    read_tensors,
    write_checkpoint,
    write_tensors,
)
from nas.training.loop import NotFinite, Trained, evaluate_split, find_device, own_randomness, train
from nas.training.recipe import Recipe
from nas.transfer.copying import correspondence, inherited
from nas.transfer.settings import Rule
from spaces import Architecture, SearchSpace
from spaces.ops import costs

# How CUDA, the CPU's allocator, and cuDNN and cuBLAS say it.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")


@dataclass(frozen=True, eq=False)
class TrainEvaluator:
    """Builds an architecture's network for the task and trains it.

    On the CPU a result depends on the architecture, the task, the recipe and the seed alone. On
    CUDA the sums of a convolution may come in another order, so there it is reproducible up to
    rounding.

    Attributes:
        recipe: of an evaluation during the search.
        final_recipe: of a finalist's training; None: the search's.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        on_epoch: called with the number of epochs done and the validation score, during `evaluate`
            and `finalize`.
        latency: how a network's latency is measured at the end of `evaluate`; None: it is not.
        transfer: how the weights of a donor are taken over; None: not at all.
    """

    space: SearchSpace
    task: Task
    recipe: Recipe
    final_recipe: Recipe | None = None
    device: str = "auto"
    on_epoch: Callable[[int, float], None] | None = None
    latency: LatencySettings | None = None
    transfer: Rule | None = None

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
        donor: Donor | None = None,
    ) -> Observation | Failed:
        """Trains on the training split and scores on the validation split, after `fidelity` times
        the recipe's epochs (at least one).

        Fewer than all are a pause: the training goes on from the file `checkpoint` where an
            evaluation with the same seed has left it there, and a
        result does not depend on that. Where the memory does not suffice it is tried once more with
        half the batch.

        With a `donor` the training begins with what the rule `transfer` takes over of its weights.

        Raises:
            ValueError: the architecture is not of this space, or its network does not fit the task;
                or the donor's weights cannot be read, or are those of another network.
        """
        started = time.perf_counter()
        result = self._attempt(
            _Start(architecture, seed, donor),
            self.recipe,
            self.recipe.epochs_at(fidelity),
            checkpoint,
        )
        seconds = time.perf_counter() - started
        if isinstance(result, Failed):
            return replace(result, seconds=seconds)
        module, trained, recipe = result
        if weights is not None:
            save_weights(module, weights, _described(self.task))
        space = self._space
        counted = costs(space.network_graph(space.graph(architecture)), self.task.shapes.input)
        metrics = {
            "parameters": counted.parameters,
            "multiply_adds": counted.multiply_adds,
            "batch_size": recipe.batch_size,
        }
        if self.latency is not None:
            metrics |= self._measured(module, self.latency)
        return Observation(
            trained.validation,
            seconds,
            trained.curve,
            tuple((name, float(value)) for name, value in metrics.items()),
        )

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """Trains with the final recipe, on the training split alone, and reads the test split once,
        at the end.

        Raises:
            ValueError: as in `evaluate`.
        """
        started = time.perf_counter()
        result = self._attempt(_Start(architecture, seed), self.final_recipe or self.recipe)
        if isinstance(result, Failed):
            return replace(result, seconds=time.perf_counter() - started)
        module, trained, recipe = result
        try:
            test = evaluate_split(
                module, self.task.test, self.task, recipe.batch_size, self._device
            )
        except NotFinite as error:
            return Failed("not finite", str(error), time.perf_counter() - started)
        if weights is not None:
            save_weights(module, weights, _described(self.task))
        return FinalResult(trained.validation, test, time.perf_counter() - started, trained.curve)

    def _measured(self, module: nn.Module, settings: LatencySettings) -> dict[str, float]:
        """Milliseconds of a pass, their error, and peak memory in bytes. The module is of no
        further use: it may be on another device.
        """
        rows = torch.arange(settings.batch_size) % len(self.task.validation)
        device = self._device if settings.device == "auto" else find_device(settings.device)
        measured = measure(
            module, self.task.prepare(self.task.validation.inputs[rows]), settings, device
        )
        return {
            "latency": measured.milliseconds,
            "latency_error": measured.error,
            "memory": measured.memory,
        }

    def _attempt(
        self,
        start: _Start,
        recipe: Recipe,
        until: int | None = None,
        checkpoint: Path | None = None,
    ) -> tuple[nn.Module, Trained, Recipe] | Failed:
        smaller = recipe.with_half_the_batch()
        for attempt in (recipe, smaller):
            detail = ""
            try:
                return (*self._train(start, attempt, until, checkpoint), attempt)
            except NotFinite as error:
                return Failed("not finite", str(error))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                detail = traceback.format_exc()
            # Out of the handler, so that the traceback no longer holds the network's tensors.
            gc.collect()
            torch.cuda.empty_cache()
        reason = (
            f"the memory of {self._device} did not suffice with batches of {recipe.batch_size}, "
            f"nor of {smaller.batch_size}"
        )
        return Failed("out of memory", reason, detail=detail)

    def _train(
        self, start: _Start, recipe: Recipe, until: int | None, checkpoint: Path | None
    ) -> tuple[nn.Module, Trained]:
        module = self._begun(start)
        of = identity(recipe, start.key, start.seed, self._device)
        paused = None if checkpoint is None else read_checkpoint(checkpoint, of)
        if paused is not None and not (
            paused.fits(module) and len(paused.curve) <= (until or recipe.epochs)
        ):
            paused = None
        own = derive(start.seed, "training")
        trained = train(
            module,
            self._resident,
            recipe,
            seed=own,
            device=self._device,
            on_epoch=self.on_epoch,
            until=until,
            paused=paused,
        )
        if checkpoint is not None and trained.paused is not None:
            write_checkpoint(trained.paused, checkpoint, of)
        return module, trained

    def _begun(self, start: _Start) -> nn.Module:
        """The network before its first step."""
        space = self._space
        with own_randomness(derive(start.seed, "weights"), torch.device("cpu")):
            module = space.build(start.architecture)
        if start.donor is None:
            return module
        if self.transfer is None:
            raise ValueError(
                "a training is to begin with a donor's weights, and by which rule is not said: "
                "give TrainEvaluator(transfer=...)"
            )
        donor, child = (
            space.network_graph(space.graph(each))
            for each in (start.donor.architecture, start.architecture)
        )
        tensors = correspondence(donor, child, space.shapes.input)
        weights = read_tensors(start.donor.weights)
        module.load_state_dict(
            inherited(
                module.state_dict(),
                weights,
                tensors,
                self.transfer,
                seed=derive(start.seed, "transfer"),
            )
        )
        return module

    @cached_property
    def _space(self) -> SearchSpace:
        return self.space.for_shapes(self.task.shapes)

    @cached_property
    def _device(self) -> torch.device:
        return find_device(self.device)

    @cached_property
    def _resident(self) -> Task:
        # Copied to the device once, not for each architecture. The test split stays where it is.
        return self.task.resident(self._device, "train", "validation")


@dataclass(frozen=True)
class _Start:
    """What a training begins with."""

    architecture: Architecture
    seed: int
    donor: Donor | None = None

    @property
    def key(self) -> str:
        """The architecture's key, and the donor's."""
        return (
            self.architecture.key
            if self.donor is None
            else f"{self.architecture.key} from {self.donor.architecture.key}"
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error says that memory ran out, on the device or on the host."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in said for words in _OUT_OF_MEMORY
    )


def save_weights(module: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the module's state as safetensors: whole, or not at all where the process ends in
    between.

    Tied weights are written once for each name.
    """
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in module.state_dict().items()
    }
    write_tensors(state, path, metadata or {})


def _described(task: Task) -> dict[str, str]:
    """What a user of the weights must know of their training.

    The raw inputs' type, their normalisation or tokenizer, the score, the classes' names, and a
    language model's objective.
    """
    inputs = str(task.train.inputs.dtype).removeprefix("torch.")
    metric = (
        task.metric if isinstance(task.metric, str) else getattr(task.metric, "__name__", "metric")
    )
    described = {
        "inputs": inputs,
        "normalize": json.dumps(task.normalize),
        "metric": metric,
        "classes": json.dumps(task.classes),
    }
    if task.tokenizer:
        described["tokenizer"] = task.tokenizer
    if isinstance(task.corrupt, Masking) or isinstance(task.check, Causal):
        described["objective"] = "masked" if isinstance(task.corrupt, Masking) else "causal"
    return described
