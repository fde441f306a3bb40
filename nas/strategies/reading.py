"""How the predictors of a search see whole networks."""

from __future__ import annotations

from predictors.predictor import Predictor
from predictors.prior.attached import Reader, Reading
from spaces import SearchSpace
from spaces.structure import is_shape


def reader_of(space: SearchSpace, *, executed: bool = False) -> Reader:
    """The reader of the networks of this space; `executed` as of `Reader`."""
    shapes = space.shapes
    # A network with several inputs states their shapes itself.
    shape = tuple(shapes.input) if is_shape(shapes.input) else None
    network = space.executed_graph if executed else space.network_graph
    return Reader(f"{space.name} {shapes}", network if space.builds else None, shape, executed)


def reading(predictor: Predictor, space: SearchSpace) -> Predictor:
    """The predictor, with graphs that carry the numbers of their networks if it reads them."""
    if not getattr(predictor, "reads_networks", False):
        return predictor
    return Reading(predictor, reader_of(space), executed_reader_of(space))


def executed_reader_of(space: SearchSpace) -> Reader | None:
    """The reader of what is executed, if that differs from what is needed."""
    return None if space.executed is None else reader_of(space, executed=True)
