"""Networks of timm and torchvision are described exactly and trained as they are."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.describing import examined
from benchmarks.vision_libraries import vision_library

TIMM = {
    "test_resnet": True,
    "test_vit": False,
    "test_byobnet": False,
    "test_efficientnet": False,
    "mobilenetv3_small_050": False,
}


def library(name: str) -> Any:
    pytest.importorskip("torch")
    try:
        return vision_library(name)
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")


def check(found: dict[str, Any]) -> None:
    assert found["described"], found["error"]
    assert found["parameters_equal"]
    assert found["multiply_adds_equal"]
    assert found["step"].startswith("equal")
    assert found["nodes"] <= 150


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_are_described_as_torch_counts_them(name):
    timm = library("timm")
    shape = tuple(timm.get_pretrained_cfg(name).input_size)
    found = examined(lambda: timm.create_model(name, pretrained=False), shape)
    check(found)
    assert found["traced"] == TIMM[name]


def test_a_classifier_of_torchvision_is_described_as_torch_counts_it():
    models = library("torchvision.models")
    check(examined(lambda: models.shufflenet_v2_x0_5(weights=None), (3, 64, 64)))


def test_a_network_that_returns_several_tensors_is_described_as_torch_counts_it():
    models = library("torchvision.models.segmentation")

    def program() -> Any:
        return models.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)

    check(examined(program, (3, 64, 64)))
