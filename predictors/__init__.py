"""Predictors: learn scores from few graphs, and say of any other graph what it will score and how sure that is.

    fitted = predictor("gnn", members=5).fit(graphs, scores, seed=0)
    prediction = fitted.predict(others)      # mean, aleatoric, epistemic: (M,) each, in score units
    fitted.save(directory)
    load_predictor(directory)

Importing this needs numpy alone; torch, scikit-learn and scipy are imported by the methods that compute with them.
"""

# The registry comes last: its function `predictor` takes the name of the module `predictors.predictor` in this package.
from predictors.predictor import Fitted, Prediction, Predictor
from predictors.registry import GNN, GP, PREDICTORS, Auto, ExtraTrees, Ridge, Trees, load_predictor, predictor

__all__ = ["GNN", "GP", "PREDICTORS", "Auto", "ExtraTrees", "Fitted", "Prediction", "Predictor", "Ridge", "Trees", "load_predictor", "predictor"]
