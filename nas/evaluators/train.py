"""Evaluates an architecture by training its network."""

from __future__ import annotations

import gc
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from nas.evaluators.evaluator import Donor, Failed, FinalResult, Observation
from nas.evaluators.weights import read_weights, save_weights, weights_metadata
from nas.latency.measuring import measure
from nas.latency.settings import LatencySettings
from nas.seeds import derive
from nas.tasks.task import Task
from nas.training.checkpoint import identity, read_checkpoint, write_checkpoint
from nas.training.devices import find_device, own_randomness
from nas.training.loop import Trained, train
from nas.training.recipe import Recipe
from nas.training.scoring import NotFinite, evaluate_split
from nas.transfer.copying import correspondence, in_own_names, inherited
from nas.transfer.settings import Rule
from spaces import Architecture, SearchSpace
from spaces.ops import costs

# Parts of the messages of CUDA, of the CPU's allocator, and of cuDNN and cuBLAS.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")


@dataclass(frozen=True, eq=False)
class TrainEvaluator:
    """Builds an architecture's network for the task and trains it.

    On the CPU a result depends on the architecture, the task, the recipe and the seed alone. On
    CUDA it is reproducible only up to rounding, because the order of a convolution's sums may vary.

    Attributes:
        recipe: for an evaluation during the search.
        final_recipe: for a finalist's training; None: `recipe`.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        on_epoch: called with the number of epochs done and the validation score, during `evaluate`
            and `finalize`.
        latency: how a network's latency is measured at the end of `evaluate`; None: not measured.
        transfer: the rule by which a training takes over a donor's weights; None: donors are
            refused.
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
        """The validation score after `fidelity` times the recipe's epochs, at least one.

        If the training ended as hopeless, the metric `stopped_after` has its epochs.

        With fewer than all epochs the training pauses, and its state is written to the file
        `checkpoint`. A training resumes from this file if it is there and has the same seed; the
        result is the same without it. If memory runs out, the training is tried once more with half
        the batch size.

        With a `donor` the training begins with the weights that the rule `transfer` takes over.

        Raises:
            ValueError: the architecture is not of this space, its network does not fit the task, or
                the donor's weights cannot be read or are those of another network.
        """
        started = time.perf_counter()
        result = self._attempt(
            _Start(architecture, seed, donor),
            # Compiling takes longer than most evaluations.
            replace(self.recipe, compile=False),
            self.recipe.epochs_at(fidelity),
            checkpoint,
        )
        seconds = time.perf_counter() - started
        if isinstance(result, Failed):
            return replace(result, seconds=seconds)
        module, trained, recipe = result
        if weights is not None:
            save_weights(module, weights, self._metadata(architecture))
        space = self._space
        counted = costs(space.network_graph(space.graph(architecture)), self.task.shapes.input)
        metrics = {
            "parameters": counted.parameters,
            "multiply_adds": counted.multiply_adds,
            "batch_size": recipe.batch_size,
        }
        if trained.stopped:
            metrics["stopped_after"] = trained.epochs
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
        """The test score after a training with the final recipe, on the training split alone.

        The test split is read once, at the end, and scored as the validation split is. If the
        recipe compiles networks and this one cannot be compiled, a warning says why.

        Raises:
            ValueError: as in `evaluate`.
        """
        started = time.perf_counter()
        result = self._attempt(_Start(architecture, seed), self.final_recipe or self.recipe)
        if isinstance(result, Failed):
            return replace(result, seconds=time.perf_counter() - started)
        module, trained, recipe = result
        if trained.uncompiled:
            warnings.warn(trained.uncompiled, stacklevel=2)
        try:
            test = evaluate_split(
                *(module, self.task.test, self.task, recipe.samples_at_once, self._device),
                amp=recipe.amp,
            )
        except NotFinite as error:
            return Failed("not finite", str(error), time.perf_counter() - started)
        if weights is not None:
            save_weights(module, weights, self._metadata(architecture))
        return FinalResult(trained.validation, test, time.perf_counter() - started, trained.curve)

    def _measured(self, module: nn.Module, settings: LatencySettings) -> dict[str, float]:
        """The milliseconds of a pass, their error, and the peak memory in bytes.

        The module may be moved to another device, so it must not be used afterwards.
        """
        rows = torch.arange(settings.batch_size) % len(self.task.validation)
        device = self._device if settings.device == "auto" else find_device(settings.device)
        inputs, _ = self.task.validation.rows(rows)
        measured = measure(module, self.task.prepare(inputs), settings, device)
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
            # Outside the handler, because inside the traceback keeps the network's tensors alive.
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
        module = self._initial_module(start)
        of = identity(recipe, start.key, start.seed, self._device)
        last = until or recipe.epochs
        paused = None if checkpoint is None else read_checkpoint(checkpoint, of)
        if paused is not None and not (paused.fits(module) and len(paused.curve) <= last):
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

    def _initial_module(self, start: _Start) -> nn.Module:
        """The network before its first training step."""
        space = self._space
        with own_randomness(derive(start.seed, "weights"), torch.device("cpu")):
            module = space.build(start.architecture)
        if start.donor is None:
            return module
        if self.transfer is None:
            raise ValueError(
                "a training is to begin with a donor's weights, but there is no rule for taking "
                "them over: give TrainEvaluator(transfer=...)"
            )
        donor, child = (
            space.network_graph(space.graph(each))
            for each in (start.donor.architecture, start.architecture)
        )
        tensors = correspondence(donor, child, space.shapes.input)
        if space.makes_modules(start.architecture):
            tensors = in_own_names(tensors, donor, child, space.shapes.input)
        weights, _ = read_weights(start.donor.weights)
        seed = derive(start.seed, "transfer")
        module.load_state_dict(
            inherited(module.state_dict(), weights, tensors, self.transfer, seed=seed)
        )
        return module

    def _metadata(self, architecture: Architecture) -> dict[str, str]:
        own = self._space.makes_modules(architecture)
        return weights_metadata(self.task, own_module=own)

    @cached_property
    def _space(self) -> SearchSpace:
        return self.space.for_shapes(self.task.shapes)

    @cached_property
    def _device(self) -> torch.device:
        return find_device(self.device)

    @cached_property
    def _resident(self) -> Task:
        # Copied to the device once, not for each architecture. The test split is not copied.
        return self.task.resident(self._device, "train", "validation")


@dataclass(frozen=True)
class _Start:
    """The architecture, seed and donor that a training begins with."""

    architecture: Architecture
    seed: int
    donor: Donor | None = None

    @property
    def key(self) -> str:
        """The architecture's key, with the donor's if there is one."""
        if self.donor is None:
            return self.architecture.key
        return f"{self.architecture.key} from {self.donor.architecture.key}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error means that memory ran out, on the device or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return any(words in message for words in _OUT_OF_MEMORY)
