"""An export that is wrong or cannot be written is refused, and no files are left behind."""

from __future__ import annotations

import errno

import pytest
import torch
from safetensors.torch import load_file, save_file

import nas.export.exporting as export_module
from nas.evaluators.evaluator import Failed
from nas.export import ExportError, export
from nas.export.verify import Cases, verify
from nas.record.environment import environment
from nas.record.events import (
    outcome_event,
    round_event,
)
from nas.record.files import weights_file
from nas.record.journal import create
from nas.record.journal_file import JournalError
from nas.record.trials import Trial
from spaces import SearchSpace
from tests.nas.export.small_runs import METADATA, architecture, config_of, define


def test_an_export_that_differs_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    real = export_module.write_module

    def tampering(folder, text, network):
        real(folder, text, network)
        state = load_file(folder / "model.safetensors")
        state["linear_1.bias"][3] += 0.01
        save_file(state, folder / "model.safetensors")

    monkeypatch.setattr(export_module, "write_module", tampering)
    with pytest.raises(
        ExportError, match=r"differ from the trained network's by 0\.0\d+ for a batch of 1"
    ):
        export(run, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_export_that_needs_this_project_fails(tmp_path):
    (tmp_path / "model.py").write_text("import spaces\n")
    batch = (torch.zeros(1, 1),)
    with pytest.raises(ExportError, match=r"does not run by itself.*spaces"):
        verify("module", tmp_path, Cases(batch, batch, batch))


def test_a_network_with_outputs_that_are_not_finite_is_refused(run, tmp_path):
    path = weights_file(run, 0, 1)
    state = load_file(path)
    state["linear_1.bias"][0] = float("nan")
    save_file(state, path, METADATA)
    with pytest.raises(ExportError, match="not finite"):
        export(run, out=tmp_path / "out")


def test_wrong_requests_are_sentences(run, tmp_path):
    with pytest.raises(ValueError, match="there is no trial 9"):
        export(run, trial=9, out=tmp_path / "out")
    with pytest.raises(ValueError, match="the formats are module, pt2, onnx"):
        export(run, format="jit", out=tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="is not a run"):
        export(tmp_path, out=tmp_path / "out")
    with pytest.raises(ValueError, match="is not empty"):
        export(run, out=run)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        export(run, out=tmp_path / "file")
    with pytest.raises(ExportError, match="could not be written"):
        export(run, out=tmp_path / "file" / "out")
    with pytest.raises(ValueError, match="belongs to the space 'small'"):
        export(run, out=tmp_path / "out", space=SearchSpace("else", define))
    with create(tmp_path / "new", config_of("small"), environment()) as journal:
        trial = Trial(0, 0, "search", architecture(), "random", None, "c", 0)
        journal.append(
            [round_event(0, "search", [trial]), outcome_event(0, Failed("exception", "it broke"))]
        )
    with pytest.raises(ValueError, match="has a score yet"):
        export(tmp_path / "new", out=tmp_path / "out")
    with pytest.raises(ValueError, match="does not say the shapes"):
        export(tmp_path / "new", trial=0, out=tmp_path / "out", untrained=True)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_sentence(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_module, "write_module", full)
    with pytest.raises(ExportError, match="the disk is full"):
        export(run, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
