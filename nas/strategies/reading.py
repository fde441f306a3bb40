"""How the predictors of a search see whole networks."""

from __future__ import annotations

from predictors.predictor import Predictor
from predictors.prior.attached import Reader, Reading
from predictors.prior.experts import Prior
from predictors.prior.graph_networks import NO_NETWORKS
from predictors.prior.stored import load_prior
from spaces import SearchSpace
from spaces.structure import is_shape


def reader_of(space: SearchSpace, prior: Prior | None = None, *, executed: bool = False) -> Reader:
    """The reader of the networks of this space, which asks the graph networks of the prior too.

    Args:
        space: makes the networks.
        prior: without one only the numbers of networks are read.
        executed: as of `Reader`.
    """
    shapes = space.shapes
    # A network with several inputs states their shapes itself.
    shape = tuple(shapes.input) if is_shape(shapes.input) else None
    network = space.executed_graph if executed else space.network_graph
    heads = NO_NETWORKS if prior is None else prior.heard
    named = f"{space.name} {shapes}"
    return Reader(named, network if space.builds else None, shape, executed, heads)


def reading(predictor: Predictor, space: SearchSpace) -> Predictor:
    """The predictor, with graphs that carry the numbers of their networks if it reads them."""
    if not getattr(predictor, "reads_networks", False):
        return predictor
    prior = load_prior(getattr(predictor, "prior", "none"))
    return Reading(predictor, reader_of(space, prior), executed_reader_of(space))


def executed_reader_of(space: SearchSpace) -> Reader | None:
    """The reader of what is executed, if that differs from what is needed."""
    return None if space.executed is None else reader_of(space, executed=True)
