"""Finds the space that a config names: built in, installed, or in the user's own file or module."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spaces.space import SearchSpace

_BUILT_IN = (
    "accel_nasbench",
    "convnet",
    "nasbench101",
    "nasbench201",
    "nasbench_graph",
    "nasbench_macro",
    "nasbench_mr",
    "nats_size",
    "sequence_net",
)
SPACES: dict[str, str] = {name: f"spaces.{name}:space" for name in _BUILT_IN} | {
    "flexibert": "spaces.flexibert.named:paper",
    "flexibert2": "spaces.flexibert.edgetran:space",
    "flexibert2_on_devices": "spaces.flexibert.edgetran:on_devices",
    "flexibert_coarse": "spaces.flexibert.named:coarse",
    "flexibert_full": "spaces.flexibert.named:full",
    "flexibert_homogeneous": "spaces.flexibert.named:homogeneous",
    "flexibert_qnli": "spaces.flexibert.qnli:space",
    "flexibert_small": "spaces.flexibert.named:small",
    "flexibert_tiny": "spaces.flexibert.named:tiny",
}


def known_spaces() -> dict[str, str]:
    """The built-in and the installed spaces: for each name the place, `module:object`.

    Installed spaces are the entry points in the group `nas.spaces`.
    """
    installed = {point.name: point.value for point in entry_points(group="nas.spaces")}
    return {**installed, **SPACES}


def load_space(name: str) -> SearchSpace:
    """The space that a config names.

    >>> load_space("nasbench201").name
    'nasbench201'

    Args:
        name: the name of a built-in or installed space, `my_file.py:space` or
            `package.module:space`. The object in the file or module is a `SearchSpace`, or a
            function `define(choose)`, which becomes a space of the function's name.

    Raises:
        ValueError: there is no such space; the message lists the known spaces, or the names in the
            file or module.
    """
    known = {} if ":" in name else known_spaces()
    return as_space(
        find_named("space", name, known, own="my_file.py:space or package.module:space"), name
    )


def as_space(found: Any, name: str) -> SearchSpace:
    """The object found under the name as a space: it is one, or a function that defines one.

    Raises:
        ValueError: the object is neither.
    """
    if isinstance(found, SearchSpace):
        return found
    if callable(found) and not isinstance(found, type):
        return SearchSpace(getattr(found, "__name__", name), found)  # type: ignore[arg-type]
    raise ValueError(
        f"{name!r} should be a SearchSpace or a function define(choose), but is a "
        f"{type(found).__name__}"
    )


def find_named(kind: str, name: str, known: Mapping[str, Any], *, own: str) -> Any:
    """The object that a config names: a known one, or one in the user's own file or module.

    Args:
        kind: the kind of object in a word, for error messages.
        name: the name in the config; with a colon it is `my_file.py:it` or `package.module:it`.
        known: the known objects by name; a string is the object's place, `package.module:it`.
        own: how users name objects of their own, for error messages.

    Raises:
        ValueError: there is no such object; the message lists the known ones. Or as `load_object`.
    """
    found = name if ":" in name else known.get(name)
    if found is None:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"no {kind} is called {name!r}{hint} Known: {', '.join(sorted(known))}; or name your "
            f"own as {own}"
        )
    if not isinstance(found, str):
        return found
    where, _, attribute = found.rpartition(":")
    return load_object(where, attribute, kind)


def load_object(where: str, attribute: str, kind: str) -> Any:
    """The object called `attribute` in a Python file (`where` ends in .py) or an importable module.

    Raises:
        ValueError: there is no such file, module or attribute, or importing it failed.
    """
    is_file = where.endswith(".py")
    try:
        module = _load_file(Path(where)) if is_file else importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not (where == error.name or where.startswith(error.name + ".")):
            raise ValueError(
                f"the {kind} {where}:{attribute} could not be imported: {error}. Install what it "
                "needs"
            ) from error
        raise ValueError(
            f"there is no module {where!r} to take the {kind} {attribute!r} from; install it, or "
            f"name a file as path/to/file.py:{attribute}"
        ) from error
    except FileNotFoundError as error:
        raise ValueError(
            f"there is no file {where} to take the {kind} {attribute!r} from (looked from "
            f"{Path.cwd()})"
        ) from error
    except Exception as error:
        raise ValueError(
            f"the {kind} {where}:{attribute} could not be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        public = [key for key in vars(module) if not key.startswith("_")]
        near = difflib.get_close_matches(attribute, public, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(public)}"
        raise ValueError(f"{where} has no {attribute!r}; {hint}") from error


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(path)
    path = path.resolve()
    name = "user_file_" + re.sub(r"\W", "_", str(path))
    if name in sys.modules:
        return sys.modules[name]
    # The file may import its neighbours, as if it were run as a script.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
