"""The state of a training that is paused between two epochs, as a value and as a safetensors file.

The state holds everything that the next step depends on. The file is only a cache: if it is
missing, damaged or of another training, the training starts over and gives the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.training.averaging import Average
from nas.training.optimizer_state import restore, tensors_of
from nas.training.recipe import Recipe

# The version of a file's content. A file of another version is not read.
FORMAT = 1
# The first part of a tensor's name: what the tensor belongs to.
MODULE, OPTIMIZER, RANDOM, AVERAGE = "module", "optimizer", "random", "average"


@dataclass(frozen=True, eq=False)
class Paused:
    """The state of a training after some epochs.

    Attributes:
        curve: the validation score after each epoch so far.
        tensors: by name and on the CPU: those of the module, of the average of its weights if there
            is one, and of the optimizer, and the states of the random generators.
        scaler: the state of the loss scaling; empty if there is none.
    """

    curve: tuple[float, ...]
    tensors: Mapping[str, Tensor]
    scaler: Mapping[str, float]

    def fits(self, module: nn.Module) -> bool:
        """Whether it holds tensors of the module's names, shapes and types, and no others."""
        own = {
            f"{MODULE}.{name}": (tensor.shape, tensor.dtype)
            for name, tensor in _tensors(module).items()
        }
        return own == {
            name: (tensor.shape, tensor.dtype)
            for name, tensor in self.tensors.items()
            if name.startswith(f"{MODULE}.")
        }


@dataclass(frozen=True)
class TrainingState:
    """Everything that changes during a training.

    Torch's global generators, the CPU's and the device's, are saved and restored with it.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    generators: Mapping[str, torch.Generator]
    device: torch.device
    average: Average | None = None

    def pause(self, curve: tuple[float, ...]) -> Paused:
        """A copy of the current state."""
        states = {f"{MODULE}.{name}": tensor for name, tensor in _tensors(self.module).items()}
        if self.average is not None:
            states |= {f"{AVERAGE}.{name}": each for name, each in self.average.tensors.items()}
        states |= {f"{OPTIMIZER}.{name}": each for name, each in tensors_of(self.optimizer).items()}
        states |= {
            f"{RANDOM}.{name}": generator.get_state() for name, generator in self.generators.items()
        }
        states[f"{RANDOM}.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            states[f"{RANDOM}.cuda"] = torch.cuda.get_rng_state(self.device)
        return Paused(
            curve,
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in states.items()},
            self.scaler.state_dict(),
        )

    @torch.no_grad()
    def resume(self, paused: Paused) -> None:
        """Restores the paused state, which must fit the module."""
        for name, tensor in _tensors(self.module).items():
            tensor.copy_(paused.tensors[f"{MODULE}.{name}"])
        if self.average is not None:
            for name, tensor in self.average.tensors.items():
                tensor.copy_(paused.tensors[f"{AVERAGE}.{name}"])
        start = f"{OPTIMIZER}."
        restore(
            self.optimizer,
            {
                name.removeprefix(start): tensor
                for name, tensor in paused.tensors.items()
                if name.startswith(start)
            },
        )
        self.scaler.load_state_dict(dict(paused.scaler))
        for name, generator in self.generators.items():
            generator.set_state(paused.tensors[f"{RANDOM}.{name}"])
        torch.set_rng_state(paused.tensors[f"{RANDOM}.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(paused.tensors[f"{RANDOM}.cuda"], self.device)


def identity(recipe: Recipe, architecture: str, seed: int, device: torch.device) -> str:
    """The digest that identifies the training which a checkpoint belongs to.

    It depends on the recipe, the architecture's key, the seed and the kind of device.
    """
    return hashlib.blake2b(
        json.dumps([FORMAT, recipe.facts(), architecture, seed, device.type]).encode(),
        digest_size=16,
    ).hexdigest()


def write_checkpoint(paused: Paused, path: Path, of: str) -> None:
    """Writes the file completely or not at all. `of` is the training's `identity`."""
    about = {
        "of": of,
        "content": digest(paused.tensors),
        "curve": json.dumps(paused.curve),
        "scaler": json.dumps(dict(paused.scaler)),
    }
    write_tensors(paused.tensors, path, about)


def read_checkpoint(path: Path, of: str) -> Paused | None:
    """The state in the file; None if it is missing, damaged, or of another training."""
    with (
        suppress(SafetensorError, OSError, ValueError, KeyError, TypeError),
        safe_open(path, framework="pt") as file,
    ):
        about: dict[str, Any] = file.metadata() or {}
        if about["of"] != of:
            return None
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["content"] == digest(tensors):
            return Paused(
                tuple(map(float, json.loads(about["curve"]))), tensors, json.loads(about["scaler"])
            )
    return None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """32 hexadecimal digits that identify the names, types, shapes and numbers of tensors."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file completely, or not at all if the process ends in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        save_file(dict(tensors), unfinished, dict(metadata))
        os.replace(unfinished, path)
    finally:
        # After a failure, such as a full disk, the unfinished file would waste space.
        unfinished.unlink(missing_ok=True)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers, each once.

    Unlike a state_dict this includes non-persistent buffers, because the next step depends on them.
    """
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
