"""Predictors: learn scores from few graphs, and say of any other graph what it will score and how sure that is.

fitted = predictor("gnn", members=5).fit(graphs, scores, seed=0)
prediction = fitted.predict(others)      # mean, aleatoric, epistemic: (M,) each, in score units
fitted.save(directory)
load_predictor(directory)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from predictors.predictor import Fitted, Prediction, Predictor

if TYPE_CHECKING:
    from predictors.registry import GNN, PREDICTORS, RESTORERS, Ridge, Trees, load_predictor, predictor

__all__ = ["GNN", "PREDICTORS", "RESTORERS", "Fitted", "Prediction", "Predictor", "Ridge", "Trees", "load_predictor", "predictor"]


def __getattr__(name: str) -> Any:
    """The models are imported when they are asked for: the protocol alone needs neither torch nor scikit-learn."""
    if name in __all__:
        return getattr(import_module("predictors.registry"), name)
    raise AttributeError(f"module 'predictors' has no attribute {name!r}")
