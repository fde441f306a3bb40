"""The settings of `asha` and `hyperband` in a configuration."""

from __future__ import annotations

import pytest

from nas.config.compose import compose
from nas.config.loading import load_config, parse_config
from nas.config.plug_ins import named_code
from nas.config.sections import ConfigError, RunConfig
from nas.config.strategy import strategy_of
from nas.strategies import ASHA, STRATEGIES, Evolution, Hyperband, RandomSearch, SurrogateSearch
from predictors import PREDICTORS


def config(strategy: object, **changes: object) -> RunConfig:
    """A run on the table of NAS-Bench-201 with this strategy."""
    table = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "fidelities": {0.3333: "c100_val_12"},
    }
    return parse_config(
        {
            "space": "nasbench201",
            "evaluator": table,
            "strategy": strategy,
            "executor": "inline",
            "predictor": "ridge",
            **changes,
        },
        "here",
    )


def test_over_is_made_like_any_strategy() -> None:
    over = {"name": "surrogate", "kappa": 0.5}
    made = strategy_of(config({"name": "asha", "over": over, "eta": 2, "least": 0.25}))
    assert isinstance(made, ASHA)
    assert made.over == SurrogateSearch(PREDICTORS["ridge"](), kappa=0.5)
    assert strategy_of(config("hyperband")) == Hyperband(RandomSearch())
    assert strategy_of(config({"name": "asha", "over": "evolution"})) == ASHA(Evolution())
    assert STRATEGIES["asha"] is ASHA


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        (
            {"name": "asha", "over": {"name": "surrogate", "kapa": 1}},
            "strategy 'surrogate' has no setting 'kapa'; did you mean 'kappa'",
        ),
        ({"name": "asha", "over": "genetic"}, "no strategy is called 'genetic'. Known: "),
        (
            {"name": "asha", "over": 3},
            r"strategy\.over should be a name, or a section with `name` and settings; got 3",
        ),
        ({"name": "asha", "over": {"kappa": 1}}, r"strategy\.over should be a name"),
        (
            {"name": "asha", "over": "hyperband"},
            "asha goes over a strategy that trains every architecture fully; Hyperband has rungs",
        ),
        ({"name": "hyperband", "over": {"name": "asha", "over": "random"}}, "hyperband goes over"),
        ({"name": "asha", "eta": 1}, "asha needs eta >= 2"),
        ({"name": "hyperband", "least": 0.5}, r"at most 1 / eta = 0\.3333; got 0\.5"),
        ({"name": "asha", "least": 0}, "above 0"),
        ({"name": "random", "over": "random"}, "strategy 'random' has no setting 'over'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(strategy: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        strategy_of(config(strategy))


def test_fidelities_that_cannot_be_had_are_refused_before_anything_starts() -> None:
    with pytest.raises(
        ValueError, match=r"scores of the fidelities 0\.3333, 1 alone; got 0\.1111\. Name a column"
    ):
        compose(config("asha"))
    trained = {
        "space": "convnet",
        "task": "digits",
        "strategy": "asha",
        "executor": {"name": "inline", "devices": "cpu"},
    }
    with pytest.raises(
        ConfigError, match=r"after 1, 1, 3 of training\.epochs.*raise training\.epochs to 9 or more"
    ):
        compose(parse_config({**trained, "training": {"epochs": 3}}, "here"))
    assert compose(parse_config({**trained, "training": {"epochs": 9}}, "here")).arms


def test_code_of_the_strategy_below_is_code_that_a_run_names(tmp_path) -> None:
    (tmp_path / "own.py").write_text("from nas.strategies import RandomSearch as Own\n")
    (tmp_path / "c.yaml").write_text(
        "space: nasbench201\n"
        "evaluator: {name: table, path: t.npz, score: s}\n"
        "strategy: {name: asha, over: own.py:Own}\n"
    )
    loaded = load_config(tmp_path / "c.yaml")
    assert named_code(loaded.model_dump(mode="json")) == (f"{tmp_path / 'own.py'}:Own",)
    made = strategy_of(loaded)
    assert isinstance(made, ASHA)
    assert made == ASHA(made.over)
    inner = load_config(tmp_path / "c.yaml", ["strategy.over={name: own.py:Own}"])
    assert named_code(inner.model_dump(mode="json")) == (f"{tmp_path / 'own.py'}:Own",)


def test_the_journal_s_configuration_is_read_back() -> None:
    made = config({"name": "asha", "least": 0.3333})
    assert parse_config(made.model_dump(mode="json"), "there") == made
