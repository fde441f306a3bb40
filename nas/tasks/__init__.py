"""Tasks: what the networks are trained for. A task is found by name here; torch is imported only
when one is made.
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
    "text": "nas.tasks.text:text",
}


def known_tasks() -> dict[str, str]:
    """The built-in tasks and those of installed packages (entry points in the group `nas.tasks`),
    and where each lives.
    """
    installed = {point.name: point.value for point in entry_points(group="nas.tasks")}
    return {**installed, **TASKS}


def load_task(name: str, *, seed: int = 0, **options: Any) -> Task:
    """The task that a config names: `digits` (built in or installed), `my_file.py:function` or
    `package.module:function`.

    The function is called with the options, and with `seed` where it has an argument of that name:
    the seed of its splits.

    Raises:
        ValueError: there is no such task or no such option; the message lists those there are. Or
            the task's data is not as it should be.
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
    """The options, each as the type that the function's annotation says; one without an annotation
    that can be checked as it is.
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
            continue  # A type of somebody else's, which only the function knows how to use.
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ValueError(
                f"the task {name!r}: {key}: {message[0].lower()}{message[1:]}; got {options[key]!r}"
            ) from error
    return checked
