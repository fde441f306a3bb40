"""Which trial is exported, and with which weights; and how the weights come into the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.config.config import RunConfig, TableSection
from nas.evaluators.evaluator import FinalResult
from nas.objectives.constraints import feasible
from nas.record.arms import SEARCH
from nas.record.history import Final, History, Trial
from nas.search.run import final_seed, weights_file, winner

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Chosen:
    """What is exported.

    Attributes:
        trial: the trial asked for.
        source: the trial whose architecture and weights are taken: `trial`, or one whose graph is
            isomorphic and that was trained in its stead.
        weights: the file of the weights; None: fresh ones.
        final: the full training that gave them; None where the search's own training did.
    """

    trial: Trial
    source: Trial
    weights: Path | None = None
    final: Final | None = None


def choose(
    directory: Path, config: RunConfig, history: History, number: int | None, *, untrained: bool
) -> Chosen:
    """The trial of that number, else the search's winner, else (without finalists) the best
    observed one, and its best weights.

    Of a finalist's full trainings the one with the best validation score is taken.

    Raises:
        ValueError: there is no such trial, nothing was observed, or no weights were kept.
    """
    trial = _trial(directory, config, history, number)
    if untrained:
        return Chosen(trial, trial)
    trained = next(_trained(directory, config, history, trial), None)
    if trained is None:
        raise ValueError(_no_weights(directory, config, history, trial))
    return trained


def _trial(directory: Path, config: RunConfig, history: History, number: int | None) -> Trial:
    if number is not None:
        return history.trial(number)
    best = winner(history, SEARCH)
    if best is not None:
        return history.trial(best)
    seen = feasible(history, config.constraints)
    observed = seen.of_arm(SEARCH).best or seen.best
    if observed is None:
        lacks = "keeps the constraints" if history.observed else "has a score yet"
        raise ValueError(
            f"nothing in {directory} {lacks}, so there is no best trial; name one with --trial, "
            "or wait for the search"
        )
    return observed


def _trained(
    directory: Path, config: RunConfig, history: History, trial: Trial
) -> Iterator[Chosen]:
    """Everything that could be exported of a trial, the best first. A twin of another arm was
    trained once, under its own number.
    """
    twins = [
        trial,
        *(
            other
            for other in history.trials
            if other.canonical == trial.canonical and other.number != trial.number
        ),
    ]
    indices = {final_seed(config, index): index for index in range(config.finalists.seeds)}
    finals = [
        (final, final.result.validation)
        for final in history.finals
        if isinstance(final.result, FinalResult) and final.seed in indices
    ]
    for twin in twins:
        for final, _ in sorted(
            (item for item in finals if item[0].trial == twin.number), key=lambda item: -item[1]
        ):
            path = weights_file(directory, twin.number, indices[final.seed])
            if path.is_file():
                yield Chosen(trial, twin, path, final)
    for twin in twins:
        path = weights_file(directory, twin.number)
        # A promotion is the same network, of another number of epochs.
        if twin.fidelity == trial.fidelity and path.is_file():
            yield Chosen(trial, twin, path)


def _no_weights(directory: Path, config: RunConfig, history: History, trial: Trial) -> str:
    fresh = "--untrained exports the architecture with fresh weights"
    if isinstance(config.evaluator, TableSection):
        return f"the run {directory} has no weights: its scores were looked up in a table; {fresh}"
    finalists = sorted({finalist.trial for finalist in history.finalists})
    others = (
        f"finalists are the trials {', '.join(map(str, finalists))}; "
        if finalists and trial.number not in finalists
        else ""
    )
    kept = f" (keep_weights is {config.keep_weights})" if config.keep_weights != "all" else ""
    return f"the run {directory} holds no weights of trial {trial.number}{kept}; {others}{fresh}"


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name and the metadata of a safetensors file.

    Raises:
        ValueError: the file cannot be read or is not whole.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"the weights {path} cannot be read ({error}); export another trial or seed, or "
            "train it again"
        ) from error


def load_weights(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Puts the tensors into the module.

    Raises:
        ValueError: tensors are missing, unknown or of other shapes than the module's.
    """
    own = module.state_dict()
    missing, unknown = (
        [name for name in own if name not in state],
        [name for name in state if name not in own],
    )
    other = [
        name
        for name in own
        if name in state
        and (state[name].shape, state[name].dtype) != (own[name].shape, own[name].dtype)
    ]
    problems = [f"it lacks {_some(missing)}"] if missing else []
    problems += [f"it has {_some(unknown)}, which the network has not"] if unknown else []
    problems += [
        f"{name} is {_kind(state[name])} and should be {_kind(own[name])}" for name in other[:1]
    ]
    if problems:
        raise ValueError(
            f"the weights {path} do not fit the network of their trial: {'; '.join(problems)}. "
            "Was the space changed since the run?"
        )
    module.load_state_dict(state)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
