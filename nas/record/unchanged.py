"""Whether a space still gives the networks that a run has recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from nas.record.trials import Trial
from spaces import Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.details import without_details


def check_unchanged(space: SearchSpace, trial: Trial) -> None:
    """Refuses a space whose program has changed since the trial was proposed.

    The trial's scores and weights would belong to another network.

    Raises:
        ValueError: the trial's decisions do not give the network that the journal recorded.
    """
    advice = (
        f"put the space {space.name!r} back as it was when the run was made, or begin a new run"
    )
    try:
        graph = space.graph(trial.architecture)
    except ValueError as error:
        raise ValueError(
            f"trial {trial.number} cannot be replayed, so the space has changed since: {error}; "
            f"{advice}"
        ) from error
    if trial.canonical not in _keys(space, trial, graph):
        raise ValueError(
            f"the space has changed since the run: trial {trial.number} is another network now "
            f"than the one that was trained; {advice}"
        )


def _keys(space: SearchSpace, trial: Trial, graph: Graph) -> Iterator[str]:
    """The keys that this version and earlier ones give the network."""
    yield canonical_key(graph)
    if space.makes_modules(trial.architecture):
        # Earlier versions did not know a module's identity, and traced networks of any size.
        yield canonical_key(without_details(graph))
        with suppress(ValueError):
            yield canonical_key(space.buildable_graph(trial.architecture))
