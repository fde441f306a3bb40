"""The network of a trial is rebuilt from its architecture and its stored weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.config.stored_run import StoredRun
from nas.evaluators.weights import OWN, TRAINED
from nas.export.preprocessing import Preprocessing, SeveralPreprocessing, preprocessing_of
from nas.export.weights import Chosen, load_weights, read_stored
from nas.record.shapes import with_shapes
from nas.record.trust import refuse_foreign_code
from nas.record.unchanged import check_unchanged
from nas.seeds import derive
from spaces import Graph, SearchSpace, Shapes
from spaces.load import load_space

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Rebuilt:
    """The network of a trial with its weights, and what describes it.

    Attributes:
        module: the network with its weights: the user's own module, if the space's program returns
            one, else that generated from the graph.
        make: another instance of the user's module with the same weights; None if `module` is
            generated from the graph.
        graph: of the architecture, as the space gives it.
        network_graph: of the whole network.
        shapes: of the network's input and output.
        preprocessing: None if the weights file does not give it.
        metadata: of the weights file; empty for fresh weights.
    """

    module: nn.Module
    make: Callable[[], nn.Module] | None
    graph: Graph
    network_graph: Graph
    shapes: Shapes
    preprocessing: Preprocessing | SeveralPreprocessing | None
    metadata: dict[str, str]


def run_space(run: StoredRun, given: SearchSpace | None) -> SearchSpace:
    """The space of a run, for the shapes of the run's task.

    Args:
        run: as its directory keeps it.
        given: the space, if the caller names it; else the configuration names a built-in or
            installed one.

    Raises:
        ValueError: the configuration names the user's own code and the caller does not, or the
            journal does not give the shapes.
    """
    config, directory = run.config, run.directory
    if given is None:
        refuse_foreign_code(
            [config.space],
            own=False,
            claim=f"the run {directory} says that its space is",
            kind="run",
            remedy=f"name it yourself, with --space {config.space}",
        )
    space = load_space(config.space) if given is None else given
    shapes = run.environment.get("shapes")
    if shapes is None and config.task is not None:
        raise ValueError(
            f"the journal of {directory} does not say the shapes of its task's data; it was "
            "written by a version that did not record them"
        )
    return with_shapes(space, shapes, f"the journal of {directory}")


def rebuild(chosen: Chosen, space: SearchSpace) -> Rebuilt:
    """The network of the chosen trial, with the chosen weights or with fresh ones.

    Fresh weights are those with which the trial's training began.

    Raises:
        ValueError: the space has changed since the run, or the weights cannot be read or do not
            fit the network.
    """
    from torch import device

    from nas.training.devices import own_randomness
    from spaces.build import build

    architecture = chosen.source.architecture
    check_unchanged(space, chosen.source)
    graph = space.graph(architecture)
    network_graph = space.network_graph(graph)
    state: dict[str, Tensor] | None = None
    metadata: dict[str, str] = {}
    preprocessing = None
    if chosen.weights is not None:
        state, metadata = read_stored(chosen.weights)
        preprocessing = preprocessing_of(metadata)
    own = space.makes_modules(architecture)
    if state is not None:
        # Earlier versions trained the generated class, and do not say whose weights they wrote.
        own = own and metadata.get(TRAINED) == OWN

    def make() -> nn.Module:
        with own_randomness(derive(chosen.source.seed, "weights"), device("cpu")):
            if own or state is None:
                module = space.build(architecture)
            else:
                module = build(space.buildable_graph(architecture), space.shapes.input)
        if state is not None and chosen.weights is not None:
            load_weights(module, state, chosen.weights)
        return module

    return Rebuilt(
        module=make(),
        make=make if own else None,
        graph=graph,
        network_graph=network_graph,
        shapes=space.shapes,
        preprocessing=preprocessing,
        metadata=metadata,
    )
