"""The table evaluator finds each architecture, and reports what the table lacks."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import numpy
import pytest

from nas.evaluators.evaluator import FinalResult, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.operators import sample
from tests.contracts.evaluator_contract import check_evaluator, check_failure
from tests.nas.evaluators.spaces import NASBENCH201, SMALL, cell

COLUMNS = {"score": "c100_val_200", "test": "c100_test_200"}


@pytest.fixture(scope="module")
def table():
    return table_evaluator(
        NASBENCH201,
        "builtin:nasbench201",
        **COLUMNS,
        seconds="c100_epoch_seconds",
        epochs=200,
        metrics={"parameters": "c100_params"},
    )


@pytest.fixture(scope="module")
def part_of_the_table(table, tmp_path_factory):
    """The rows whose first operation is a convolution, as a file."""
    with numpy.load(str(files("nas") / "data" / "nasbench201.npz")) as columns:
        kept = numpy.isin(columns["arch"][:, 0], (2, 3))
        path = tmp_path_factory.mktemp("table") / "part.npz"
        numpy.savez(
            path,
            **{name: columns[name][kept] for name in ("arch", "c100_val_200", "c100_test_200")},
        )
    return path


def test_the_table_keeps_the_contract(table, tmp_path):
    source = random.Random(0)
    check_evaluator(table, [sample(NASBENCH201, source) for _ in range(20)], tmp_path)


def test_the_table_knows_the_best_cell(table):
    """NAS-Bench-201's best on CIFAR-100: 73.51 % test accuracy."""
    best = int(numpy.argmax(table.test))
    final = table.finalize(table.architectures[best], seed=0)
    assert isinstance(final, FinalResult)
    assert final.test == pytest.approx(73.5133, abs=1e-3)
    assert final.validation == pytest.approx(float(table.scores[best]))
    observed = table.evaluate(table.architectures[best], seed=0)
    assert isinstance(observed, Observation)
    assert 200 * 5 < observed.seconds == final.seconds < 200 * 40
    assert dict(observed.metrics)["parameters"] > 5e4


