"""The strategy that a configuration names, with its predictor, objectives and constraints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.config.arms import OUTSIDE
from nas.config.plug_ins import make_plug_in, named_in
from nas.config.sections import ConfigError, Named, RunConfig
from nas.objectives.objective import SCORE
from nas.strategies import STRATEGIES, Strategy


def predictor_of(config: RunConfig, prior: Path | None = None) -> Any:
    """The predictor of a configuration, as settings that can be fitted.

    Args:
        config: of the run.
        prior: the folder of a prior that it gets instead of that of the configuration.

    Raises:
        ConfigError: the predictor or a setting is unknown.
    """
    from predictors import PREDICTORS

    named = config.predictor
    if prior is not None:
        named = Named.model_validate({**named.settings, "name": named.name, "prior": str(prior)})
    return make_plug_in("predictor", PREDICTORS, named)


def strategy_of(config: RunConfig, prior: Path | None = None) -> Strategy:
    """The strategy of a configuration.

    It is given the run's predictor, objectives and constraints if it has fields of these names with
    `repr=False`. A strategy inside it (`strategy.over`) is made in the same way.

    Args:
        config: of the run.
        prior: see `predictor_of`.

    Raises:
        ConfigError: the strategy or a setting is unknown, or the strategy cannot optimise these
            objectives, or the run's proposals come from an agent outside (`nas.outside`); or the
            run is to begin from an older one and has no prior that could learn from it.
    """
    if config.strategy.name == OUTSIDE:
        raise ConfigError(
            "the strategy `outside` is an agent of somebody's own program, which proposes what "
            "is evaluated, so the program has to be run again: it opens "
            "the run's directory by nas.outside.SearchEnvironment.from_config, and goes on; or "
            "name one of the strategies " + ", ".join(STRATEGIES)
        )

    # Also for a strategy without a predictor, so that a wrong setting is never ignored.
    predictor = predictor_of(config, prior)
    offered: dict[str, Any] = {
        "predictor": lambda: predictor,
        "objectives": lambda: config.objectives,
        "constraints": lambda: config.constraints,
    }

    def made(named: Named) -> Strategy:
        within = {Strategy: lambda value: made(named_in("strategy.over", value))}
        return make_plug_in("strategy", STRATEGIES, named, within, **offered)

    strategy = made(config.strategy)
    if config.objectives != (SCORE,) and getattr(strategy, "objectives", None) != config.objectives:
        able = _with_field(STRATEGIES, "objectives")
        raise ConfigError(
            f"the strategy {config.strategy.name!r} is after the score alone; for other "
            f"objectives take {' or '.join(able)}, or leave `objectives` out"
        )
    if config.warm_start is not None:
        _check_has_prior(config, strategy, predictor)
    return strategy


def _check_has_prior(config: RunConfig, strategy: Strategy, predictor: Any) -> None:
    """Refuses `warm_start` where nothing would learn from the older run."""
    from predictors import PREDICTORS

    needs = "warm_start teaches the prior of the predictor that a strategy uses"
    if not _uses(strategy, predictor):
        able = _with_field(STRATEGIES, "predictor")
        raise ConfigError(
            f"{needs}, and the strategy {config.strategy.name!r} uses none here; take "
            f"{' or '.join(able)} (with candidates above 0), or asha or hyperband over one of "
            "them; or leave warm_start out"
        )
    if not hasattr(predictor, "prior") or not getattr(predictor, "reads_networks", True):
        able = _with_field(PREDICTORS, "prior")
        raise ConfigError(
            f"{needs}, and the predictor {config.predictor.name!r} has none as it is set; take "
            f"{' or '.join(able)} (auto with `whole` among its members); or leave warm_start out"
        )


def _uses(strategy: Any, predictor: Any) -> bool:
    """Whether the strategy, or the one inside it, applies the predictor to any candidates."""
    if getattr(strategy, "predictor", None) is predictor:
        return getattr(strategy, "candidates", 1) > 0
    return hasattr(strategy, "over") and _uses(strategy.over, predictor)


def _with_field(registry: Mapping[str, Any], name: str) -> list[str]:
    return [known for known, made in registry.items() if name in made.__dataclass_fields__]
