"""An export is verified: its outputs must equal the trained network's.

The export is loaded in a fresh process that cannot import this project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.export.calling import tensors_by_name
from nas.export.preprocessing import Preprocessing, SeveralPreprocessing
from spaces.graph import Graph
from spaces.ops.tokens import vocabulary
from spaces.structure import call, is_shape, leaves, mapped, plain

# The largest difference that is accepted, and the sizes of the batches that are compared.
TOLERANCE = 1e-5
BATCHES = (1, 3, 8)

_SCRIPT = Path(__file__).with_name("verify_script.py")
# The variables that the fresh process gets. A network must not depend on the user's others.
_ENVIRONMENT = (
    *("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
)
_OURS = ("nas", "spaces", "predictors")
# Packages that a plain PyTorch installation may lack.
_ALSO_NOT_FOR_A_MODULE = (
    "safetensors",
    "torch_geometric",
    "networkx",
    "sklearn",
    "scipy",
    "pydantic",
    "typer",
    "yaml",
)


class ExportError(Exception):
    """The export could not be made, or its outputs differ from the trained network's.

    The message gives the reason. No files are left behind.
    """

    exit_code = 1


@dataclass(frozen=True)
class Cases:
    """Random batches and the outputs of the trained network.

    Attributes:
        inputs: (batch, *input shape), preprocessed; several in a tuple or dictionary.
        raw: the same batches before preprocessing; equal to `inputs` without preprocessing.
        expected: the outputs, (batch, *output shape); several in tuples, lists and dictionaries.
    """

    inputs: tuple[Any, ...]
    raw: tuple[Any, ...]
    expected: tuple[Any, ...]

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output, without the batch, by name."""
        named = tensors_by_name(self.expected[-1])
        return {name: tuple(tensor.shape[1:]) for name, tensor in named.items()}


@dataclass(frozen=True)
class Origin:
    """What source files that travel must be like, wherever they are.

    Attributes:
        behaviour: of the trained network for the last batch (see `nas.export.behaviour`).
        folders: which the files come from. Nothing there may be read, since it does not travel.
    """

    behaviour: Mapping[str, Tensor]
    folders: tuple[Path, ...]


def cases(
    network: nn.Module,
    graph: Graph,
    input_shape: Any,
    preprocessing: Preprocessing | SeveralPreprocessing | None,
    vocabularies: Any = None,
) -> Cases:
    """Random batches of several sizes, and the network's outputs for them in evaluation mode.

    The batches are the same in every call.

    Args:
        network: the trained network.
        graph: of the whole network.
        input_shape: without the batch; several in a tuple or mapping.
        preprocessing: of raw inputs; None: it is not known.
        vocabularies: of several inputs, as `spaces.Shapes.vocabularies` gives them.

    Raises:
        ExportError: an output is not finite.
    """
    generator = torch.Generator().manual_seed(0)
    if is_shape(input_shape):
        vocabularies = vocabulary(graph)
    parts = preprocessing.parts if isinstance(preprocessing, SeveralPreprocessing) else None
    if parts is None:
        parts = mapped(lambda shape: preprocessing, input_shape, leaf=is_shape)

    def drawn(batch: int) -> Any:
        def tensor(shape: tuple[int, ...], tokens: int | None, part: Any) -> Tensor:
            return _random_batch((batch, *shape), tokens, part, generator)

        return plain(mapped(tensor, input_shape, vocabularies, parts, leaf=is_shape))

    raw = tuple(drawn(batch) for batch in BATCHES)
    inputs = raw if preprocessing is None else tuple(map(preprocessing, raw))
    with torch.no_grad():
        network.eval()
        expected = tuple(mapped(_copied, plain(call(network, batch))) for batch in inputs)
    tensors = [tensor for outputs in expected for tensor in tensors_by_name(outputs).values()]
    if not tensors:
        raise ExportError(
            "the network returns no tensor in evaluation, so there is nothing to export"
        )
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise ExportError(
            "the network's outputs for random inputs are not finite, so an export of it cannot be "
            "verified; choose another trial"
        )
    return Cases(inputs, raw, expected)


def verify(
    format_name: str,
    folder: Path,
    batches: Cases,
    origin: Origin | None = None,
) -> float:
    """The largest difference between the export's outputs and the expected ones.

    It is relative to the largest expected output of a batch if that is greater than 1.

    Args:
        format_name: of the network's file.
        folder: of the export. The digests in its `architecture.json` are compared with its files.
        batches: with the expected outputs.
        origin: of the user's own source files, if the export consists of them. These may need any
            installed packages; a generated `model.py` needs torch alone.

    Raises:
        ExportError: it is greater than the tolerance, or the export cannot be loaded or run, or
            behaves differently.
    """
    alone = format_name == "module" and origin is None
    blocked = (*_OURS, *(_ALSO_NOT_FOR_A_MODULE if alone else ()))
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        given, result = Path(scratch, "cases.pt"), Path(scratch, "result.json")
        stored: dict[str, Any] = {name: list(values) for name, values in vars(batches).items()}
        if origin is not None:
            stored["behaviour"] = dict(origin.behaviour)
            stored["folders"] = [str(path) for path in origin.folders]
        torch.save({**stored, "tolerance": TOLERANCE}, given)
        script, *paths = map(str, (_SCRIPT, folder.resolve(), given, result))
        command = [sys.executable, "-I", "-B", script, format_name, *paths, *blocked]
        ended = subprocess.run(
            command,
            cwd=scratch,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode or not result.is_file():
            said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise ExportError(
                f"the export does not run by itself, in a process without this project: {said[-1]}"
            )
        differences = json.loads(result.read_text())
    for batch, difference in zip(batches.inputs, differences, strict=True):
        # Written so that a difference of NaN also fails.
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the export's outputs differ from the trained network's by {difference:.3g} for "
                f"a batch of {len(leaves(batch)[0])}, more than {TOLERANCE:g}, so it was not kept; "
                "please report this with the run"
            )
    return max(differences)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _random_batch(
    shape: tuple[int, ...],
    tokens: int | None,
    preprocessing: Preprocessing | None,
    generator: torch.Generator,
) -> Tensor:
    if tokens is not None or (preprocessing is not None and preprocessing.inputs == "int64"):
        return torch.randint(tokens or 2, shape, generator=generator)
    if preprocessing is not None and preprocessing.inputs == "uint8":
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    noise = torch.randn(shape, generator=generator)
    # The raw inputs are chosen so that normalised they are standard normal, as in training.
    return noise if preprocessing is None else preprocessing.inverse(noise)
