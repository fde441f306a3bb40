"""The environment through which an agent outside proposes the architectures of a run.

    reset -> question -> step(option) -> question -> ... -> step(option) -> reward

The last option completes the architecture. It is evaluated, and its score is the reward.

The interface is Gymnasium's, which need not be installed. Evaluations are journalled as in any
search, so `nas status`, `nas report`, `nas trials` and `nas export` read the run. Opening its
directory again continues it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from nas.config.arms import SEARCH
from nas.config.loading import load_config, parse_config
from nas.config.sections import ConfigError
from nas.evaluators.evaluator import Observation
from nas.outside.endings import BUDGET_USED, Ending, evaluate, left_of
from nas.outside.observations import (
    action_space,
    gymnasium_module,
    info_of,
    observation_of,
    observation_space,
)
from nas.outside.opening import open_run
from nas.outside.questions import NoOption, Question, after, check_option, first, played, survey
from nas.outside.rules import Rules
from nas.record.history import History
from nas.record.trials import Trial
from nas.search.loop import Run, Watch
from spaces import Architecture
from spaces.choices import Rejected

Step = tuple[numpy.ndarray, float, bool, bool, dict[str, Any]]
"""The result of `step`: observation, reward, terminated, truncated, info."""


class SearchEnvironment:
    """A run with the current episode; a context manager that closes the run.

    The observation is (num_steps,) whole numbers: the options taken in this episode, in order, then
    -1. A space's program is deterministic, so the options are the whole state.

    `info` has the next question: its `path`, its `options`, and `mask`, (num_actions,), which is 1
    where the action is an option. After the last step of an episode it also has the `trial`, the
    `architecture` (answers by path), its `score` and `metrics`, whether the result was `cached`
    (known before, so not evaluated again), and the `reason` if there is no score.

    The environment draws no random numbers. `reset` has a seed only because the interface asks for
    one; evaluations have the run's seeds. `docs/outside_agents.md` has an example that runs.
    """

    def __init__(self, run: Run, rules: Rules) -> None:
        self.rules, self._run, self._executor = rules, run, run.parts.workers.executor()
        self._space = run.parts.space
        seen = survey(self._space, rules.bins)
        self._widths = seen.widths
        self.num_actions = rules.num_actions or seen.num_actions
        self.num_steps = rules.num_steps or seen.num_steps
        if rules.steps == "whole" and seen.widths is None:
            raise ConfigError(
                "a whole architecture in one step needs a space that asks every architecture "
                f"the same questions, each with one option; {self._space.name!r} does not: take "
                'Rules(steps="questions")'
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
        """The environment of a run in the directory, which is begun or continued.

        Args:
            config: a configuration file, or its keys and values. Its strategy is ignored.
            directory: the run's directory. A run that it holds must have this configuration.
            agent: the agent's name and hyper-parameters, as JSON; the journal keeps them as the
                settings of the strategy `outside`.
            rules: see `Rules`.
            overrides: `key=value`, override keys of the configuration file.
            watch: called after every event of the journal.

        Raises:
            ValueError: the configuration is wrong, or the run in the directory has another one or
                is finished.
            nas.record.journal.JournalError: the directory cannot be used.
        """
        if isinstance(config, Mapping):
            read = parse_config(config, "the configuration")
        else:
            read = load_config(config, overrides)
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
        """The history of the run so far."""
        return self._run.history

    @property
    def left(self) -> int:
        """How many architectures may still be evaluated."""
        return left_of(self._run)

    @property
    def truncated(self) -> str | None:
        """The reason why no further architecture is evaluated; None while evaluations go on."""
        if self.history.finished is not None:
            return f"the run is finished: {self.history.finished}"
        if self.left <= 0:
            return BUDGET_USED
        if self._idle >= self.rules.patience:
            return f"no new architecture in {self._idle} episodes"
        return None

    @property
    def observation_space(self) -> Any:
        """The observations, as a space of gymnasium."""
        return observation_space(self.num_actions, self.num_steps)

    @property
    def action_space(self) -> Any:
        """The actions, as a space of gymnasium: an option's number, or one for each question."""
        widths = self._widths if self.rules.steps == "whole" else None
        return action_space(self.num_actions, widths)

    def gymnasium(self) -> Any:
        """This environment as a `gymnasium.Env`, for libraries that ask for one."""
        gymnasium_module()
        from nas.outside.gymnasium_environment import GymnasiumEnvironment

        return GymnasiumEnvironment(self)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[numpy.ndarray, dict[str, Any]]:
        """Begins an episode; returns the observation and the info."""
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
        """Takes the option with the number `action`; with `Rules(steps="whole")` one per question.

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
        """One whole episode for each item, all evaluated in one round by all workers.

        Args:
            population: architectures, or the options that lead to them, such as the observation
                after the last step of an episode.
        """
        taken = [
            () if isinstance(item, Architecture) else tuple(map(int, item)) for item in population
        ]
        found = [
            item if isinstance(item, Architecture) else self._played(options)
            for item, options in zip(population, taken, strict=True)
        ]
        if self.truncated is not None:
            ended = Ending(reason=self.truncated, skipped=True)
            return [self._end(ended, options) for options in taken]
        endings = self._evaluate(found)
        return [self._end(ending, options) for ending, options in zip(endings, taken, strict=True)]

    def finish(self) -> History:
        """Ends the run as a search ends.

        That is: the random baseline and the finalists that the configuration asks for, then the
        event `finished`.

        Raises:
            ValueError: the run is finished already, or nothing was evaluated.
            nas.search.loop.RunFailed: nothing succeeded.
        """
        if self.history.finished is not None or not self.history.of_arm(SEARCH).trials:
            reason = self.history.finished or "no architecture was evaluated yet"
            raise ValueError(f"there is nothing to finish: {reason}")
        self._executor.close()
        return self._run.to_its_end(self.truncated or "the agent ended it")

    def close(self) -> None:
        """Ends the workers and closes the journal; opening the directory again continues the run.

        It may be called twice.
        """
        self._question = None
        self._executor.close()
        self._run.journal.close()

    def __enter__(self) -> SearchEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finish_round(self) -> None:
        """Evaluates what was in progress when the program ended."""
        rounds = self.history.of_arm(SEARCH).rounds
        if rounds and rounds[-1].ranking is None:
            self._run.finish_round(SEARCH, self._executor)

    def _played(self, options: Sequence[int]) -> Architecture | str:
        """The architecture, or the reason why there is none."""
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
        """The result of the last step of an episode."""
        self._question = None
        reward = 0.0 if ending.skipped else self._reward(ending.trial)
        observation, terminated = self._observation(taken), not ending.skipped
        info = {**self._info(), **ending.info()}
        return observation, reward, terminated, self.truncated is not None, info

    def _reward(self, trial: Trial | None) -> float:
        if trial is None or not isinstance(trial.outcome, Observation):
            return self.rules.penalty
        reward = trial.score
        if self.rules.reward is not None:
            reward = float(self.rules.reward(trial.outcome))
        if not math.isfinite(reward):
            raise ValueError(
                f"the reward of trial {trial.number} is {reward}; it has to be a finite number"
            )
        return reward

    def _observation(self, taken: Sequence[int]) -> numpy.ndarray:
        return observation_of(taken, self.num_steps, self._space.name)

    def _info(self) -> dict[str, Any]:
        return info_of(self._question, self.num_actions)
