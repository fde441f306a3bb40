"""Writes the weights of a trained network and the metadata that a user of them needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.task import Task
from nas.training.checkpoint import write_tensors

# The key of a weights file's metadata that says which network was trained, and its value for the
# user's own module. Without the key it is the class generated from the graph.
TRAINED, OWN = "trained", "own module"


def save_weights(module: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the module's state as safetensors: completely or not at all.

    Tied weights are written once for each name.
    """
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in module.state_dict().items()
    }
    write_tensors(state, path, metadata or {})


def weights_metadata(task: Task, *, own_module: bool = False) -> dict[str, str]:
    """The facts of a training that a user of its weights needs, as a weights file's metadata.

    They are the type of the raw inputs, their normalisation or tokenizer, the metric, the names of
    the classes, the objective of a language model, and whether the network is the user's own module
    (`own_module`).
    """
    named = isinstance(task.metric, str)
    metadata = {
        "inputs": str(task.train.inputs.dtype).removeprefix("torch."),
        "normalize": json.dumps(task.normalize),
        "metric": task.metric if named else getattr(task.metric, "__name__", "metric"),
        "classes": json.dumps(task.classes),
    }
    if task.tokenizer:
        metadata["tokenizer"] = task.tokenizer
    masked = isinstance(task.corrupt, Masking)
    if masked or isinstance(task.check, Causal):
        metadata["objective"] = "masked" if masked else "causal"
    if own_module:
        metadata[TRAINED] = OWN
    return metadata
