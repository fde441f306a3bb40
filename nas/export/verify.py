"""An export is verified: its outputs must equal the trained network's.

The export is loaded in a fresh process that cannot import this project.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.export.preprocessing import Preprocessing
from spaces.graph import Graph
from spaces.ops.tokens import vocabulary

# The largest difference that is accepted, and the sizes of the batches that are compared.
TOLERANCE = 1e-5
BATCHES = (1, 3, 8)

_SCRIPT = Path(__file__).with_name("verify_script.py")
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
        inputs: (batch, *input shape), preprocessed.
        raw: the same batches before preprocessing; equal to `inputs` without preprocessing.
        expected: the outputs, (batch, *output shape).
    """

    inputs: tuple[Tensor, ...]
    raw: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]


def cases(
    network: nn.Module,
    graph: Graph,
    input_shape: tuple[int, ...],
    preprocessing: Preprocessing | None,
) -> Cases:
    """Random batches of several sizes, and the network's outputs for them in evaluation mode.

    The batches are the same in every call.

    Args:
        network: the trained network.
        graph: of the whole network.
        input_shape: without the batch.
        preprocessing: of raw inputs; None: it is not known.

    Raises:
        ExportError: an output is not finite.
    """
    generator = torch.Generator().manual_seed(0)
    raw = tuple(
        _random_batch((batch, *input_shape), graph, preprocessing, generator) for batch in BATCHES
    )
    inputs = raw if preprocessing is None else tuple(map(preprocessing, raw))
    with torch.no_grad():
        expected = tuple(network.eval()(batch).clone() for batch in inputs)
    if not all(torch.isfinite(outputs).all() for outputs in expected):
        raise ExportError(
            "the network's outputs for random inputs are not finite, so an export of it cannot be "
            "verified; choose another trial"
        )
    return Cases(inputs, raw, expected)


def verify(format_name: str, folder: Path, batches: Cases) -> float:
    """The largest difference between the export's outputs and the expected ones.

    It is relative to the largest expected output of a batch if that is greater than 1.

    Raises:
        ExportError: it is greater than the tolerance, or the export cannot be loaded or run.
    """
    blocked = (*_OURS, *(_ALSO_NOT_FOR_A_MODULE if format_name == "module" else ()))
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        given, result = Path(scratch, "cases.pt"), Path(scratch, "result.json")
        stored = {name: list(tensors) for name, tensors in vars(batches).items()}
        torch.save(stored, given)
        script, *paths = map(str, (_SCRIPT, folder.resolve(), given, result))
        command = [sys.executable, "-I", "-B", script, format_name, *paths, *blocked]
        ended = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
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
                f"a batch of {len(batch)}, more than {TOLERANCE:g}, so it was not kept; please "
                "report this with the run"
            )
    return max(differences)


def _random_batch(
    shape: tuple[int, ...],
    graph: Graph,
    preprocessing: Preprocessing | None,
    generator: torch.Generator,
) -> Tensor:
    tokens = vocabulary(graph)
    if tokens is not None or (preprocessing is not None and preprocessing.inputs == "int64"):
        return torch.randint(tokens or 2, shape, generator=generator)
    if preprocessing is not None and preprocessing.inputs == "uint8":
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    noise = torch.randn(shape, generator=generator)
    # The raw inputs are chosen so that normalised they are standard normal, as in training.
    return noise if preprocessing is None else preprocessing.inverse(noise)
