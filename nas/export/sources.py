"""The user's own files that a space's program needs, as they travel with an export.

They are the file of the program and those that it imports, directly or through each other, without
installed packages, the standard library and this project.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from spaces import SearchSpace
from spaces.programs import takes_shapes

# The packages of this project, which do not travel.
OURS = ("nas", "predictors", "spaces")
_INSTALLED = tuple(
    Path(sysconfig.get_path(kind)).resolve()
    for kind in ("stdlib", "platstdlib", "purelib", "platlib")
)


class CannotTravelError(Exception):
    """The program's files cannot be taken along; the message says why."""


@dataclass(frozen=True)
class Sources:
    """The user's own files that make a network.

    Attributes:
        module: the dotted name of the program's file, below the folder of the files.
        name: of the program in it, or of a `SearchSpace` whose program it is.
        takes_shapes: whether the program is `define(choose, shapes)`.
        files: the path of each in the folder, and its content.
        needs: the installed packages that they import, with their versions where these are known.
        folders: where they were found.
    """

    module: str
    name: str
    takes_shapes: bool
    files: tuple[tuple[str, bytes], ...]
    needs: tuple[str, ...]
    folders: tuple[Path, ...]


def sources_of(space: SearchSpace, network: nn.Module) -> Sources:
    """The files of the space's program, and those of the network's classes.

    Raises:
        CannotTravelError: the program is in no file, or cannot be found there by a name, or one of
            the files is compiled or a link to a place outside of its folder.
    """
    module, name = _program(space.define)
    travelling: dict[str, _File] = {}
    top = module.__name__.partition(".")[0]
    classes = {type(part).__module__ for part in network.modules()}
    waiting = [module, *(sys.modules[each] for each in sorted(classes) if each in sys.modules)]
    imported: set[str] = set()
    while waiting:
        item = waiting.pop()
        if not _is_own(item, top):
            continue
        file = _file_of(item)
        known = travelling.setdefault(file.name, file)
        if known.path != file.path:
            raise CannotTravelError(
                f"{known.path} and {file.path} are both imported as {file.name}: rename one"
            )
        if known is not file:
            continue
        imports = set(_imports(file))
        imported |= imports
        # The packages around a file run before it.
        found = [*sorted(imports), *_prefixes(item.__name__)]
        waiting += [sys.modules[each] for each in found if each in sys.modules]
    return Sources(
        module=_file_of(module).name,
        name=name,
        takes_shapes=takes_shapes(space.define),
        files=tuple(sorted((file.place, file.content) for file in travelling.values())),
        needs=_needs(imported, travelling),
        folders=tuple(sorted({file.folder for file in travelling.values()})),
    )


@dataclass(frozen=True)
class _File:
    """A user's file: its dotted name, its place in its folder, its path, and its content."""

    name: str
    place: str
    folder: Path
    path: Path
    content: bytes

    @property
    def package(self) -> str:
        is_package = self.place.endswith("__init__.py")
        return self.name if is_package else self.name.rpartition(".")[0]


def _program(define: Any) -> tuple[ModuleType, str]:
    """The module in which the program can be found, and its name or that of its space there."""
    home = getattr(define, "__module__", None)
    first = [sys.modules[home]] if home in sys.modules else []
    others = [item for item in list(sys.modules.values()) if _is_own(item)]
    for module in (*first, *others):
        if module.__name__ == "__main__" or not getattr(module, "__file__", None):
            continue
        for name, value in list(vars(module).items()):
            if value is define or (isinstance(value, SearchSpace) and value.define is define):
                return module, name
    shown = getattr(define, "__qualname__", repr(define))
    if home == "__main__":
        raise CannotTravelError(
            f"the space's program {shown} is written in a notebook, in an interactive session or "
            "in the script that is running: write it in a file of its own and import it"
        )
    raise CannotTravelError(
        f"the space's program {shown} is a lambda or a function inside another: give it, or its "
        "SearchSpace, a name at the top level of a file"
    )


def _is_own(module: Any, top: str | None = None) -> bool:
    """Whether a module is a file of the user, or of the package `top` that has the program."""
    # Not by `getattr`, which lets a module of an installed package import others.
    told = getattr(module, "__dict__", {})
    path, name = told.get("__file__"), told.get("__name__")
    if not isinstance(path, str) or not isinstance(name, str):
        return False
    first = name.partition(".")[0]
    if first in OURS or first == "__main__" or first in sys.stdlib_module_names:
        return False
    resolved = Path(path).resolve()
    installed = {"site-packages", "dist-packages"} & set(resolved.parts) or any(
        resolved.is_relative_to(folder) for folder in _INSTALLED
    )
    return first == top or not installed


def _file_of(module: ModuleType) -> _File:
    assert module.__file__ is not None
    path = Path(module.__file__)
    if path.suffix != ".py":
        raise CannotTravelError(f"{path} is compiled, and only Python's text travels")
    parts = module.__name__.split(".")
    inside = [*parts, "__init__"] if path.stem == "__init__" else parts
    if list(path.with_suffix("").parts[-len(inside) :]) != inside:
        # A file that was loaded by its path has a name of the loader's.
        parts = inside = [re.sub(r"\W", "_", path.stem)]
    root = path.parents[len(inside) - 1].resolve()
    if not path.resolve().is_relative_to(root):
        raise CannotTravelError(
            f"{path} is a link to {path.resolve()}, outside of its folder, which is not followed: "
            "put the file itself there"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotTravelError(f"{path} cannot be read ({error})") from error
    return _File(".".join(parts), "/".join(inside) + ".py", root, path.resolve(), content)


def _imports(file: _File) -> Iterator[str]:
    """The dotted names that the file's import statements may mean, with those around them."""
    try:
        tree = ast.parse(file.content)
    except SyntaxError as error:
        raise CannotTravelError(f"{file.path} has changed and cannot be read: {error}") from error
    for node in ast.walk(tree):
        names: Iterable[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level and file.package:
                base = importlib.util.resolve_name("." * node.level + base, file.package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            yield from _prefixes(name)


def _prefixes(name: str) -> Iterator[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _needs(imported: set[str], travelling: Iterable[str]) -> tuple[str, ...]:
    """The installed packages among the imported names, as "name version"; torch first."""
    own = {name.partition(".")[0] for name in travelling}
    tops = {name.partition(".")[0] for name in imported} & set(sys.modules)
    tops -= own | set(OURS) | set(sys.stdlib_module_names) | {"torch", ""}
    distributions = importlib.metadata.packages_distributions() if tops else {}
    names = {distributions.get(top, [top])[0] for top in tops}
    return tuple(_with_version(name) for name in ("torch", *sorted(names)))


def _with_version(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name
