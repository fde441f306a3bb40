"""Whether an export does what the trained network does: it is loaded in a fresh process that has
neither this project nor the run.
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
from spaces.ops import find

TOLERANCE = 1e-5
BATCHES = (1, 3, 8)

_SCRIPT = Path(__file__).with_name("verify_script.py")
_OURS = ("nas", "spaces", "predictors")
# What a plain PyTorch installation need not have.
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
    """The export could not be made, or does not do what the trained network does; the message says
    why. Nothing was left behind.
    """

    exit_code = 1


@dataclass(frozen=True)
class Cases:
    """Random batches and what the trained network gives for them.

    Attributes:
        inputs: (batch, *input shape), as the network takes them.
        raw: the same before preprocessing; equal to `inputs` where there is none.
        expected: (batch, *output shape).
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
    """Batches of several sizes, always the same ones, and the network's outputs in evaluation mode.

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
            "the network gives outputs that are not finite for random inputs, so no export of it "
            "can be checked; choose another trial"
        )
    return Cases(inputs, raw, expected)


def vocabulary(graph: Graph) -> int | None:
    """How many tokens the network knows, where its inputs are tokens: whole numbers that reach an
    embedding.
    """
    tokens, sizes = {0}, []
    for number, (node, sources) in enumerate(zip(graph.nodes, graph.incoming, strict=True)):
        if tokens.isdisjoint(sources):
            continue
        if node.op == "embedding":
            sizes.append(node["num_embeddings"])
        elif node.op != "output" and not find(node.op).constructed:
            tokens.add(number)
    return min(sizes, default=None)  # type: ignore[type-var]


def verify(format_name: str, folder: Path, batches: Cases) -> float:
    """The largest difference between the export's outputs and the expected ones, relative to the
    largest output where that is greater than 1.

    Raises:
        ExportError: it is greater than the tolerance, or the export cannot be loaded or run.
    """
    blocked = (*_OURS, *(_ALSO_NOT_FOR_A_MODULE if format_name == "module" else ()))
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        given, result = Path(scratch, "cases.pt"), Path(scratch, "result.json")
        torch.save(
            {
                "inputs": list(batches.inputs),
                "raw": list(batches.raw),
                "expected": list(batches.expected),
            },
            given,
        )
        command = [
            sys.executable,
            "-I",
            "-B",
            str(_SCRIPT),
            format_name,
            str(folder.resolve()),
            str(given),
            str(result),
            *blocked,
        ]
        ended = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if ended.returncode or not result.is_file():
            said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise ExportError(
                f"the export does not run by itself, in a process without this project: {said[-1]}"
            )
        differences = json.loads(result.read_text())
    for batch, difference in zip(batches.inputs, differences, strict=True):
        # Not finite counts as different.
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the export's outputs differ from the trained network's by {difference:.3g} for "
                f"a batch of {len(batch)}, more than {TOLERANCE:g}, "
                f"so it was not kept; please report this with the run"
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
    # What is normalised to noise, so that the network sees numbers of the size that it was trained
    # on.
    return noise if preprocessing is None else preprocessing.inverse(noise)
