"""A trial's network is exported: choose, rebuild, write, verify, and then put in place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas.config.stored_run import read_run
from nas.export.card import Card, render, title
from nas.export.destination import appearing, check_free
from nas.export.formats import (
    Format,
    check_format,
    module_source,
    write_module,
    write_onnx,
    write_pt2,
)
from nas.export.generated import generated
from nas.export.preprocessing import classes_of, tokenizer_of
from nas.export.rebuild import Rebuilt, rebuild, run_space
from nas.export.usage import TOKENIZER
from nas.export.verify import Cases, cases, verify
from nas.export.weights import Chosen, choose
from nas.record.shapes import shapes_to_json
from spaces import SearchSpace
from spaces.ops import costs

# Where weights come from, in words.
WEIGHTS = MappingProxyType(
    {
        "final": "a full training",
        "search": "its training in the search",
        "fresh": "fresh, untrained",
    }
)


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        directory: of the export.
        format: of the network's file.
        files: their names, in that directory.
        trial: the number of the exported trial.
        weights: their origin: `final` (a full training), `search` (the trial's training in the
            search) or `fresh`.
        seed: of the training that gave the weights, or of the fresh weights.
        largest_difference: between the outputs of the export and of the trained network, relative
            to the largest output if that is above 1.
        unfinished: whether the run had not ended, so that it may still find a better network.
    """

    directory: Path
    format: Format
    files: tuple[str, ...]
    trial: int
    weights: str
    seed: int
    largest_difference: float
    unfinished: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return {**vars(self), "directory": str(self.directory), "files": list(self.files)}

    def __str__(self) -> str:
        best_yet = " The run has not ended, and may find a better one." if self.unfinished else ""
        return (
            f"trial {self.trial} is in {self.directory} ({', '.join(self.files)}); "
            f"weights: {WEIGHTS[self.weights]}. "
            "Loaded in a process that has not this project, it gives the same outputs "
            f"(largest difference {self.largest_difference:.1g}).{best_yet}"
        )


def export(
    directory: str | Path,
    *,
    trial: int | None = None,
    format: Format = "module",  # noqa: A002
    out: str | Path,
    space: SearchSpace | None = None,
    untrained: bool = False,
) -> Exported:
    """Writes the network of a trial to the new directory `out`.

    The export is verified in a fresh process before the directory appears. An example:

        exported = export("runs/digits", format="onnx", out="exports/digits")

    Args:
        directory: of the run.
        trial: its number. By default it is the search's winner, by the mean validation score of the
            finalists; before there are finalists, it is the best observed trial.
        format: `module` (`model.py` and `model.safetensors`), `pt2` (torch.export) or `onnx`.
        out: must not exist, or be an empty directory.
        space: the run's space, if it is the user's own code. Code that only the run's directory
            names is not imported.
        untrained: exports the fresh weights with which the trial's training began.

    Raises:
        ValueError: the trial, its weights or the space are not available, `out` is not empty, or a
            package is missing.
        nas.record.journal.JournalError: the directory is not a run.
        ExportError: the export's outputs differ from the network's, or it cannot be made in this
            format, or cannot be written.
    """
    directory, out = Path(directory), Path(out)
    check_format(format)
    check_free(out)
    run = read_run(directory)
    chosen = choose(run, trial, untrained=untrained)
    rebuilt = rebuild(chosen, run_space(run, space))
    with appearing(out) as folder:
        batches = cases(
            rebuilt.module, rebuilt.network_graph, rebuilt.shapes.input, rebuilt.preprocessing
        )
        _write(format, folder, chosen, rebuilt, batches)
        difference = verify(format, folder, batches)
        (folder / "architecture.json").write_text(_architecture(chosen, rebuilt), encoding="utf-8")
        if (tokenizer := tokenizer_of(rebuilt.metadata)) is not None:
            (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
        card = Card(
            format=format,
            config=run.config,
            environment=run.environment,
            created=run.created,
            history=run.history,
            chosen=chosen,
            graph=rebuilt.graph,
            shapes=rebuilt.shapes,
            costs=costs(rebuilt.network_graph, rebuilt.shapes.input),
            preprocessing=rebuilt.preprocessing,
            metadata=rebuilt.metadata,
            difference=difference,
        )
        (folder / "README.md").write_text(render(card), encoding="utf-8")
        files = tuple(sorted(path.name for path in folder.iterdir()))
    weights = "fresh" if chosen.weights is None else "search" if chosen.final is None else "final"
    seed = chosen.source.seed if chosen.final is None else chosen.final.seed
    return Exported(
        out,
        format,
        files,
        chosen.trial.number,
        weights,
        seed,
        difference,
        unfinished=run.history.finished is None,
    )


def _write(
    format_name: Format, folder: Path, chosen: Chosen, rebuilt: Rebuilt, batches: Cases
) -> None:
    if format_name == "pt2":
        write_pt2(folder, rebuilt.module, batches.inputs[-1])
    elif format_name == "onnx":
        write_onnx(folder, rebuilt.module, batches.inputs[-1])
    else:
        network = rebuilt.module
        if rebuilt.make is not None:
            graph, shape = rebuilt.network_graph, rebuilt.shapes.input
            network = generated(rebuilt.make, graph, shape, batches.inputs[-1])
        text = module_source(
            rebuilt.network_graph,
            rebuilt.shapes.input,
            preprocessing=rebuilt.preprocessing,
            classes=classes_of(rebuilt.metadata),
            title=title(chosen.source.architecture.space, chosen.trial.number),
        )
        write_module(folder, text, network)


def _architecture(chosen: Chosen, rebuilt: Rebuilt) -> str:
    preprocessing = rebuilt.preprocessing
    described = {
        **json.loads(chosen.source.architecture.to_json()),
        "key": chosen.source.architecture.key,
        "canonical": chosen.source.canonical,
        "shapes": shapes_to_json(rebuilt.shapes),
        "classes": classes_of(rebuilt.metadata),
        "preprocessing": None if preprocessing is None else vars(preprocessing),
        "graph": json.loads(rebuilt.graph.to_json()),
        "network": json.loads(rebuilt.network_graph.to_json()),
    }
    # One line for each key, so that the file can be read, and compared line by line.
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in described.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
