"""A trial's network is exported: choose, rebuild, write, verify, and then put in place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas.config.stored_run import read_run
from nas.export.behaviour import behaviour
from nas.export.card import Card, render, title
from nas.export.destination import appearing, check_free
from nas.export.digests import digests
from nas.export.formats import (
    Format,
    check_format,
    module_source,
    write_module,
    write_onnx,
    write_pt2,
)
from nas.export.generated import NotEqualError, generated
from nas.export.preprocessing import classes_of, tokenizer_of
from nas.export.rebuild import Rebuilt, rebuild, run_space
from nas.export.sources import CannotTravelError, sources_of
from nas.export.travelling import FOLDER, Travelling, write_sources
from nas.export.usage import TOKENIZER
from nas.export.verify import Cases, ExportError, Origin, cases, verify
from nas.export.weights import Chosen, choose
from nas.record.shapes import shapes_to_json
from nas.seeds import derive
from spaces import Graph, SearchSpace
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
        format: `module` (`model.py` and `model.safetensors`, and the user's source files where no
            file can be generated that behaves as the user's module), `pt2` (torch.export) or
            `onnx`.
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
    own = run_space(run, space)
    rebuilt = rebuild(chosen, own)
    with appearing(out) as folder:
        batches = cases(
            rebuilt.module,
            rebuilt.network_graph,
            rebuilt.shapes.input,
            rebuilt.preprocessing,
            rebuilt.shapes.vocabularies,
        )
        travelling = _write(format, folder, chosen, rebuilt, own, batches)
        found = digests(path for path in folder.glob("model.*") if path.suffix != ".py")
        (folder / "architecture.json").write_text(
            _architecture(chosen, rebuilt, found, travelling), encoding="utf-8"
        )
        difference = _verified(format, folder, rebuilt, batches, travelling)
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
            digests=found,
            outputs=batches.output_shapes,
            travelling=travelling,
        )
        (folder / "README.md").write_text(render(card), encoding="utf-8")
        files = tuple(
            sorted(
                path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
            )
        )
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
    format_name: Format,
    folder: Path,
    chosen: Chosen,
    rebuilt: Rebuilt,
    space: SearchSpace,
    batches: Cases,
) -> Travelling | None:
    """Writes the network's files; the result is the user's source files, if they are among them."""
    if format_name == "pt2":
        write_pt2(folder, rebuilt.module, batches.inputs[-1])
        return None
    if format_name == "onnx":
        write_onnx(folder, rebuilt.module, batches.inputs[-1])
        return None
    network, shape = rebuilt.module, rebuilt.shapes.input
    classes = classes_of(rebuilt.metadata)
    name = title(chosen.source.architecture.space, chosen.trial.number)
    graph = rebuilt.network_graph
    if rebuilt.make is not None:
        try:
            graph = _buildable(space, chosen)
            network = generated(rebuilt.make, graph, shape, batches.inputs[-1])
        except NotEqualError as error:
            travelling = _travelling(space, chosen, rebuilt, str(error))
            write_sources(
                folder,
                network,
                travelling,
                preprocessing=rebuilt.preprocessing,
                input_shape=shape,
                classes=classes,
                title=name,
            )
            return travelling
    text = module_source(
        graph,
        shape,
        preprocessing=rebuilt.preprocessing,
        classes=classes,
        title=name,
    )
    write_module(folder, text, network)
    return None


def _buildable(space: SearchSpace, chosen: Chosen) -> Graph:
    try:
        return space.buildable_graph(chosen.source.architecture)
    except ValueError as error:
        raise NotEqualError(str(error)) from error


def _travelling(space: SearchSpace, chosen: Chosen, rebuilt: Rebuilt, reason: str) -> Travelling:
    try:
        sources = sources_of(space, rebuilt.module)
    except CannotTravelError as error:
        raise ExportError(
            f"no Python file can be generated for this network ({reason}), and your source files "
            f"cannot travel instead: {error}; or export the module itself, with --format pt2 or "
            "--format onnx"
        ) from error
    return Travelling(sources, reason, derive(chosen.source.seed, "weights"))


def _verified(
    format_name: Format,
    folder: Path,
    rebuilt: Rebuilt,
    batches: Cases,
    travelling: Travelling | None,
) -> float:
    """The largest difference of the export's outputs, which was found in a fresh process."""
    if travelling is None or rebuilt.make is None:
        return verify(format_name, folder, batches)
    expected = behaviour(rebuilt.make(), batches.inputs[-1])
    try:
        origin = Origin(expected, travelling.sources.folders)
        return verify(format_name, folder, batches, origin)
    except ExportError as error:
        raise ExportError(
            f"{error}. These files are your own ({FOLDER}/), and must make the same network "
            "anywhere; or export the module itself, with --format pt2 or --format onnx"
        ) from error


def _architecture(
    chosen: Chosen, rebuilt: Rebuilt, found: dict[str, str], travelling: Travelling | None
) -> str:
    preprocessing = rebuilt.preprocessing
    described = {
        **json.loads(chosen.source.architecture.to_json()),
        "key": chosen.source.architecture.key,
        "canonical": chosen.source.canonical,
        "shapes": shapes_to_json(rebuilt.shapes),
        "digests": found,
        **({} if travelling is None else {"program": travelling.to_dict()}),
        "classes": classes_of(rebuilt.metadata),
        "preprocessing": None if preprocessing is None else preprocessing.to_json(),
        "graph": json.loads(rebuilt.graph.to_json()),
        "network": json.loads(rebuilt.network_graph.to_json()),
    }
    # One line for each key, so that the file can be read, and compared line by line.
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in described.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
