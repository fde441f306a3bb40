"""Every built-in predictor passes the checks of the contract."""

import pytest

from predictors import PREDICTORS, load_predictor, predictor
from tests.contracts.predictor_contract import CHECKS

SMALL = {
    "gnn": {"members": 2, "width": 16, "layers": 2, "steps": 40},
    "trees": {"members": 2, "rounds": 15},
    "extra_trees": {"members": 2, "trees": 15},
    "ridge": {},
    "gp": {},
    "boshnas": {"members": 2, "steps": 100, "samples": 8},
    "auto": {"members": ("gp", "trees", "ridge")},
    "quick": {},
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(PREDICTORS))
def test_contract(name, check, tmp_path):
    check(predictor(name, **SMALL[name]), load_predictor, tmp_path)


def test_every_predictor_is_tested():
    assert set(SMALL) == set(PREDICTORS)
