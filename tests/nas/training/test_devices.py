"""Devices are found by name, and one that is not there is refused with a reason."""

from __future__ import annotations

import pytest
import torch

from nas.training.devices import find_device
from tests.nas.training.networks import CPU


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tpu9", "auto, cpu, cuda"),
        ("meta", "cpu or cuda; got 'meta'"),
        ("cuda:63", "not on this machine, which has"),
    ],
)
def test_an_unknown_device_is_refused(name, says):
    with pytest.raises(ValueError, match=says):
        find_device(name)


def test_devices_are_found():
    assert find_device("cpu") == CPU
    assert find_device() == (torch.device("cuda", 0) if torch.cuda.is_available() else CPU)
