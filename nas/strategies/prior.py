"""The beginning of a search that knows something: the first architectures, chosen by the prior.

Shapes: M candidates, R numbers in the row of a network (see `predictors.prior.experts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy

from nas.record.history import History
from nas.record.scorecard import rank_correlation
from nas.record.trials import Proposal, Trial
from nas.seeds import generator
from nas.strategies.reading import reader_of
from nas.strategies.strategy import Asked, random_proposals
from predictors.predictor import Predictor
from predictors.prior.stored import load_prior
from predictors.prior.unlabelled import Unlabelled, unlabelled
from spaces import Graph, SearchSpace
from spaces.operators import NothingDrawn, sample_graph

# So many random architectures set the units of the prior's opinions.
REFERENCES = 256
# The first design is the prior's only if it expects to rank the space at least so well.
LEAST_TRUST = 0.3
# The design is chosen from the prior's best of so many random candidates for each of its
# architectures, and among so many of these best.
DRAWN, BEST = 128, 8


def known_before(space: SearchSpace, predictor: Predictor, seed: int) -> Unlabelled | None:
    """What the predictor's prior says of the space; None if it says nothing."""
    name = getattr(predictor, "prior", "none")
    return None if name == "none" else _known(space, name, seed)


@lru_cache(maxsize=16)
def _known(space: SearchSpace, prior: str, seed: int) -> Unlabelled | None:
    experts = load_prior(prior)
    reader = reader_of(space, experts)
    if reader.network is None:
        return None
    return unlabelled(experts, reader, references(space, seed))


def references(space: SearchSpace, seed: int) -> list[Graph]:
    """The random architectures that set the units of the prior's opinions.

    There are fewer than `REFERENCES` if no more can be drawn.
    """
    random, drawn = generator(seed, "prior"), list[Graph]()
    while len(drawn) < REFERENCES:
        try:
            drawn.append(sample_graph(space, random)[1])
        except NothingDrawn:
            break
    return drawn


def initial_design(
    space: SearchSpace, history: History, predictor: Predictor | None, count: int, seed: int
) -> Asked:
    """The first architectures of a search, with a sentence on who chose them.

    They are random if there is no predictor, or its prior does not expect to rank the space.
    """
    known = None if predictor is None else known_before(space, predictor, seed)
    if known is None or known.trust < LEAST_TRUST:
        return Asked(random_proposals(space, history, count, seed), "initial design: random")
    return Asked(
        first_design(space, history, count, seed, known),
        "initial design: by the prior, which expects to rank this space with a correlation of "
        f"{known.trust:.2f}",
    )


def first_design(
    space: SearchSpace, history: History, count: int, seed: int, known: Unlabelled
) -> tuple[Proposal, ...]:
    """Up to `count` architectures that the prior thinks good, and that differ from each other."""
    drawn = random_proposals(space, history, DRAWN * count, seed)
    graphs = [space.graph(proposal.architecture) for proposal in drawn]
    opinion_M = known.predict(graphs).mean
    best = numpy.argsort(-opinion_M, kind="stable")[: BEST * count]
    row_MR = known.reader.rows([graphs[place] for place in best])
    tried = [space.graph(trial.architecture) for trial in history.trials]
    tried_NR = known.reader.rows(tried) if tried else None
    assert row_MR is not None
    chosen = far_apart(row_MR, tried_NR, count)
    return tuple(replace(drawn[int(best[place])], origin="prior") for place in chosen)


def how_right(
    space: SearchSpace, predictor: Predictor, observed: Sequence[Trial], seed: int
) -> str:
    """How well the prior ranked these trials, as a sentence; empty if it had no opinion."""
    known = known_before(space, predictor, seed)
    if known is None or known.trust < LEAST_TRUST:
        return ""
    opinion_N = known.predict([space.graph(trial.architecture) for trial in observed]).mean
    found = rank_correlation(opinion_N, numpy.array([trial.score for trial in observed]))
    if found is None:
        return ""
    return (
        f"the prior ranked the first {len(observed)} scores with a correlation of {found:.2f}; "
        f"of all architectures it expected {known.trust:.2f}"
    )


def far_apart(row_MR: numpy.ndarray, tried_NR: numpy.ndarray | None, count: int) -> list[int]:
    """Rows, each the farthest from those before it and from those that were tried.

    The first row comes first if nothing was tried. Distances are in standard deviations.
    """
    read_M = numpy.isfinite(row_MR).all(1)
    scale_R = row_MR[read_M].std(0) if read_M.any() else numpy.zeros(row_MR.shape[1])
    factor_R = numpy.where(scale_R > 1e-9, 1 / numpy.where(scale_R > 1e-9, scale_R, 1), 0)
    place_MR = numpy.nan_to_num(row_MR * factor_R)
    nearest_M = numpy.full(len(place_MR), numpy.inf)
    for tried_R in () if tried_NR is None else numpy.nan_to_num(tried_NR * factor_R):
        nearest_M = numpy.minimum(nearest_M, ((place_MR - tried_R) ** 2).sum(1))
    chosen: list[int] = []
    while len(chosen) < min(count, len(place_MR)):
        place = int(numpy.argmax(nearest_M))
        chosen.append(place)
        nearest_M = numpy.minimum(nearest_M, ((place_MR - place_MR[place]) ** 2).sum(1))
        nearest_M[chosen] = -1.0
    return chosen
