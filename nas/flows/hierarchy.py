"""The flow from coarse to fine: a level searches between the best of the levels before it.

It is that of FlexiBERT (Tuli et al., JAIR 2023).

    level-0     A search over the first space, whose architectures have few decisions.
    level-1     A search in the next space among the interpolants of pairs: pairs of the best
                architectures so far, and pairs of each of these with its nearest neighbours.
    level-2     The same in the space after that, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

from nas.evaluators.evaluator import Evaluator
from nas.executors import Executor
from nas.flows.flows import Flow
from nas.flows.loop import Evaluate, Level, begin
from nas.record.history import History
from nas.record.trials import Proposal, Trial
from nas.seeds import derive
from nas.strategies.strategy import key_of
from spaces import Architecture, SearchSpace
from spaces.operators import between_any

Carry = Callable[[Architecture, SearchSpace], Architecture]


@dataclass(frozen=True)
class Refinement:
    """The part of a finer space that the next level searches.

    Attributes:
        whole: the finer space.
        pairs: pairs of its architectures, whose interpolants are searched.
    """

    whole: SearchSpace
    pairs: tuple[tuple[Architecture, Architecture], ...]

    @cached_property
    def space(self) -> SearchSpace:
        """The space of the interpolants; `enumerate_all` lists them and `size` counts them."""
        return between_any(self.whole, self.pairs)

    @cached_property
    def parents(self) -> tuple[Architecture, ...]:
        """All members of the pairs, each once."""
        return tuple(dict.fromkeys(member for pair in self.pairs for member in pair))


def refinement(
    history: History, space: SearchSpace, carry: Carry, *, top: int = 5, nearest: int = 5
) -> Refinement:
    """The pairs of the `top` best architectures, and of each of these with its `nearest` others.

    All of them have been evaluated. The distance of two architectures is the number of decisions of
    the finer space in which they differ; a decision that only one of them makes counts too. At
    equal distance the higher score comes first. In the paper the nearest are those with the nearest
    embeddings, evaluated or not.

    Args:
        history: the evaluations so far.
        space: the finer space.
        carry: see `hierarchical`.
        top, nearest: numbers of architectures.

    Raises:
        ValueError: no evaluation has succeeded.
    """
    best: dict[str, Trial] = {}
    for trial in history.ranked:
        best.setdefault(trial.canonical, trial)
    carried = list(dict.fromkeys(carry(trial.architecture, space) for trial in best.values()))
    if not carried:
        raise ValueError(
            "nothing was evaluated with success, so nothing lies between: the space "
            f"{space.name!r} cannot be refined"
        )
    chosen = carried[:top]
    pairs: dict[frozenset[Architecture], tuple[Architecture, Architecture]] = {
        frozenset(pair): pair for pair in combinations(chosen, 2)
    }
    for one in chosen:
        others = [other for other in carried if other != one]
        near = sorted(others, key=lambda other: _distance(one, other))
        for other in near[:nearest]:
            pairs.setdefault(frozenset((one, other)), (one, other))
    return Refinement(space, tuple(pairs.values()) or ((chosen[0], chosen[0]),))


def hierarchical(
    spaces: Sequence[SearchSpace],
    evaluate: Evaluate | Evaluator | Executor,
    *,
    carry: Carry,
    levels: Sequence[Level],
    top: int = 5,
    nearest: int = 5,
    seed: int = 0,
    directory: str | Path | None = None,
) -> Flow:
    """A search over the first space, then in each finer space one between the best so far.

    Every level but the first begins with the parents of its interpolants. Their scores are known,
    so they use nothing of its budget. The evaluator receives only architectures of the last space,
    `carry(architecture, spaces[-1])`.

    Args:
        spaces: from coarse to fine.
        evaluate, seed, directory: as in `joint`.
        carry: gives the architecture of a finer space that is the same network, such as
            `spaces.flexibert.refined`. For the architecture's own space it gives the architecture
            itself.
        levels: one for each space.
        top, nearest: see `refinement`.

    Raises:
        ValueError: as in `joint`; or there are not as many levels as spaces, at least one, or `top`
            is below 1 or `nearest` below 0.
    """
    if not spaces or len(spaces) != len(levels) or top < 1 or nearest < 0:
        raise ValueError(
            "a hierarchical search needs a level for each of its spaces, at least one, top >= 1 "
            f"and nearest >= 0; got {len(spaces)} spaces and {len(levels)} levels, top {top} and "
            f"nearest {nearest}"
        )
    settings = {
        "spaces": [space.name for space in spaces],
        "carry": getattr(carry, "__qualname__", type(carry).__qualname__),
        "levels": levels,
        "top": top,
        "nearest": nearest,
        "seed": seed,
    }
    arms = {f"level-{number}": space for number, space in enumerate(spaces)}
    with begin("hierarchical", spaces[-1], evaluate, directory, settings, arms) as loop:

        def evaluated(trials: Sequence[Trial]) -> None:
            loop.evaluate(trials, lambda architecture: carry(architecture, spaces[-1]))

        for number, ((arm, space), level) in enumerate(zip(arms.items(), levels, strict=True)):
            own_seed = derive(seed, "flow level", number)
            if number:
                # Only the levels before count, even if a journal already has trials of this one.
                before = _up_to(loop.history, list(arms)[:number])
                if not before.observed:
                    break
                found = refinement(before, space, carry, top=top, nearest=nearest)
                if len(found.parents) == 1:
                    continue  # One architecture has no interpolants.
                parents = _distinct(found)
                if not loop.history.of_arm(arm).rounds:
                    note = f"the parents of what lies between {len(found.pairs)} pairs"
                    loop.propose(arm, parents, note)
                space, level = found.space, replace(level, budget=level.budget + len(parents))
            loop.search(arm, space, level, own_seed, evaluated)
        return Flow(loop.finished())


def _distance(one: Architecture, other: Architecture) -> int:
    """The number of decisions in which they differ, or that only one of them makes."""
    first, second = one.answers, other.answers
    shared = sum(first[path] != second[path] for path in first if path in second)
    return shared + len(first.keys() ^ second.keys())


def _up_to(history: History, arms: Sequence[str]) -> History:
    return History(tuple(trial for trial in history.trials if trial.arm in arms))


def _distinct(found: Refinement) -> tuple[Proposal, ...]:
    """The parents as proposals, one for each network."""
    by_key: dict[str, Architecture] = {}
    for parent in found.parents:
        by_key.setdefault(key_of(found.whole, parent), parent)
    return tuple(
        Proposal(architecture, "carried", None, key) for key, architecture in by_key.items()
    )
