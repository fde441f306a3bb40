"""Search strategies, which choose the architectures to evaluate next, by name."""

from collections.abc import Callable, Mapping

from nas.strategies.asha import ASHA
from nas.strategies.boshnas import BOSHNAS
from nas.strategies.evolution import Evolution
from nas.strategies.hyperband import Hyperband
from nas.strategies.local import LocalSearch
from nas.strategies.map_elites import MapElites
from nas.strategies.mcts import MCTS
from nas.strategies.nsga2 import NSGA2
from nas.strategies.pgvae import PGVAE
from nas.strategies.random import RandomSearch
from nas.strategies.smbo import SMBO
from nas.strategies.strategy import Asked, Strategy
from nas.strategies.surrogate import SurrogateSearch

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "local": LocalSearch,
    "map_elites": MapElites,
    "surrogate": SurrogateSearch,
    "mcts": MCTS,
    "smbo": SMBO,
    "nsga2": NSGA2,
    "asha": ASHA,
    "hyperband": Hyperband,
    "pgvae": PGVAE,
    "boshnas": BOSHNAS,
}

__all__ = [
    "ASHA",
    "BOSHNAS",
    "MCTS",
    "NSGA2",
    "PGVAE",
    "SMBO",
    "STRATEGIES",
    "Asked",
    "Evolution",
    "Hyperband",
    "LocalSearch",
    "MapElites",
    "RandomSearch",
    "Strategy",
    "SurrogateSearch",
]
