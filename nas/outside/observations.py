"""What an agent receives in each step: the observation and the info, with Gymnasium's spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from nas.outside.questions import Question


def observation_of(taken: Sequence[int], num_steps: int, space: str) -> numpy.ndarray:
    """The options taken so far, in order, then -1: (num_steps,) whole numbers.

    Args:
        taken: the options of this episode.
        num_steps: the size of the observation.
        space: the space's name, for the message.

    Raises:
        ValueError: there are more options than steps.
    """
    if len(taken) > num_steps:
        raise ValueError(
            f"an architecture of {space!r} takes more than {num_steps} steps: give "
            "Rules(num_steps=...) a larger number"
        )
    observation = numpy.full(num_steps, -1, dtype=numpy.int64)
    observation[: len(taken)] = taken
    return observation


def info_of(question: Question | None, num_actions: int) -> dict[str, Any]:
    """The next question: `path`, `options`, and `mask`, (num_actions,), 1 where there is an option.

    Without a question the path is None and there are no options.

    Raises:
        ValueError: the question has more options than there are actions.
    """
    options = () if question is None else question.options
    if len(options) > num_actions:
        assert question is not None
        raise ValueError(
            f"the question {question.name!r} has {len(options)} options, and {num_actions} were "
            f"the most among random architectures: give Rules(num_actions={len(options)}), or more"
        )
    mask = numpy.zeros(num_actions, dtype=numpy.int8)
    mask[: len(options)] = 1
    return {"path": None if question is None else question.name, "options": options, "mask": mask}


def observation_space(num_actions: int, num_steps: int) -> Any:
    """The observations, as a space of gymnasium."""
    high = max(num_actions - 1, 0)
    return gymnasium_module().spaces.Box(-1, high, (num_steps,), numpy.int64)


def action_space(num_actions: int, widths: tuple[int, ...] | None) -> Any:
    """The actions, as a space of gymnasium: an option's number, or one for each of the widths."""
    spaces = gymnasium_module().spaces
    return spaces.Discrete(num_actions) if widths is None else spaces.MultiDiscrete(widths)


def gymnasium_module() -> Any:
    """The package gymnasium.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import gymnasium  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "gymnasium is not installed, and only its spaces need it: pip install "
            "'surrogate-nas[gymnasium]'"
        ) from error
    return gymnasium
