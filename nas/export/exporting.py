"""One call from a run to files that work without this project: choose a trial, rebuild its network,
write, verify, and only then put in place.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config.config import RunConfig, parse_config
from nas.config.shapes import shapes_to_json
from nas.export.card import Card, render, title
from nas.export.formats import (
    Format,
    check_format,
    module_source,
    write_module,
    write_onnx,
    write_pt2,
)
from nas.export.preprocessing import Preprocessing, classes_of, preprocessing_of, tokenizer_of
from nas.export.usage import TOKENIZER
from nas.export.verify import Cases, ExportError, cases, verify
from nas.export.weights import Chosen, choose, load_weights, read_weights
from nas.prediction.labels import with_shapes
from nas.record.history import fold
from nas.record.journal import open_for_reading
from nas.search.run import check_unchanged
from nas.seeds import derive
from spaces import Graph, SearchSpace, Shapes
from spaces.load import load_space
from spaces.ops import costs

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        directory: where it is.
        files: their names, in that directory.
        trial: the number of the exported trial.
        weights: where they come from: `final` (a full training), `search` (the trial's own) or
            `fresh`.
        seed: of the training that gave the weights; of the fresh weights otherwise.
        largest_difference: between the export's outputs and the trained network's, relative to the
            largest output where that is above 1.
        unfinished: the run had not ended, so a better network may be found yet.
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
        """The same as JSON values."""
        return {**vars(self), "directory": str(self.directory), "files": list(self.files)}

    def __str__(self) -> str:
        weights = {
            "final": "a full training",
            "search": "its training in the search",
            "fresh": "fresh, untrained",
        }[self.weights]
        best_yet = " The run has not ended, and may find a better one." if self.unfinished else ""
        return (
            f"trial {self.trial} is in {self.directory} ({', '.join(self.files)}); weights: "
            f"{weights}. "
            "Loaded in a process that has not this project, it gives the same outputs (largest "
            f"difference {self.largest_difference:.1g}).{best_yet}"
        )


@dataclass(frozen=True)
class _Rebuilt:
    """The network of a trial with its weights, and all that describes it. `graph` is the space's,
    `network_graph` the whole network's.
    """

    module: nn.Module
    graph: Graph
    network_graph: Graph
    shapes: Shapes
    preprocessing: Preprocessing | None
    metadata: dict[str, str]


def export(
    directory: str | Path,
    *,
    trial: int | None = None,
    format: Format = "module",  # noqa: A002
    out: str | Path,
    space: SearchSpace | None = None,
    untrained: bool = False,
) -> Exported:
    """Writes the network of a trial to the new directory `out`, and checks it in a process of its
    own before it appears there.

    Args:
        directory: the run's.
        trial: by default the search's winner by the finalists' mean validation score, or else the
            best observed.
        format: `module` (`model.py` and `model.safetensors`), `pt2` (torch.export) or `onnx`.
        out: must not exist, or be empty.
        space: the run's space once more, where it is the user's own code: nothing is imported
            because a run directory says so.
        untrained: fresh weights, as the trial's training began with.

    Raises:
        ValueError: the trial, its weights or the space cannot be had, `out` is taken, or a package
            is missing.
        nas.record.journal.JournalError: the directory is no run.
        ExportError: the export does not do what the network does, cannot be made in this format, or
            cannot be written.
    """
    directory, out = Path(directory), Path(out)
    check_format(format)
    check_free(out)
    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        environment, created, history = journal.environment, journal.created, fold(journal.events())
    chosen = choose(directory, config, history, trial, untrained=untrained)
    rebuilt = _rebuild(chosen, run_space(config, environment, space, directory))
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
            config=config,
            environment=environment,
            created=created,
            history=history,
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
        unfinished=history.finished is None,
    )


def run_space(
    config: RunConfig, environment: dict[str, Any], given: SearchSpace | None, directory: Path
) -> SearchSpace:
    """The space of a run, for the shapes that it had: the one given, or where it is no code the one
    that the configuration names.

    Raises:
        ValueError: it is code, and nobody has named it.
    """
    if given is None and ":" in config.space:
        raise ValueError(
            f"the run {directory} says that its space is the code {config.space}, and code is "
            "not run because a run says so: "
            f"name it yourself, with --space {config.space}"
        )
    space = load_space(config.space) if given is None else given
    shapes = environment.get("shapes")
    if shapes is None:
        if config.task is not None:
            raise ValueError(
                f"the journal of {directory} does not say the shapes of its task's data; it was "
                "made by a version that kept none"
            )
        return space
    return with_shapes(space, shapes, f"the journal of {directory}")


def _rebuild(chosen: Chosen, space: SearchSpace) -> _Rebuilt:
    from torch import device

    from nas.training.loop import own_randomness
    from spaces.build import build

    architecture = chosen.source.architecture
    check_unchanged(space, chosen.source)
    graph = space.graph(architecture)
    network_graph = space.network_graph(graph)
    if chosen.weights is None:
        with own_randomness(derive(chosen.source.seed, "weights"), device("cpu")):
            return _Rebuilt(space.build(architecture), graph, network_graph, space.shapes, None, {})
    state, metadata = read_weights(chosen.weights)
    module = build(network_graph, space.shapes.input)
    load_weights(module, state, chosen.weights)
    return _Rebuilt(
        module, graph, network_graph, space.shapes, preprocessing_of(metadata), metadata
    )


def _write(
    format_name: Format, folder: Path, chosen: Chosen, rebuilt: _Rebuilt, batches: Cases
) -> None:
    if format_name == "pt2":
        write_pt2(folder, rebuilt.module, batches.inputs[-1])
    elif format_name == "onnx":
        write_onnx(folder, rebuilt.module, batches.inputs[-1])
    else:
        text = module_source(
            rebuilt.network_graph,
            rebuilt.shapes.input,
            preprocessing=rebuilt.preprocessing,
            classes=classes_of(rebuilt.metadata),
            title=title(chosen.source.architecture.space, chosen.trial.number),
        )
        write_module(folder, text, rebuilt.module)


def _architecture(chosen: Chosen, rebuilt: _Rebuilt) -> str:
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
    # One key a line: short enough to look at, long enough to compare.
    return (
        "{\n"
        + ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in described.items()
        )
        + "\n}\n"
    )


def check_free(out: Path) -> None:
    """Nothing, if an export may be written there.

    Raises:
        ValueError: something is there already.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(
            f"{out} is a file; an export is a directory, so name another place with --out"
        )
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out} is not empty, and an export overwrites nothing; name another directory with "
            "--out, or remove this one"
        )


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A directory beside `out` that takes its place at the end, or vanishes where an error comes."""
    folder = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.unfinished")
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(
                f"the disk is full: {out} could not be written; free space and export again"
            ) from error
        raise ExportError(
            f"{out} could not be written ({error}); name another place with --out"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
