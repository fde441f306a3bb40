"""Finds and makes a task by name. A task is the data and the score that networks are trained on.

Importing this module does not import torch; making a task does.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, get_type_hints

from spaces.load import find_named

if TYPE_CHECKING:
    from nas.tasks.task import Task

TASKS: dict[str, str] = {
    "cifar10": "nas.tasks.cifar10:cifar10",
    "digits": "nas.tasks.digits:digits",
    "images": "nas.tasks.images:images",
    "language_model": "nas.tasks.language_model:language_model",
    "sequences": "nas.tasks.sequences:sequences",
    "text": "nas.tasks.text:text",
}


def known_tasks() -> dict[str, str]:
    """The `module:function` of each built-in or installed task, by name.

    An installed package registers its tasks as entry points in the group `nas.tasks`.
    """
    installed = {point.name: point.value for point in entry_points(group="nas.tasks")}
    return {**installed, **TASKS}


def load_task(name: str, *, seed: int = 0, **options: Any) -> Task:
    """The task of this name.

    >>> load_task("digits").shapes
    Shapes(input=(1, 8, 8), output=(10,), vocabulary=None)

    Args:
        name: of a built-in or installed task, or `my_file.py:function`, or
            `package.module:function`.
        seed: of the splits. The function receives it if it has an argument `seed`.
        options: further arguments of the function.

    Raises:
        ValueError: there is no such task or option (the message lists the known ones), or the
            task's data is wrong.
    """
    from nas.tasks.task import Task

    make = _find(name)
    made = make(**_checked(name, make, seed, options))
    if not isinstance(made, Task):
        raise ValueError(
            f"the task {name!r} should be a function that returns a nas.tasks.task.Task, but it "
            f"returned a {type(made).__name__}"
        )
    return made


def _find(name: str) -> Callable[..., Any]:
    known = {} if ":" in name else known_tasks()
    found = find_named("task", name, known, own="my_file.py:function or package.module:function")
    if not callable(found):
        raise ValueError(
            f"the task {name!r} should be a function that returns a nas.tasks.task.Task, but it "
            f"is a {type(found).__name__}"
        )
    return found


def _checked(
    name: str, make: Callable[..., Any], seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters
    accepted = [
        key
        for key, parameter in parameters.items()
        if key != "seed" and parameter.kind is not parameter.VAR_KEYWORD
    ]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [option for option in options if option not in accepted]
    if unknown and not open_ended:
        near = difflib.get_close_matches(unknown[0], accepted, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"the task {name!r} has no option {unknown[0]!r}{hint} Its options: "
            f"{', '.join(accepted) or 'none'}"
        )
    missing = [
        key
        for key in accepted
        if parameters[key].default is inspect.Parameter.empty and key not in options
    ]
    if missing:
        raise ValueError(
            f"the task {name!r} needs the option {missing[0]!r}. Its options: {', '.join(accepted)}"
        )
    options = _typed(name, make, options)
    return {**options, **_typed(name, make, {"seed": seed})} if "seed" in parameters else options


def _typed(name: str, make: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options, each converted to the type of its annotation.

    An option without an annotation that can be checked is left unchanged.
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        types = get_type_hints(make)
    except (NameError, TypeError):
        types = {}
    checked = dict(options)
    for key in options.keys() & types.keys():
        try:
            checked[key] = TypeAdapter(types[key]).validate_python(options[key])
        except PydanticUserError:
            continue  # A type that pydantic does not know; the function checks it itself.
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ValueError(
                f"the task {name!r}: {key}: {message[0].lower()}{message[1:]}; got {options[key]!r}"
            ) from error
    return checked
