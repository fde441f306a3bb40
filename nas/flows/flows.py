"""The flows over two parts of the decisions: joint, separate and nested.

They are those of PyGlove (Peng et al. 2020, section 3.3).

    joint       One search over all decisions.
    separate    A search over the first part, with the second held as in a reference; then a search
                over the second part, with the first held at its best.
    nested      An outer search over the first part. Each first part that it proposes is scored by
                an inner search over the second part: the best score found is its score.

Each level is a `Strategy` with a budget, and an arm of one history: `joint`; `first`, `second`;
`outer`, `inner-0`, `inner-5`, ... The next step depends on the history alone, so a flow with a
directory continues from its journal, as a run does. A network is evaluated once, even if several
levels propose it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nas.evaluators.evaluator import Evaluator, Failed, Observation
from nas.executors import Executor
from nas.flows.loop import OUTER, Evaluate, Level, begin
from nas.flows.parts import Paths, belonging, listed, outer_space, part
from nas.record.events import outcome_event
from nas.record.history import History
from nas.record.trials import Trial
from nas.seeds import derive, generator
from spaces import Architecture, SearchSpace
from spaces.operators import fix, sample

JOINT, FIRST, SECOND = "joint", "first", "second"


@dataclass(frozen=True)
class Flow:
    """The result of a flow.

    Attributes:
        history: every trial. The levels are arms (`history.of_arm("outer")`). The score of an outer
            trial is the best of its inner search, and its metric `trial` is the number of that
            best trial. Only the first part of an outer trial's architecture has a meaning.
    """

    history: History

    @cached_property
    def best(self) -> Trial:
        """The evaluated trial with the highest score in all levels."""
        best = History(tuple(trial for trial in self.history.trials if trial.arm != OUTER)).best
        assert best is not None, "a flow without a score raises"
        return best

    @cached_property
    def evaluations(self) -> int:
        """The number of different networks that were evaluated.

        There are fewer of them than trials if two levels proposed the same network.
        """
        trials = (trial for trial in self.history.trials if trial.arm != OUTER)
        return len({trial.canonical for trial in trials if trial.outcome is not None})


def joint(
    space: SearchSpace,
    evaluate: Evaluate | Evaluator | Executor,
    *,
    level: Level,
    seed: int = 0,
    directory: str | Path | None = None,
) -> Flow:
    """One search over all decisions, the baseline of the other flows.

    Args:
        space: the space to search.
        evaluate: a function that gives the score of an architecture; or an `Evaluator`, or an
            `Executor` that runs one in workers (`nas.config.workers.Workers.executor`).
        level: the strategy and its budget.
        seed: of all random draws.
        directory: where the journal is kept. The same call continues from it, or returns the
            finished flow at once. None: nothing is written.

    Raises:
        ValueError: the directory holds another flow, or one whose space has changed since.
        nas.record.journal.JournalError: the directory cannot be used.
        nas.search.loop.RunFailed: no evaluation succeeded, or the disk is full.
    """
    with begin(JOINT, space, evaluate, directory, {"levels": [level], "seed": seed}) as loop:
        loop.search(JOINT, space, level, seed)
        return Flow(loop.finished())


def separate(
    space: SearchSpace,
    evaluate: Evaluate | Evaluator | Executor,
    *,
    first: Paths,
    levels: tuple[Level, Level],
    seed: int = 0,
    directory: str | Path | None = None,
    reference: Architecture | None = None,
) -> Flow:
    """A search over the first part of the decisions, then a search over the second part.

    In the first search the second part is held as in a reference. In the second search the first
    part is held at the best that was found.

    In a conditional space the reference answers only the questions that come with its own first
    part. Other questions of the second part stay free in the first search. A first part that is
    incompatible with the reference's answers is rejected; if an answer is not among the possible
    ones, that is an error.

    Args:
        space, evaluate, seed, directory: as in `joint`.
        first: the decisions of the first part: the beginning of their paths, the paths themselves,
            or a function that says whether a path belongs to it.
        levels: of the first and of the second search.
        reference: the reference; None: an architecture drawn at random.

    Raises:
        ValueError: as in `joint`; or a part is empty.
    """
    belongs = belonging(space, first, seed)
    reference = reference or sample(space, generator(seed, "flow reference"))
    settings = {
        "first": listed(first),
        "levels": levels,
        "seed": seed,
        "reference": json.loads(reference.to_json()),
    }
    with begin("separate", space, evaluate, directory, settings) as loop:
        held = {path: answer for path, answer in reference.decisions if not belongs(path)}
        best = loop.search(FIRST, fix(space, held), levels[0], seed).best
        if best is not None:
            rest = fix(space, part(best.architecture, belongs))
            loop.search(SECOND, rest, levels[1], derive(seed, "flow second"))
        return Flow(loop.finished())


def nested(
    space: SearchSpace,
    evaluate: Evaluate | Evaluator | Executor,
    *,
    first: Paths,
    levels: tuple[Level, Level],
    seed: int = 0,
    directory: str | Path | None = None,
) -> Flow:
    """An outer search over the first part, which scores each first part by an inner search.

    The inner search is over the second part, and its best score is the score of the first part. The
    outer strategy sees the decisions of the first part as a chain of nodes, not a network. So these
    decisions need not be visible in a network's graph: one may be a limit on costs. In a
    conditional space each inner search has the questions that come with its first part. A first
    part is proposed if at least one second part is compatible with it.

    Args:
        space, evaluate, seed, directory: as in `joint`.
        first: as in `separate`.
        levels: the outer one, whose budget counts first parts, and the inner one, whose budget is
            that of each inner search.

    Raises:
        ValueError: as in `separate`.
    """
    belongs = belonging(space, first, seed)
    outer = outer_space(space, belongs)
    settings = {"first": listed(first), "levels": levels, "seed": seed}
    with begin("nested", space, evaluate, directory, settings, {OUTER: outer}) as loop:

        def search_inside(trials: Sequence[Trial]) -> None:
            for trial in trials:
                arm, inner = f"inner-{trial.number}", fix(space, part(trial.architecture, belongs))
                own_seed = derive(seed, "flow inner", trial.number)
                found = loop.search(arm, inner, levels[1], own_seed)
                loop.record(outcome_event(trial.number, _best_inside(found)))

        loop.search(OUTER, outer, levels[0], seed, search_inside)
        return Flow(loop.finished())


def _best_inside(found: History) -> Observation | Failed:
    """The outcome of a first part, from its inner search."""
    seconds = sum(trial.outcome.seconds for trial in found.trials if trial.outcome is not None)
    if found.best is None:
        reason = f"none of the {len(found.trials)} evaluations inside succeeded"
        return Failed("exception", reason, seconds)
    metrics = (("trial", float(found.best.number)), ("evaluated", float(len(found.trials))))
    return Observation(found.best.score, seconds, metrics=metrics)
