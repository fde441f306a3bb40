"""The fixture that writes the space of linear layers to a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nas.transfer.linear_layers import LAYERS


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, str]:
    """A space of linear layers and a task, as a configuration names them."""
    (tmp_path / "layers.py").write_text(LAYERS)
    return {"space": f"{tmp_path / 'layers.py'}:space", "task": f"{tmp_path / 'layers.py'}:task"}
