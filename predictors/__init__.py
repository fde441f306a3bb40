"""Predictors learn from graphs with scores, and predict other graphs' scores with uncertainty.

    fitted = predictor("gnn", members=5).fit(graphs, scores, seed=0)
    prediction = fitted.predict(others)      # mean, aleatoric, epistemic: (M,) each, in score units
    fitted.save(directory)
    fitted = load_predictor(directory)

Importing this package needs numpy alone; torch, scikit-learn and scipy are imported only by the
methods that compute with them.
"""

from predictors.boshnas.learner import Boshnas
from predictors.learners.gp import GP
from predictors.learners.ridge import Ridge
from predictors.learners.stack import Auto, Quick
from predictors.learners.trees import ExtraTrees, Trees
from predictors.network.ensemble import GNN
from predictors.predictor import Fitted, Prediction, Predictor

# The registry must be imported last: its function `predictor` replaces the module of the same name
# as an attribute of this package.
from predictors.registry import PREDICTORS, load_predictor, predictor  # isort: skip

__all__ = [
    "GNN",
    "GP",
    "PREDICTORS",
    "Auto",
    "Boshnas",
    "ExtraTrees",
    "Fitted",
    "Prediction",
    "Predictor",
    "Quick",
    "Ridge",
    "Trees",
    "load_predictor",
    "predictor",
]
