"""The schedules of the learning rate: their ends, their limits, and that `power` can go on."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from nas.training.loop import train
from nas.training.recipe import Recipe, learning_rates
from nas.training.schedules import SCHEDULES, ScheduleName
from tests.nas.training.networks import CPU, linear_task, seeded

PEAK = 0.02


def rates(schedule, steps=50, **changes):
    settings = {"epochs": 1, "learning_rate": PEAK, "warmup_epochs": 0.2, **changes}
    return learning_rates(Recipe(schedule=schedule, **settings), steps)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 1.0])
def test_every_schedule_rises_linearly_and_never_rises_again(schedule, warmup):
    found = rates(schedule, warmup_epochs=warmup, power_scale=0.01)
    count = round(50 * warmup)
    assert len(found) == 50
    assert 0 < min(found) <= max(found) <= PEAK
    top = found[count] if count < 50 else PEAK
    assert found[:count] == pytest.approx([top * (k + 1) / (count + 1) for k in range(count)])
    assert all(first >= second for first, second in pairwise(found[count:]))


def test_cosine_power_has_the_cosine_s_ends_and_falls_sooner():
    cosine, power = rates("cosine"), rates("cosine_power")
    assert rates("cosine_power", annealing_power=1.0) == cosine
    assert rates("cosine_power", annealing_power=1 + 1e-9) == pytest.approx(cosine, rel=1e-6)
    assert power[10] == cosine[10] == PEAK
    assert power[:10] == cosine[:10]
    assert all(ours < theirs for ours, theirs in zip(power[11:], cosine[11:], strict=True))
    assert 0 < power[-1] < 1e-2 * PEAK
    # The closed form of Hundt et al.: (p^(c + 1) - p) / (p^2 - p), half-way, where c is 1/2.
    assert power[30] == pytest.approx(PEAK * (10**1.5 - 10) / (100 - 10))


def test_power_follows_its_law_until_it_decays():
    found = rates("power", power_scale=0.01, batch_size=100)
    law = [min(PEAK, 100 * 0.01 * (100 * (step + 1)) ** -0.51) for step in range(50)]
    assert found[10:46] == pytest.approx(law[10:46])
    assert law[0] > law[45]
    assert found[45:] == pytest.approx([law[45] * (1 - step / 5) for step in range(5)])
    assert rates("power", power_scale=1e9)[10:46] == [PEAK] * 36
    assert rates("power", power_exponent=0.0, power_scale=1e-4, batch_size=100)[10:46] == (
        pytest.approx([0.01] * 36)
    )
    assert rates("power", power_scale=0.01, decay_share=0.0, batch_size=100)[10:] == pytest.approx(
        law[10:]
    )


def test_power_can_be_stopped_at_any_time():
    """A training planned for eight epochs, ended after six with a decay, is one of six epochs."""
    common = {"batch_size": 4, "schedule": "power", "power_scale": 1e-3, "decay_share": 1 / 6}
    six, eight = (
        Recipe(epochs=epochs, learning_rate=0.01, warmup_epochs=1, **common) for epochs in (6, 8)
    )
    task = linear_task()
    planned = seeded(lambda: torch.nn.Linear(3, 1))
    train(planned, task, six, seed=0, device=CPU)
    ended = seeded(lambda: torch.nn.Linear(3, 1))
    begun = train(ended, task, eight, seed=0, device=CPU, until=5)
    train(ended, task, six, seed=0, device=CPU, paused=begun.paused)
    assert torch.equal(ended.weight, planned.weight)
    other = seeded(lambda: torch.nn.Linear(3, 1))
    cosine = Recipe(epochs=8, learning_rate=0.01, warmup_epochs=1, batch_size=4)
    begun = train(other, task, cosine, seed=0, device=CPU, until=5)
    train(other, task, six, seed=0, device=CPU, paused=begun.paused)
    assert not torch.equal(other.weight, planned.weight)


def test_the_configuration_knows_the_schedules_of_the_table():
    assert get_args(ScheduleName) == tuple(SCHEDULES)
    schema = TypeAdapter(Recipe).json_schema()
    assert schema["properties"]["schedule"]["enum"] == list(SCHEDULES)
