"""The trial to export is chosen with its best stored weights; these are read and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.config.arms import SEARCH
from nas.config.sections import TableSection
from nas.config.stored_run import StoredRun
from nas.evaluators.evaluator import FinalResult
from nas.objectives.constraints import feasible
from nas.record.files import weights_file
from nas.record.trials import Final, Trial
from nas.search.finalists import final_seed, winner

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Chosen:
    """The trial to export, and the origin of its weights.

    Attributes:
        trial: the requested trial.
        source: the trial whose architecture and weights are used: `trial`, or one with an
            isomorphic graph that was trained instead.
        weights: the file of the weights; None for fresh weights.
        final: the full training that gave them; None if the training in the search did.
    """

    trial: Trial
    source: Trial
    weights: Path | None = None
    final: Final | None = None


def choose(run: StoredRun, number: int | None, *, untrained: bool) -> Chosen:
    """The trial to export, with its best stored weights or with fresh ones.

    The weights of a full training are preferred to those of the search; of several full trainings
    the one with the best validation score is chosen.

    Args:
        run: the run.
        number: of the trial. None: the search's winner, or the best observed trial if there are no
            finalists.
        untrained: chooses fresh weights.

    Raises:
        ValueError: there is no such trial, nothing was observed, or no weights were kept.
    """
    trial = _trial(run, number)
    if untrained:
        return Chosen(trial, trial)
    trained = next(_trained(run, trial), None)
    if trained is None:
        raise ValueError(_no_weights(run, trial))
    return trained


def _trial(run: StoredRun, number: int | None) -> Trial:
    if number is not None:
        return run.history.trial(number)
    best = winner(run.history, SEARCH)
    if best is not None:
        return run.history.trial(best)
    seen = feasible(run.history, run.config.constraints)
    observed = seen.of_arm(SEARCH).best or seen.best
    if observed is None:
        lacks = "keeps the constraints" if run.history.observed else "has a score yet"
        raise ValueError(
            f"nothing in {run.directory} {lacks}, so there is no best trial; name one with "
            "--trial, or wait for the search"
        )
    return observed


def _trained(run: StoredRun, trial: Trial) -> Iterator[Chosen]:
    """All stored weights of the trial's network, the best first.

    They include those of isomorphic trials: a network that is proposed again, for example in the
    other arm, is trained only once, under one of the numbers.
    """
    same_network = [
        other
        for other in run.history.trials
        if other.canonical == trial.canonical and other.number != trial.number
    ]
    trials = [trial, *same_network]
    indices = {
        final_seed(run.config.seed, index): index for index in range(run.config.finalists.seeds)
    }
    finals = [
        (final.result.validation, final)
        for final in run.history.finals
        if isinstance(final.result, FinalResult) and final.seed in indices
    ]
    finals.sort(key=lambda item: -item[0])
    for source in trials:
        for _, final in finals:
            if final.trial == source.number:
                path = weights_file(run.directory, source.number, indices[final.seed])
                if path.is_file():
                    yield Chosen(trial, source, path, final)
    for source in trials:
        path = weights_file(run.directory, source.number)
        # A promoted trial has the same network, trained for another number of epochs.
        if source.fidelity == trial.fidelity and path.is_file():
            yield Chosen(trial, source, path)


def _no_weights(run: StoredRun, trial: Trial) -> str:
    fresh = "--untrained exports the architecture with fresh weights"
    if isinstance(run.config.evaluator, TableSection):
        return (
            f"the run {run.directory} has no weights: its scores were looked up in a table; {fresh}"
        )
    lacks = f"the run {run.directory} holds no weights of trial {trial.number}"
    if run.config.keep_weights != "all":
        lacks += f" (keep_weights is {run.config.keep_weights})"
    finalists = sorted({finalist.trial for finalist in run.history.finalists})
    if finalists and trial.number not in finalists:
        lacks += f"; finalists are the trials {', '.join(map(str, finalists))}"
    return f"{lacks}; {fresh}"


def read_stored(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name and the metadata of a safetensors file.

    Raises:
        ValueError: the file cannot be read, is incomplete, or is damaged.
    """
    from nas.evaluators.weights import read_weights

    try:
        return read_weights(path)
    except ValueError as error:
        raise ValueError(f"{error}; export another trial or seed, or train it again") from error


def load_weights(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Loads the tensors into the module.

    Raises:
        ValueError: tensors are missing or unknown, or their shapes or types differ from the
            module's.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
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
