"""The latency and the peak memory of a module, without assertions on real times."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.latency import LatencySettings
from nas.latency.measuring import alone, lock_file, measure, peak_memory

CPU = torch.device("cpu")


def test_a_measurement_uses_the_given_clock_and_restores_the_number_of_threads() -> None:
    class Slow(nn.Module):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds, self.weight = seconds, nn.Parameter(torch.zeros(3, 5))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            nonlocal now
            assert not self.training
            assert torch.get_num_threads() == 1
            assert not torch.is_grad_enabled()
            now += self.seconds * len(inputs)
            return inputs @ self.weight

    now, before = 0.0, torch.get_num_threads()

    def clock() -> float:
        return now

    inputs = torch.zeros(4, 3)
    results = [
        measure(Slow(seconds), inputs, LatencySettings(), CPU, clock=clock, processor=clock)
        for seconds in (0.002, 0.003)
    ]
    assert [result.milliseconds for result in results] == pytest.approx([8.0, 12.0])
    assert all(result.trouble == "" for result in results)
    assert [result.memory for result in results] == [4 * (15 + 12 + 20)] * 2
    assert torch.get_num_threads() == before


def test_memory_is_that_of_weights_input_and_live_values() -> None:
    """The outputs of the convolution and the ReLU are alive together.

    The flat view uses the memory of the latter.
    """
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 5, bias=False),
    ).eval()
    weights, given, value = 4 * 3 * 9 + 256 * 5, 2 * 3 * 64, 2 * 4 * 64
    assert peak_memory(module, torch.zeros(2, 3, 8, 8)) == 4 * (weights + given + 2 * value)
    in_place = nn.Sequential(module[0], nn.ReLU(inplace=True))
    expected = 4 * (4 * 3 * 9 + given + value)
    assert peak_memory(in_place, torch.zeros(2, 3, 8, 8)) == expected


def test_memory_grows_with_the_batch_and_a_tied_weight_counts_once() -> None:
    tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    one = peak_memory(tied, torch.zeros(1, 6))
    tied[1].weight = tied[0].weight
    assert one - peak_memory(tied, torch.zeros(1, 6)) == 4 * 36
    assert peak_memory(tied, torch.zeros(8, 6)) > peak_memory(tied, torch.zeros(4, 6))


def test_measurements_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock belongs to one opening of the file, so a second opening acts as another process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def is_free() -> bool:
        with lock_file().open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    with alone():
        assert not is_free()
    assert is_free()

    class Looking(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            seen.append(is_free())
            return inputs

    seen: list[bool] = []
    measure(Looking(), torch.zeros(1, 2), LatencySettings(limit=0.01), CPU)
    assert set(seen) == {False}
