"""Where a run keeps trained weights and paused trainings in its directory."""

from __future__ import annotations

from pathlib import Path

# The folder of paused trainings; it is removed when the search has ended.
CHECKPOINTS = "checkpoints"


def weights_file(directory: Path, trial: int, seed_index: int | None = None) -> Path:
    """The file of the trained weights of a trial.

    Args:
        directory: the run's.
        trial: its number.
        seed_index: the number of a finalist's full training, from 0; None for the trial's own.
    """
    name = f"trial-{trial:05d}"
    if seed_index is not None:
        name = f"final-{trial:05d}-{seed_index}"
    return directory / "weights" / f"{name}.safetensors"


def checkpoint_file(directory: Path, trial: int) -> Path:
    """The file in which a training is paused that began in this trial, and all its promotions."""
    return directory / CHECKPOINTS / f"trial-{trial:05d}.safetensors"
