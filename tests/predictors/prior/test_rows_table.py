"""Any table of a space that has rows can become an expert of the prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.known_tables import column_of, rows_table
from benchmarks.pretrain import pretrained
from predictors.prior.networks import WHOLE, whole_numbers


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Cells of NAS-Bench-201 in one file and their values in another.

    The first and the last cell are equal, the second is disconnected, the third has no score. In
    the last but one a convolution leads nowhere.
    """
    cells = [[3, 0, 2, 0, 0, 3], [0] * 6, [3, 3, 3, 3, 3, 3]]
    cells += [[kind, other, 1, 2, 3, kind] for kind in range(1, 5) for other in range(1, 5)]
    cells += [[3, 0, 0, 2, 0, 0], [3, 0, 2, 0, 0, 3]]
    score = np.arange(len(cells), dtype=float)
    score[2] = np.nan
    np.savez(tmp_path / "cells.npz", arch=np.array(cells), name=np.array(["a"] * len(cells)))
    np.savez(tmp_path / "values.npz", score=score, seconds=1 + score)
    return f"nasbench201:{tmp_path / 'cells.npz'}+{tmp_path / 'values.npz'}"


def test_isomorphic_rows_share_their_mean_and_unlabelled_ones_are_left_out(
    table: str, tmp_path: Path
) -> None:
    read = rows_table(column_of(f"{table}:score"), tmp_path)
    assert list(read.labels) == ["score"]
    rows = read.family_M.tolist()
    assert not {1, 2, 20} & set(rows)
    assert read.labels["score"][rows.index(0)] == pytest.approx((0 + 20) / 2)
    assert len(read.networks) == len(rows) == len(set(rows))


def test_costs_are_negated_and_read_as_they_are_executed(table: str, tmp_path: Path) -> None:
    scores = rows_table(column_of(f"{table}:score"), tmp_path)
    costs = rows_table(column_of(f"{table}:seconds:cost"), tmp_path)
    assert costs.cost
    assert not scores.cost
    assert costs.labels["seconds"].max() == -1.0
    parameters = WHOLE.index("log2 parameters")
    needed, executed = (
        whole_numbers(each.networks)[each.family_M.tolist().index(19), parameters]
        for each in (scores, costs)
    )
    assert executed > needed


def test_a_kept_table_is_read_without_its_space(table: str, tmp_path: Path, monkeypatch) -> None:
    column = column_of(f"{table}:score")
    first = rows_table(column, tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr("benchmarks.known_tables.load_space", refuse)
    again = rows_table(column, tmp_path)
    assert np.array_equal(first.networks.node_NF, again.networks.node_NF)
    assert np.array_equal(first.labels["score"], again.labels["score"])


def test_columns_become_experts(table: str, tmp_path: Path) -> None:
    columns = [column_of(f"{table}:{name}") for name in ("score", "seconds:cost")]
    prior = pretrained(tmp_path, tmp_path, [], columns)
    assert [(each.table, each.column, each.cost) for each in prior.experts] == [
        ("cells", "score", False),
        ("cells", "seconds", True),
    ]


@pytest.mark.parametrize("text", ["score", "nasbench201:score", "nasbench201::score"])
def test_a_column_without_its_parts_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=r"SPACE:FILE.npz:COLUMN"):
        column_of(text)


def test_an_unknown_column_lists_the_known_ones(table: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="seconds"):
        rows_table(column_of(f"{table}:accuracy"), tmp_path)
