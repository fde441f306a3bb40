"""Whether a space still gives the networks that a run has recorded."""

from __future__ import annotations

from nas.record.trials import Trial
from spaces import SearchSpace
from spaces.canonical import canonical_key


def check_unchanged(space: SearchSpace, trial: Trial) -> None:
    """Refuses a space whose program has changed since the trial was proposed.

    The trial's scores and weights would belong to another network.

    Raises:
        ValueError: the trial's decisions do not give the network that the journal recorded.
    """
    advice = (
        f"put the space {space.name!r} back as it was when the run was made, or begin a new run"
    )
    try:
        key = canonical_key(space.graph(trial.architecture))
    except ValueError as error:
        raise ValueError(
            f"trial {trial.number} cannot be replayed, so the space has changed since: {error}; "
            f"{advice}"
        ) from error
    if key != trial.canonical:
        raise ValueError(
            f"the space has changed since the run: trial {trial.number} is another network now "
            f"than the one that was trained; {advice}"
        )
