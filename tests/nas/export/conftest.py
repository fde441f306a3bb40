"""A run with two finalists and the weights of all trainings; exports without verification."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

import nas.export.exporting as export_module
from nas.evaluators.weights import save_weights
from nas.record.files import weights_file
from spaces.load import SPACES
from tests.nas.export.small_runs import METADATA, SMALL, a_run, architecture, space, trained


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """Two finalists with two full trainings each, and the weights of every training."""
    monkeypatch.setitem(SPACES, "small", "space_of_this_test:space")
    monkeypatch.setitem(sys.modules, "space_of_this_test", types.SimpleNamespace(space=SMALL))  # type: ignore[arg-type]
    items = [architecture(), architecture(6, "tanh")]
    directory = a_run(tmp_path / "run", items)
    for number, item in enumerate(items):
        save_weights(trained(space, item, number), weights_file(directory, number), METADATA)
        for index in range(2):
            network = trained(space, item, 10 * number + index + 5)
            save_weights(network, weights_file(directory, number, index), METADATA)
    return directory


@pytest.fixture
def unverified(monkeypatch):
    """Skips the verification in a fresh process, which takes seconds."""
    monkeypatch.setattr(export_module, "verify", lambda *_: 0.0)
