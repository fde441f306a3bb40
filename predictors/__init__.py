"""Predictors: learn scores from few graphs, and say of any other graph what it will score and how
sure that is.

    fitted = predictor("gnn", members=5).fit(graphs, scores, seed=0)
    prediction = fitted.predict(others)      # mean, aleatoric, epistemic: (M,) each, in score units
    fitted.save(directory)
    load_predictor(directory)

Importing this needs numpy alone; torch, scikit-learn and scipy are imported by the methods that
compute with them.
"""

from predictors.boshnas.surrogate import Boshnas
from predictors.learners.gp import GP
from predictors.learners.ridge import Ridge
from predictors.learners.stack import Auto, Quick
from predictors.learners.trees import ExtraTrees, Trees
from predictors.network.ensemble import GNN
from predictors.predictor import Fitted, Prediction, Predictor

# The registry comes last: its function `predictor` takes the name of the module
# `predictors.predictor` in this package.
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
