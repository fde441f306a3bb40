"""The predictors by name, and loading a saved predictor from its directory."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from predictors.frame.fitted import FittedModel
from predictors.frame.learner import part
from predictors.frame.store import Stored, read
from predictors.frame.targets import normal_scores_from
from predictors.frame.untrusted import checked, number
from predictors.learners.stack import LEARNERS, RESTORERS, Auto, Quick, restore_stack
from predictors.predictor import Fitted, Predictor
from predictors.reading.features import encoding_from_json
from spaces.graph import INPUT, OUTPUT, Edge, Graph

PREDICTORS: dict[str, Callable[..., Predictor]] = {"auto": Auto, "quick": Quick, **LEARNERS}
# The graph that every loaded predictor must be able to predict.
SMALLEST = Graph((INPUT, OUTPUT), (Edge(0, 1),))


def predictor(name: str, **settings: Any) -> Predictor:
    """The predictor of this name in `PREDICTORS`, with these settings and otherwise its defaults.

        >>> predictor("ridge", penalties=(0.1, 1.0))
        Ridge(penalties=(0.1, 1.0))

    Raises:
        ValueError: the name or a setting is unknown (the message lists the known ones), or the
            value of a setting is invalid.
    """
    if name not in PREDICTORS:
        raise ValueError(
            f"there is no predictor {name!r}; the known ones are {', '.join(sorted(PREDICTORS))}"
        )
    known = list(signature(PREDICTORS[name]).parameters)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"the predictor {name!r} has no setting {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return PREDICTORS[name](**settings)


def load_predictor(directory: str | Path) -> Fitted:
    """The predictor that `save` wrote into this directory; it predicts on the CPU.

    Nothing is unpickled: the files are JSON and safetensors.

    Raises:
        ValueError: a file is missing or malformed, or there is no predictor of the saved name.
    """
    stored = read(directory)
    if stored.name not in PREDICTORS:
        raise ValueError(
            f"{directory} holds the predictor {stored.name!r}; the known ones are "
            f"{', '.join(sorted(PREDICTORS))}"
        )
    try:
        fitted = _restore(stored)
        # If the parts do not fit together, the first prediction raises.
        fitted.predict([SMALLEST])
        return fitted
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{directory} does not hold a whole predictor {stored.name!r}: {reason}"
        ) from error


# A loaded predictor predicts on the CPU, wherever it was fitted. What it learnt from a prior is in
# its own files, so it opens no other ones.
_AFTER = {"device": "cpu", "prior": "none"}


def _restore(stored: Stored) -> FittedModel:
    missing = set(signature(PREDICTORS[stored.name]).parameters) - set(stored.settings)
    if missing:
        raise ValueError(f"its settings lack {', '.join(sorted(missing))}")
    settings = predictor(
        stored.name, **{name: _AFTER.get(name, value) for name, value in stored.settings.items()}
    )
    encoding = encoding_from_json(stored.state["encoding"])
    restore = {"auto": restore_stack, "quick": restore_stack, **RESTORERS}[stored.name]
    model = restore(settings, encoding, stored.state["model"], part(stored.arrays, "model."))
    scale, simplified = number(stored.state, "scale", least=0), stored.state["simplified"]
    if not isinstance(simplified, bool):
        raise ValueError(f"simplified must be true or false; it is {simplified!r}")
    disconnected = stored.state["dead"]
    if disconnected is not None:
        mean, deviation = disconnected
        disconnected = (checked(mean, "dead"), checked(deviation, "dead", least=0))
    target = normal_scores_from(stored.arrays)
    return FittedModel(settings, encoding, target, model, scale, simplified, disconnected)