def test_the_table_imports_no_torch():
    code = (
        "import sys\nfrom nas.evaluators.table import table_evaluator\n"
        "from spaces.load import load_space\n"
        "table = table_evaluator(load_space('nasbench201'), 'builtin:nasbench201', "
        "score='c100_val_200', test='c100_test_200')\n"
        "table.evaluate(table.architectures[3], seed=0)\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_isomorphic_row_stands_in_for_one_that_is_missing(part_of_the_table):
    part = table_evaluator(NASBENCH201, part_of_the_table, **COLUMNS)
    # In the missing cell node 1 has no input; in the other its output is not used.
    missing = cell("none", *["nor_conv_3x3"] * 5)
    conv = "nor_conv_3x3"
    isomorphic = cell(conv, conv, "none", conv, "none", conv)
    key = canonical_key(NASBENCH201.graph(missing))
    assert canonical_key(NASBENCH201.graph(isomorphic)) == key
    first = next(row for row in part.architectures if canonical_key(NASBENCH201.graph(row)) == key)
    assert part.evaluate(missing, seed=0) == part.evaluate(first, seed=0)
    only = cell("skip_connect", *["nor_conv_3x3"] * 5)
    check_failure(
        part.evaluate(only, seed=0),
        "missing",
        "has no score for the architecture edge_0_1=skip_connect",
    )
    check_failure(part.finalize(only, seed=0), "missing", "has no test score")


def test_a_number_that_is_not_there_is_a_failure(table):
    sparse = table_evaluator(NASBENCH201, "builtin:nasbench201", score="c10_val_200")
    results = [sparse.evaluate(architecture, seed=0) for architecture in sparse.architectures]
    assert sum(isinstance(result, Observation) for result in results) == 725
    check_failure(results[0], "missing", "builtin:nasbench201 has no score")
    check_failure(
        sparse.finalize(sparse.architectures[0], seed=0), "missing", "without a test column"
    )
    with pytest.raises(
        ValueError,
        match=(
            r"scores of the fidelities 1 alone; got 0\.5\. Name a column for it in "
            r"evaluator\.fidelities"
        ),
    ):
        table.evaluate(table.architectures[0], seed=0, fidelity=0.5)


def test_columns_give_lower_fidelities():
    table = table_evaluator(
        NASBENCH201,
        "builtin:nasbench201",
        **COLUMNS,
        seconds="c100_epoch_seconds",
        epochs=200,
        fidelities={0.06: "c100_val_12"},
    )
    whole, early = (
        table.evaluate(table.architectures[7], seed=0, fidelity=fidelity)
        for fidelity in (1.0, 12 / 200)
    )
    assert isinstance(whole, Observation)
    assert isinstance(early, Observation)
    assert early.score == table.fidelities[0.06][7] != whole.score == table.scores[7]
    assert early.seconds == pytest.approx(0.06 * whole.seconds)
    near = table.evaluate(table.architectures[7], seed=0, fidelity=0.0605)
    assert near == replace(early, seconds=pytest.approx(0.0605 * whole.seconds))
    with pytest.raises(ValueError, match=r"scores of the fidelities 0\.06, 1 alone; got 0\.062"):
        table.evaluate(table.architectures[7], seed=0, fidelity=0.062)


@pytest.mark.parametrize(
    ("path", "changes", "says"),
    [
        ("missing.npz", {}, "there is no file missing.npz"),
        ("builtin:nasbench404", {}, "no shipped table 'nasbench404'; there is nasbench201"),
        (
            "builtin:nasbench201",
            {"score": "accuracy"},
            "no column 'accuracy'; it has arch, c10_val_12",
        ),
        ("builtin:nasbench201", {"test": "c100_val_200"}, "the search would see the test scores"),
        (
            "builtin:nasbench201",
            {"metrics": {"peek": "c100_test_200"}},
            "the search would see the test scores",
        ),
        (
            "builtin:nasbench201",
            {"fidelities": {0.06: "c100_test_200"}},
            "the search would see the test scores",
        ),
        (
            "builtin:nasbench201",
            {"fidelities": {1.0: "c100_val_12"}},
            "fidelities are shares of the epochs, more than 0 and less than 1",
        ),
        ("builtin:nasbench201", {"fidelities": {0.06: "c100_val_13"}}, "no column 'c100_val_13'"),
        (
            "builtin:nasbench201",
            {"seconds": "arch"},
            "'arch' of .* should be 15625 numbers, one a row",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(path, changes, says):
    with pytest.raises(ValueError, match=says):
        table_evaluator(NASBENCH201, path, **{**COLUMNS, **changes})


def test_a_table_of_another_space_is_refused(tmp_path):
    numpy.savez(tmp_path / "t.npz", c100_val_200=numpy.zeros(3))
    with pytest.raises(
        ValueError,
        match="no column 'arch', which the space 'nasbench201' reads; it has c100_val_200",
    ):
        table_evaluator(NASBENCH201, tmp_path / "t.npz", score="c100_val_200")
    with pytest.raises(ValueError, match="the space 'small' has no `rows`"):
        table_evaluator(SMALL, tmp_path / "t.npz", score="c100_val_200")


def test_the_shipped_table_is_the_published_one(shared_data, table):
    with (
        numpy.load(shared_data("nasbench201.npz")) as source,
        numpy.load(str(files("nas") / "data" / "nasbench201.npz")) as shipped,
    ):
        for name in shipped.files:
            assert shipped[name].dtype == source[name].dtype
            numpy.testing.assert_array_equal(shipped[name], source[name])
    described = (files("nas") / "data" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in described for name in ("arch", "c100_val_200", "c10_params"))
    assert "MIT" in described
