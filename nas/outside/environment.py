"""A run whose architectures an agent outside proposes: a reinforcement learner, an ant colony,
anybody's program.

    reset -> question -> step(option) -> question -> ... -> step(option): the architecture is
    evaluated, its score is the reward

The contract is Gymnasium's, which need not be installed. What is evaluated is journalled as by any
strategy, so `nas status`, `nas report`, `nas trials` and `nas export` read the run, and opening its
directory again goes on with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy

from nas.config.compose import executor_of
from nas.config.config import ConfigError, load_config, parse_config
from nas.evaluators.evaluator import Observation
from nas.outside.endings import BUDGET_USED, Ending, evaluate, left_of
from nas.outside.opening import open_run
from nas.outside.questions import NoOption, Question, after, check_option, first, played, survey
from nas.outside.rewards import Reward
from nas.record.arms import SEARCH
from nas.record.history import History, Trial
from nas.search.run import Run, Watch
from spaces import Architecture
from spaces.choices import Rejected

Step = tuple[numpy.ndarray, float, bool, bool, dict[str, Any]]
"""What `step` gives: observation, reward, terminated, truncated, info."""


@dataclass(frozen=True)
class Rules:
    """How the run looks to the agent.

    Attributes:
        steps: `questions`: a step answers the next question; `whole`: a step answers all of them,
            where they are the same for every architecture.
        reward: of an observation; None: its score.
        penalty: the reward of an architecture that the space rejects or that fails, and of an
            action that is no option.
        bins: how many values a real number has, or a whole number with more of them.
        patience: after so many episodes in a row without a new architecture the run is truncated,
            as when the budget is used.
        num_actions, num_steps: the sizes of the mask and of the observation; None: as a hundred
            random architectures need them.
    """

    steps: Literal["questions", "whole"] = "questions"
    reward: Reward | None = None
    penalty: float = 0.0
    bins: int = 16
    patience: int = 1000
    num_actions: int | None = None
    num_steps: int | None = None

    def __post_init__(self) -> None:
        if (
            self.steps not in ("questions", "whole")
            or self.bins < 2
            or self.patience < 1
            or not math.isfinite(self.penalty)
        ):
            raise ValueError(
                "the rules need steps questions or whole, bins >= 2, patience >= 1 and a finite "
                f"penalty; got {self}"
            )


class SearchEnvironment:
    """A run, and the episode that is under way. A context manager that closes it.

    The observation is (num_steps,) whole numbers: the options taken in this episode, in order, then
        -1. A space's program is deterministic, so they say all of
    the state. `info` has the next question: its `path`, its `options`, and `mask`, (num_actions,)
        of 1 where the action is an option. After the last step it has
    the `trial`, the `architecture` (answers by path), `score` and `metrics`, whether it was
    `cached`, that is, known before and not evaluated again, and the `reason` where there is no
    score. The environment draws nothing: `reset`'s seed is there for the contract, and evaluations
    have the run's seeds.
    """

    def __init__(self, run: Run, rules: Rules) -> None:
        self.rules, self._run, self._executor = rules, run, executor_of(run.config)
        self._space = run.parts.space
        seen = survey(self._space, rules.bins)
        self._widths = seen.widths
        self.num_actions, self.num_steps = (
            rules.num_actions or seen.num_actions,
            rules.num_steps or seen.num_steps,
        )
        if rules.steps == "whole" and seen.widths is None:
            raise ConfigError(
                "a whole architecture in one step needs a space that asks every architecture "
                f"the same questions, each with one option; {self._space.name!r} "
                'does not: take Rules(steps="questions")'
            )
        self._question: Question | None = None
        self._taken: tuple[int, ...] = ()
        self._idle = 0

    @classmethod
    def from_config(
        cls,
        config: str | Path | Mapping[str, Any],
        directory: str | Path,
        *,
        agent: Mapping[str, Any] | None = None,
        rules: Rules | None = None,
        overrides: Sequence[str] = (),
        watch: Watch = lambda history, events: None,
    ) -> SearchEnvironment:
        """The environment of a new run in the directory, or of the one that is there, which must
        have this configuration.

        Args:
            config: a configuration file, or its keys and values. Its strategy does not count.
            directory: the run's.
            agent: what the agent is, its name and hyper-parameters, as JSON; the journal keeps it
                as the settings of the strategy `outside`.
            rules: see `Rules`.
            overrides: of the configuration file, `key=value`.
            watch: called after every event of the journal.

        Raises:
            ValueError: the configuration is wrong, or the run in the directory has another or is
                finished.
            nas.record.journal.JournalError: the directory cannot be used.
        """
        read = (
            parse_config(config, "the configuration")
            if isinstance(config, Mapping)
            else load_config(config, overrides)
        )
        run = open_run(read, Path(directory), agent, watch)
        try:
            environment = cls(run, rules or Rules())
            environment._finish_round()
        except BaseException:
            run.journal.close()
            raise
        return environment

    @property
    def history(self) -> History:
        """Everything that happened in the run."""
        return self._run.history

    @property
    def left(self) -> int:
        """How many architectures may still be evaluated."""
        return left_of(self._run)

    @property
    def truncated(self) -> str | None:
        """Why no further architecture is evaluated; None while one is."""
        if self.history.finished is not None:
            return f"the run is finished: {self.history.finished}"
        if self.left <= 0:
            return BUDGET_USED
        return (
            f"no new architecture in {self._idle} episodes"
            if self._idle >= self.rules.patience
            else None
        )

    @property
    def observation_space(self) -> Any:
        """The observations, as a space of gymnasium."""
        high = max(self.num_actions - 1, 0)
        return _gymnasium().spaces.Box(-1, high, (self.num_steps,), numpy.int64)

    @property
    def action_space(self) -> Any:
        """The actions, as a space of gymnasium: an option's number, or one for each question."""
        spaces = _gymnasium().spaces
        return (
            spaces.MultiDiscrete(self._widths)
            if self.rules.steps == "whole"
            else spaces.Discrete(self.num_actions)
        )

    def gymnasium(self) -> Any:
        """This environment as a `gymnasium.Env`, for libraries that ask for one."""
        _gymnasium()
        from nas.outside.gymnasium_environment import GymnasiumEnvironment

        return GymnasiumEnvironment(self)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[numpy.ndarray, dict[str, Any]]:
        """Begins an episode: the observation and the info."""
        self._taken = ()
        found = first(self._space, self.rules.bins)
        if not isinstance(found, Question):
            raise ValueError(
                f"the space {self._space.name!r} has one architecture only: there is nothing to "
                "choose"
            )
        self._question = found
        return self._observation(()), self._info()

    def step(self, action: Any) -> Step:
        """Takes the option of that number; with `Rules(steps="whole")`, an option of each question.

        Raises:
            ValueError: the episode is over, or has not begun.
        """
        if self._question is None:
            raise ValueError(
                "no episode is under way: call reset() first, also after a step that gave "
                "terminated or truncated"
            )
        if self.truncated is not None:
            return self._end(Ending(reason=self.truncated, skipped=True), self._taken)
        if self.rules.steps == "whole":
            taken = tuple(map(int, action))
            return self._end(self._evaluate([self._played(taken)])[0], taken)
        self._taken = (*self._taken, int(action))
        try:
            check_option(self._question, int(action))
            found = after(self._space, self._question, int(action), self.rules.bins)
        except (Rejected, NoOption) as error:
            return self._end(self._evaluate([str(error)])[0], self._taken)
        if isinstance(found, Architecture):
            return self._end(self._evaluate([found])[0], self._taken)
        self._question = found
        return self._observation(self._taken), 0.0, False, False, self._info()

    def step_all(self, population: Sequence[Architecture | Sequence[int]]) -> list[Step]:
        """One whole episode for each of the population, evaluated together by all workers, in one
        round.

        Args:
            population: architectures, or the options that lead to them (an observation after its
                last step, say).
        """
        taken = [
            () if isinstance(item, Architecture) else tuple(map(int, item)) for item in population
        ]
        found = [
            item if isinstance(item, Architecture) else self._played(options)
            for item, options in zip(population, taken, strict=True)
        ]
        if self.truncated is not None:
            return [
                self._end(Ending(reason=self.truncated, skipped=True), options) for options in taken
            ]
        return [
            self._end(ending, options)
            for ending, options in zip(self._evaluate(found), taken, strict=True)
        ]

    def finish(self) -> History:
        """Ends the run as a search's: the random baseline and the finalists that the configuration
        asks for, and the event `finished`.

        Raises:
            ValueError: the run is finished already, or nothing was evaluated.
            nas.search.run.RunFailed: nothing succeeded.
        """
        if self.history.finished is not None or not self.history.of_arm(SEARCH).trials:
            raise ValueError(
                "there is nothing to finish: "
                f"{self.history.finished or 'no architecture was evaluated yet'}"
            )
        self._executor.close()
        return self._run.to_its_end(self.truncated or "the agent ended it")

    def close(self) -> None:
        """Ends the workers and closes the journal; opening the directory again goes on. Calling it
        twice is allowed.
        """
        self._question = None
        self._executor.close()
        self._run.journal.close()

    def __enter__(self) -> SearchEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finish_round(self) -> None:
        """What was under way when the program ended."""
        rounds = self.history.of_arm(SEARCH).rounds
        if rounds and rounds[-1].ranking is None:
            self._run.finish_round(SEARCH, self._executor)

    def _played(self, options: Sequence[int]) -> Architecture | str:
        """The architecture, or why there is none."""
        try:
            return played(self._space, options, self.rules.bins)
        except (Rejected, NoOption) as error:
            return str(error)

    def _evaluate(self, found: Sequence[Architecture | str]) -> list[Ending]:
        before = self.left
        endings = evaluate(self._run, self._executor, found)
        self._idle = 0 if self.left < before else self._idle + len(found)
        return endings

    def _end(self, ending: Ending, taken: tuple[int, ...]) -> Step:
        """The last step of an episode."""
        self._question = None
        reward = 0.0 if ending.skipped else self._reward(ending.trial)
        return (
            self._observation(taken),
            reward,
            not ending.skipped,
            self.truncated is not None,
            {**self._info(), **ending.info()},
        )

    def _reward(self, trial: Trial | None) -> float:
        if trial is None or not isinstance(trial.outcome, Observation):
            return self.rules.penalty
        reward = (
            trial.score if self.rules.reward is None else float(self.rules.reward(trial.outcome))
        )
        if not math.isfinite(reward):
            raise ValueError(
                f"the reward of trial {trial.number} is {reward}; it has to be a finite number"
            )
        return reward

    def _observation(self, taken: Sequence[int]) -> numpy.ndarray:
        if len(taken) > self.num_steps:
            raise ValueError(
                f"an architecture of {self._space.name!r} takes more than {self.num_steps} "
                "steps: give Rules(num_steps=...) a larger number"
            )
        observation = numpy.full(self.num_steps, -1, dtype=numpy.int64)
        observation[: len(taken)] = taken
        return observation

    def _info(self) -> dict[str, Any]:
        options = () if self._question is None else self._question.options
        if len(options) > self.num_actions:
            assert self._question is not None
            raise ValueError(
                f"the question {self._question.name!r} has {len(options)} options, and "
                f"{self.num_actions} were the most among random architectures: "
                f"give Rules(num_actions={len(options)}), or more"
            )
        mask = numpy.zeros(self.num_actions, dtype=numpy.int8)
        mask[: len(options)] = 1
        return {
            "path": None if self._question is None else self._question.name,
            "options": options,
            "mask": mask,
        }


def _gymnasium() -> Any:
    try:
        import gymnasium  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "gymnasium is not installed, and only its spaces need it: pip install "
            "'surrogate-nas[gymnasium]'"
        ) from error
    return gymnasium
