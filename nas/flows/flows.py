"""Search flows: all decisions at once, one part after the other, or one part inside the other
(PyGlove, Peng et al. 2020, section 3.3).

    joint       one search over everything
    separate    the first part is decided while the second stands as in a reference, then the second with the first held at its best
    nested      for every first part that the outer strategy proposes an inner search over the second, whose best is its score

Each level is a `Strategy` with a budget, and an arm of one history: `joint`; `first`, `second`;
`outer`, `inner-0`, `inner-5`, ... What comes next follows from the history alone, so a flow with a
directory goes on from its journal as a run does. An evaluator is asked once for one network,
whichever level proposes it.
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
from nas.record.history import History, Trial, outcome_event
from nas.seeds import derive, generator
from spaces import Architecture, SearchSpace
from spaces.operators import fix, sample

JOINT, FIRST, SECOND = "joint", "first", "second"


@dataclass(frozen=True)
class Flow:
    """What a flow found. Its history has every trial, the levels being arms
    (`history.of_arm("outer")`).

    An outer trial's score is the best that the search inside it found, and its metric `trial` says
    which trial that is; of its own architecture only the first part counts.
    """

    history: History

    @cached_property
    def best(self) -> Trial:
        """The evaluated trial with the highest score, of all levels."""
        best = History(tuple(trial for trial in self.history.trials if trial.arm != OUTER)).best
        assert best is not None, "a flow without a score raises"
        return best

    @cached_property
    def evaluations(self) -> int:
        """How many different networks were evaluated; fewer than the trials where two levels
        proposed the same.
        """
        return len(
            {
                trial.canonical
                for trial in self.history.trials
                if trial.arm != OUTER and trial.outcome is not None
            }
        )


def joint(
    space: SearchSpace,
    evaluate: Evaluate | Evaluator | Executor,
    *,
    level: Level,
    seed: int = 0,
    directory: str | Path | None = None,
) -> Flow:
    """One search over all decisions: what the other flows are compared with.

    Args:
        evaluate: a function of the architecture; or an `Evaluator`, or an `Executor` that runs one
            in workers (`nas.config.compose.executor_of`).
        directory: keeps the journal, from which the same call goes on, or gives the finished flow
            at once. None: nothing is written.

    Raises:
        ValueError: the directory holds another flow, or one of a space that has changed since.
        nas.record.journal.JournalError: the directory cannot be used.
        nas.search.run.RunFailed: nothing was evaluated with success, or the disk is full.
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
    """The first part is decided with the second held as in a reference; then the second, with the
    first held at its best.

    In a conditional space the reference answers only what its own first part asks: other questions
    of the second part stay free in the first search, and a first part that the reference's answers
    do not go with is rejected, or an error where one is not among the possible answers.

    Args:
        evaluate, directory: as in `joint`.
        first: the decisions of the first part: the start of their paths, the paths, or a function
            that says of a path whether it belongs.
        levels: of the first and of the second search.
        reference: None: an architecture drawn at random.

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
            loop.search(
                SECOND,
                fix(space, part(best.architecture, belongs)),
                levels[1],
                derive(seed, "flow second"),
            )
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
    """For every first part that the outer strategy proposes, an inner search over the second; its
    best score is the first part's.

    The outer strategy sees no network but the first part's decisions, in a row, so they may be such
    that no graph shows, as a limit on costs. In a conditional space each inner search asks what its
    first part leads to; a first part is proposed if some second part goes with it.

    Args:
        evaluate, directory: as in `joint`.
        first: as in `separate`.
        levels: the outer one, whose budget counts first parts, and the inner one, whose budget each
            of them gets.

    Raises:
        ValueError: as in `separate`.
    """
    belongs = belonging(space, first, seed)
    outer = outer_space(space, belongs)
    with begin(
        "nested",
        space,
        evaluate,
        directory,
        {"first": listed(first), "levels": levels, "seed": seed},
        {OUTER: outer},
    ) as loop:

        def search_inside(trials: Sequence[Trial]) -> None:
            for trial in trials:
                inner = fix(space, part(trial.architecture, belongs))
                found = loop.search(
                    f"inner-{trial.number}",
                    inner,
                    levels[1],
                    derive(seed, "flow inner", trial.number),
                )
                loop.record(outcome_event(trial.number, _best_inside(found)))

        loop.search(OUTER, outer, levels[0], seed, search_inside)
        return Flow(loop.finished())


def _best_inside(found: History) -> Observation | Failed:
    """What an inner search means for its first part."""
    seconds = sum(trial.outcome.seconds for trial in found.trials if trial.outcome is not None)
    if found.best is None:
        return Failed(
            "exception", f"none of the {len(found.trials)} evaluations inside succeeded", seconds
        )
    return Observation(
        found.best.score,
        seconds,
        metrics=(("trial", float(found.best.number)), ("evaluated", float(len(found.trials)))),
    )
