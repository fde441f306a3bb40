"""Imports point one way: between the packages, between the wings of `nas`, and never in a circle;
and what must answer at once imports nothing heavy.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "predictors", "spaces")
MAY_IMPORT = {
    "spaces": {"spaces"},
    "predictors": {"spaces", "predictors"},
    "nas": {"spaces", "predictors", "nas"},
}
# From the top: a wing imports from itself and from those below it. `docs/architecture.md` draws it.
WINGS = (
    "cli",
    "export",
    "report",
    "prediction",
    "outside",
    "flows",
    "proxies",
    "search",
    "config",
    "strategies",
    "objectives",
    "executors",
    "record",
    "evaluators",
    "training",
    "transfer",
    "latency",
    "tasks",
)
# The only files of `nas` in no wing; `seeds` is below all, the other two above.
LOOSE = {"__init__", "__main__", "seeds"}
# Of our own code a predictor reads graphs and their canonical form, and nothing of how they were
# chosen.
PREDICTORS_MAY_READ = {"spaces.graph", "spaces.details", "spaces.canonical", "spaces.ops"}
HEAVY = {"torch", "torch_geometric", "sklearn", "scipy", "pydantic", "networkx"}
# What starters of a project are given; their own code, not ours.
TEMPLATES = Path("nas", "cli", "templates")


def modules(root: Path) -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).with_suffix("")
            if TEMPLATES not in name.parents:
                found[".".join(name.parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """What the file imports, anywhere in it; `from a import b` as `a.b`, for b may be a module."""
    found = set()
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            found |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom) and item.module:
            assert item.level == 0, f"{path} imports relatively"
            found |= {f"{item.module}.{alias.name}" for alias in item.names}
    return found


def imported(root: Path) -> nx.DiGraph:
    """An edge from each module to each of ours that it imports."""
    known, graph = modules(root), nx.DiGraph()
    for module, path in known.items():
        for name in imports(path):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != module:
                graph.add_edge(module, target)
    return graph


def circles(root: Path) -> list[list[str]]:
    """Modules that import each other."""
    return [
        sorted(group)
        for group in nx.strongly_connected_components(imported(root))
        if len(group) > 1
    ]


def upwards(root: Path) -> list[str]:
    """A sentence for each import from a wing of `nas` into one above it."""
    known, wrong = modules(root), []
    for importer, target in sorted(imported(root).edges):
        if (
            importer.startswith("nas.")
            and target.startswith("nas.")
            and _level(importer) > _level(target)
        ):
            files = (known[module].relative_to(root) for module in (importer, target))
            wrong.append("{} imports {}, which is above it".format(*files))
    return wrong


def _level(module: str) -> int:
    wing = module.split(".")[1]
    return {"__main__": -1, "seeds": len(WINGS)}.get(
        wing, WINGS.index(wing) if wing in WINGS else -2
    )


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert imported(ROOT).edges
    assert not circles(ROOT)


def test_no_wing_imports_one_above_it() -> None:
    assert imported(ROOT).edges
    assert not upwards(ROOT)


def test_every_file_of_nas_is_in_a_wing() -> None:
    loose = {path.stem for path in (ROOT / "nas").glob("*.py")}
    assert loose == LOOSE
    assert {path.parent.name for path in (ROOT / "nas").glob("*/*.py")} == set(WINGS)


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_says_what_it_is_for(wing: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / "nas" / wing / "__init__.py").read_text()))
    assert text, f"nas/{wing}/__init__.py has no docstring"


def test_the_tests_of_wings_see_what_is_wrong(tmp_path: Path) -> None:
    """A test of the tests above: on a small house of this shape with one import upwards, and one
    circle.
    """
    for file, text in {
        "nas/__init__.py": "",
        "nas/search/__init__.py": "",
        "nas/search/run.py": "from nas.tasks.data import read",
        "nas/tasks/__init__.py": "",
        "nas/tasks/data.py": "def read() -> None:\n    from nas.search import run",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert upwards(tmp_path) == ["nas/tasks/data.py imports nas/search/run.py, which is above it"]
    assert circles(tmp_path) == [["nas.search.run", "nas.tasks.data"]]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = {name for name in imports(path) if name.partition(".")[0] in MAY_IMPORT}
        wrong = {name for name in ours if name.partition(".")[0] not in MAY_IMPORT[package]}
        if package == "predictors":
            read = {name for name in ours if name.startswith("spaces")}
            wrong |= {
                name
                for name in read
                if not any(name == may or name.startswith(f"{may}.") for may in PREDICTORS_MAY_READ)
            }
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_strategies_know_no_evaluator_and_no_store() -> None:
    forbidden = ("nas.evaluators", "nas.record.journal", "nas.executors", "nas.search")
    assert modules(ROOT).keys() >= set(forbidden), "a module that is forbidden here has moved"
    files = sorted((ROOT / "nas" / "strategies").glob("*.py"))
    assert files
    for path in files:
        wrong = {name for name in imports(path) if name.startswith(forbidden)}
        assert not wrong, f"{path.name} imports {sorted(wrong)}"


@pytest.mark.parametrize(
    "module",
    [
        "spaces",
        "spaces.load",
        "spaces.operators",
        "spaces.canonical",
        "nas.cli.main",
        "nas.record.journal",
        "nas.record.history",
    ],
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_a_search_in_a_table_needs_no_torch() -> None:
    code = "import sys, nas.search.run; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "False False"
    )


def test_nothing_is_unpickled() -> None:
    """Run directories and exports may come from anybody."""
    for package in MAY_IMPORT:
        files = sorted((ROOT / package).rglob("*.py"))
        assert files
        for path in files:
            text = path.read_text()
            assert "allow_pickle=True" not in text, path
            assert "weights_only=False" not in text, path
            modules_of_pickles = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
            assert not {name.partition(".")[0] for name in imports(path)} & modules_of_pickles, path
