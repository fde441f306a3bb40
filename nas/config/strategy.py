"""The strategy that a configuration names, with its predictor, objectives and constraints."""

from __future__ import annotations

from typing import Any

from nas.config.arms import OUTSIDE
from nas.config.plug_ins import make_plug_in, named_in
from nas.config.sections import ConfigError, Named, RunConfig
from nas.objectives.objective import SCORE
from nas.strategies import STRATEGIES, Strategy


def strategy_of(config: RunConfig) -> Strategy:
    """The strategy of a configuration.

    It is given the run's predictor, objectives and constraints if it has fields of these names with
    `repr=False`. A strategy inside it (`strategy.over`) is made in the same way.

    Raises:
        ConfigError: the strategy or a setting is unknown, or the strategy cannot optimise these
            objectives, or the run's proposals come from an agent outside (`nas.outside`).
    """
    if config.strategy.name == OUTSIDE:
        raise ConfigError(
            "the strategy `outside` is an agent of somebody's own program, which proposes what "
            "is evaluated, so the program has to be run again: it opens "
            "the run's directory by nas.outside.SearchEnvironment.from_config, and goes on; or "
            "name one of the strategies " + ", ".join(STRATEGIES)
        )

    from predictors import PREDICTORS

    # Also for a strategy without a predictor, so that a wrong setting is never ignored.
    predictor = make_plug_in("predictor", PREDICTORS, config.predictor)
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
        able = [
            name for name, known in STRATEGIES.items() if "objectives" in known.__dataclass_fields__
        ]
        raise ConfigError(
            f"the strategy {config.strategy.name!r} is after the score alone; for other "
            f"objectives take {' or '.join(able)}, or leave `objectives` out"
        )
    return strategy
