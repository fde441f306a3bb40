"""The weights of trained networks as files, with a digest and what a user of them needs to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.task import Task
from nas.training.checkpoint import digest, write_tensors
from spaces.structure import mapped

# The key of a weights file's metadata that says which network was trained, and its value for the
# user's own module. Without the key it is the class generated from the graph.
TRAINED, OWN = "trained", "own module"

# The key of the digest of the tensors. Files of earlier versions have none.
DIGEST = "digest"


def save_weights(module: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the module's state as safetensors with its digest: completely or not at all.

    Tied weights are written once for each name.

    Raises:
        ValueError: the module's state has something that is no tensor.
    """
    held = module.state_dict()
    others = [name for name, item in held.items() if not isinstance(item, Tensor)]
    if others:
        raise ValueError(
            f"a weights file holds tensors, and {others[0]!r} of the module's state is "
            f"{type(held[others[0]]).__name__}: let get_extra_state return a tensor, or keep it in "
            "a buffer"
        )
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in held.items()}
    write_tensors(state, path, {**(metadata or {}), DIGEST: digest(state)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name and the metadata of a weights file.

    Raises:
        ValueError: the file cannot be read or is incomplete, or its tensors are not those that were
            written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"the weights {path} cannot be read ({error})") from error
    written = metadata.get(DIGEST)
    if written is not None and written != (found := digest(tensors)):
        raise ValueError(
            f"the weights {path} are damaged: the digest of their tensors is {found}, and was "
            f"{written} when they were written"
        )
    return tensors, metadata


def weights_metadata(task: Task, *, own_module: bool = False) -> dict[str, str]:
    """The facts of a training that a user of its weights needs, as a weights file's metadata.

    They are the type of the raw inputs, their normalisation or tokenizer, the metric, the names of
    the classes, the objective of a language model, and whether the network is the user's own module
    (`own_module`). Of several inputs the types are the JSON of a list or of a mapping.
    """
    named = isinstance(task.metric, str)
    types = mapped(lambda tensor: str(tensor.dtype).removeprefix("torch."), task.train.inputs)
    metadata = {
        "inputs": types if isinstance(types, str) else json.dumps(types),
        "normalize": json.dumps(task.normalize, default=dict),
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
