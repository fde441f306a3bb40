"""The task of generated curves: what it draws, from which seed, and which arguments it takes."""

from __future__ import annotations

import pytest
import torch

from nas.tasks import load_task
from nas.tasks.sequences import LENGTH, TEMPLATES
from spaces import Shapes

CLEAN = {"noise": 0.0, "shift": 0.0, "stretch": 0.0, "scale": 0.0, "shear": 0.0}


def test_the_splits_are_fresh_draws_with_equally_many_curves_of_each_class():
    task = load_task("sequences", count=50, validation_count=30, test_count=40)
    assert task.shapes == Shapes((1, LENGTH), (len(TEMPLATES),))
    assert task.classes == tuple(TEMPLATES)
    for split, count in ((task.train, 50), (task.validation, 30), (task.test, 40)):
        assert split.inputs.shape == (count, 1, LENGTH)
        assert torch.bincount(split.targets).tolist() == [count // 10] * 10
    drawn = torch.cat([task.train.inputs, task.validation.inputs, task.test.inputs])
    assert len(torch.unique(drawn, dim=0)) == 120
    prepared = task.prepare(task.train.inputs)
    assert prepared.mean().item() == pytest.approx(0, abs=1e-4)
    assert prepared.std().item() == pytest.approx(1, abs=1e-4)


def test_the_seed_draws_all_and_one_split_does_not_depend_on_the_size_of_another():
    first, again, other = (load_task("sequences", seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint()
    for part in ("train", "validation", "test"):
        one, two = getattr(first, part), getattr(other, part)
        assert not torch.equal(one.inputs, two.inputs)
        assert not torch.equal(one.targets, two.targets)
    more = load_task("sequences", seed=3, count=300)
    assert torch.equal(more.test.inputs, first.test.inputs)


def test_without_any_change_a_curve_is_its_template_in_the_middle():
    task = load_task("sequences", seed=0, count=10, **CLEAN)
    for curve, label in zip(task.train.inputs[:, 0], task.train.targets, strict=True):
        template = torch.tensor(list(TEMPLATES.values())[label])
        # 20 steps for the 11 between the points, from point 9.5 of the curve to point 29.5.
        assert not curve[:10].any()
        assert not curve[30:].any()
        places = (torch.arange(10, 30) - 9.5) * 11 / 20
        left = places.long()
        share = places - left
        expected = (1 - share) * template[left] + share * template[left + 1]
        assert torch.allclose(curve[10:30], expected, atol=1e-6)


def test_each_argument_changes_what_it_names():
    def curves(**changes):
        options = {**CLEAN, **changes}
        return load_task("sequences", seed=0, count=2000, **options).train.inputs[:, 0]

    clean = curves()
    scaled = curves(scale=0.5).amax(1) / clean.amax(1)
    assert 0.5 <= scaled.min() < 0.55
    assert 1.45 < scaled.max() <= 1.5
    sloped = curves(shear=0.8) - clean
    rise = sloped[:, -1] - sloped[:, 0]
    assert 0.75 < rise.max() <= 0.8 + 1e-6
    assert torch.allclose(sloped.sum(1), torch.zeros(2000), atol=1e-4)
    # Unmoved curves lie on the points 10 to 29; moved ones reach both ends.
    assert not clean[:, [*range(10), *range(30, 40)]].any()
    moved = curves(shift=1.0) != 0
    assert moved[:, :2].any()
    assert moved[:, -2:].any()
    lengths = (curves(stretch=0.5) != 0).sum(1)
    assert 5 <= lengths.min() < 12
    assert 26 < lengths.max() <= 30


@pytest.mark.parametrize("correlation", [0.0, 1.5, 4.0])
def test_noise_has_its_variance_and_its_correlation(correlation):
    options = {**CLEAN, "correlation": correlation}
    clean, noisy = (
        load_task("sequences", seed=0, count=4000, **{**options, "noise": noise}).train.inputs[:, 0]
        for noise in (0.0, 0.2)
    )
    noise = noisy - clean
    assert noise.std(0).min().item() == pytest.approx(0.2, rel=0.06)
    assert noise.std(0).max().item() == pytest.approx(0.2, rel=0.06)
    # A Gaussian of deviation s over white noise correlates points at distance d by exp(-d²/4s²).
    expected = torch.tensor(-1 / (4 * correlation**2)).exp().item() if correlation else 0.0
    correlated = (noise[:, 20] * noise[:, 21]).mean() / 0.04
    assert correlated.item() == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": 9}, "each of its 10 classes in every split; count is 9: give 10 or more"),
        ({"test_count": 0}, "test_count is 0"),
        ({"noise": -0.1}, "noise is 0 or more; got -0.1"),
        ({"correlation": float("inf")}, "correlation is 0 or more; got inf"),
        ({"shear": float("nan")}, "shear is 0 or more; got nan"),
        ({"shift": 1.5}, "shift lies between 0 and 1; got 1.5"),
        ({"stretch": 1.0}, "stretch lies between 0 and 0.9; got 1.0"),
        ({"scale": -1.0}, "scale lies between 0 and 0.9; got -1.0"),
    ],
)
def test_arguments_out_of_range_are_refused_with_a_sentence(options, says):
    with pytest.raises(ValueError, match=says):
        load_task("sequences", **options)
