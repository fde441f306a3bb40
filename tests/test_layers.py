"""Imports point one way: spaces <- predictors <- nas; and what must answer at once imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"spaces": {"spaces"}, "predictors": {"spaces", "predictors"}, "nas": {"spaces", "predictors", "nas"}}
# Of our own code a predictor reads graphs and their canonical form, and nothing of how they were chosen.
PREDICTORS_MAY_READ = {"spaces.graph", "spaces.canonical", "spaces.ops"}
HEAVY = {"torch", "torch_geometric", "sklearn", "scipy", "pydantic", "networkx"}


def imports(path: Path) -> set[str]:
    found = set()
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            found |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom) and item.module:
            assert item.level == 0, f"{path} imports relatively"
            found.add(item.module)
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = {name for name in imports(path) if name.partition(".")[0] in MAY_IMPORT}
        wrong = {name for name in ours if name.partition(".")[0] not in MAY_IMPORT[package]}
        if package == "predictors":
            wrong |= {name for name in ours if name.startswith("spaces") and name not in PREDICTORS_MAY_READ}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_strategies_know_no_evaluator_and_no_store() -> None:
    for path in sorted((ROOT / "nas" / "strategies").glob("*.py")):
        wrong = {name for name in imports(path) if name.startswith(("nas.evaluators", "nas.journal", "nas.executors", "nas.run"))}
        assert not wrong, f"{path.name} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", ["spaces", "spaces.load", "spaces.operators", "spaces.canonical", "nas.cli", "nas.journal", "nas.history"])
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_search_in_a_table_needs_no_torch() -> None:
    code = "import sys, nas.run; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False False"


def test_nothing_is_unpickled() -> None:
    """Run directories and exports may come from anybody."""
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert "allow_pickle=True" not in text, path
            assert "weights_only=False" not in text, path
            assert not imports(path) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, path
