"""Search strategies: which architectures to evaluate next."""

from collections.abc import Callable, Mapping

from nas.strategies.evolution import Evolution
from nas.strategies.local import LocalSearch
from nas.strategies.random import RandomSearch
from nas.strategies.strategy import Asked, Strategy
from nas.strategies.surrogate import SurrogateSearch

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "local": LocalSearch,
    "surrogate": SurrogateSearch,
}

__all__ = ["STRATEGIES", "Asked", "Evolution", "LocalSearch", "RandomSearch", "Strategy", "SurrogateSearch"]
