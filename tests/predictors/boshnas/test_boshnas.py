"""BOSHNAS' surrogate; its contract as a predictor is tested in test_contract.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from predictors import Boshnas, load_predictor
from predictors.boshnas.distilled import (
    Distillation,
    SoftplusNetwork,
    Teacher,
    dropout_masks,
    train_natural,
    train_student,
    train_teacher,
)
from predictors.boshnas.embeddings import EMBEDDINGS, Components
from predictors.boshnas.surrogate import Surrogate
from predictors.calibration import coverage, folds_of
from predictors.frame.learner import Training
from predictors.ranking import kendall_tau
from predictors.reading.features import learn_encoding
from spaces import GraphBuilder
from spaces.load import load_space
from spaces.operators import sample
from tests.contracts.predictor_contract import random_graphs, true_scores

SMALL = Boshnas(members=2, steps=100, samples=8)


def surrogate(settings: Boshnas = SMALL, count: int = 40, seed: int = 0) -> Surrogate:
    graphs = random_graphs(count, seed=1)
    model = settings.fit(graphs, true_scores(graphs), seed=seed).model
    assert isinstance(model, Surrogate)
    return model


def test_heteroscedastic_noise_is_estimated() -> None:
    random = np.random.default_rng(0)
    x_N1 = torch.from_numpy(random.uniform(-1, 1, (150, 1)).astype(np.float32))
    noise_N = torch.from_numpy(random.normal(size=150).astype(np.float32)) * torch.where(
        x_N1[:, 0] > 0, 0.8, 0.1
    )
    absent_NK = torch.from_numpy(np.arange(150)[:, None] % 5 == np.arange(-1, 5))
    network = train_natural(
        6,
        (32, 32),
        "relu",
        x_N1,
        torch.sin(2 * x_N1[:, 0]) + noise_N,
        absent_NK,
        Distillation(300, 1e-2, 0.1),
        0,
    )
    mean_KN, variance_KN = network(torch.tensor([[-0.5], [0.5]]))
    assert mean_KN[0].tolist() == pytest.approx([np.sin(-1), np.sin(1)], abs=0.25)
    low, high = variance_KN[0].sqrt().tolist()
    assert 0.03 < low < 0.3 < high < 1.2


def test_held_out_labels_stop_a_training_before_it_overfits_noise() -> None:
    random = np.random.default_rng(0)
    x_ND, y_N = (
        torch.from_numpy(array.astype(np.float32))
        for array in (random.normal(size=(60, 8)), random.normal(size=60))
    )
    folds_NK = np.arange(60)[:, None] % 5 == np.arange(-1, 5)

    def training_error(held_out_NK: torch.Tensor) -> float:
        settings = Distillation(300, 1e-2, 0.0)
        teacher = train_teacher(6, (64, 32), 0.1, 4, x_ND, y_N, held_out_NK, settings, 0)
        return float(((teacher.network(x_ND)[0] - y_N) ** 2).mean())

    # The labels are pure noise. A training that is not stopped fits a good part of it.
    no_folds_NK = torch.zeros(60, 6, dtype=torch.bool)
    assert training_error(no_folds_NK) < 0.5 < training_error(torch.from_numpy(folds_NK))


def test_the_student_predicts_the_deviation_of_its_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    network = SoftplusNetwork(3, 4, (64, 32), generator)
    teacher = Teacher(network, tuple(dropout_masks(3, (64, 32), 12, 0.3, generator)))
    x_ND = torch.randn(60, 4, generator=generator)
    student = train_student(teacher, (64, 32), x_ND, Distillation(300, 1e-2, 0.0), 0)
    between_MD = 0.5 * (x_ND[:30] + x_ND[30:])
    predicted_KM = torch.nn.functional.softplus(student(between_MD))
    true_KM = teacher.moments(between_MD)[1].detach()
    for predicted_M, true_M in zip(predicted_KM, true_KM, strict=True):
        assert np.corrcoef(predicted_M.numpy(), true_M.numpy())[0, 1] > 0.8
        assert float((predicted_M - true_M).abs().mean()) < 0.2 * float(true_M.mean())


def test_a_dropped_unit_is_dropped_for_all_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    network = SoftplusNetwork(2, 3, (16,), generator)
    teacher = Teacher(network, tuple(dropout_masks(2, (16,), 5, 0.4, generator)))
    x_MD = torch.randn(7, 3, generator=generator)
    for together, alone in zip(teacher.moments(x_MD), teacher.moments(x_MD[:1]), strict=True):
        torch.testing.assert_close(together[:, :1], alone)
    assert teacher.masks[0].unique().tolist() == pytest.approx([0.0, 1 / 0.6])


@pytest.mark.parametrize("heteroscedastic", [True, False])
def test_predictions_are_twice_differentiable_and_the_weights_are_frozen(
    heteroscedastic: bool,
) -> None:
    model = surrogate(replace(SMALL, heteroscedastic=heteroscedastic))
    x_MD = torch.zeros(3, model.embedding.arrays()["direction"].shape[1], requires_grad=True)
    mean_M, aleatoric_M, epistemic_M = model.predict_at(x_MD)
    (slope,) = torch.autograd.grad(
        (mean_M + aleatoric_M + epistemic_M).sum(), x_MD, create_graph=True
    )
    (bend,) = torch.autograd.grad(slope.sum(), x_MD)
    assert slope.abs().max() > 0
    assert bend.isfinite().all()
    assert bend.abs().max() > 0
    networks = [model.teacher.network, model.student, *([model.natural] if model.natural else [])]
    assert not any(weight.requires_grad for network in networks for weight in network.parameters())


def test_without_heteroscedasticity_the_noise_is_one_number() -> None:
    graphs, others = random_graphs(40, seed=1), random_graphs(20, seed=2)
    for heteroscedastic in (True, False):
        fitted = replace(SMALL, heteroscedastic=heteroscedastic).fit(graphs, true_scores(graphs))
        belief = fitted.model.predict(fitted.encode(others))
        assert len(np.unique(belief.aleatoric)) == (20 if heteroscedastic else 1)
        assert len(np.unique(belief.epistemic)) == 20


def test_intervals_cover_unseen_labels() -> None:
    graphs, others = random_graphs(60, seed=1), random_graphs(200, seed=2)
    random = np.random.default_rng(0)
    fitted = SMALL.fit(graphs, true_scores(graphs) + random.normal(size=60), seed=0)
    share_50, share_90 = coverage(
        fitted.predict(others), true_scores(others) + random.normal(size=200), (0.5, 0.9)
    )
    assert 0.3 < share_50 < 0.85
    assert share_90 > 0.75


def test_a_copy_of_some_members_predicts_as_they_did() -> None:
    model = surrogate()
    x_MD = torch.randn(
        5,
        model.embedding.arrays()["direction"].shape[1],
        generator=torch.Generator().manual_seed(0),
    )
    for all_KM, alone_KM in zip(
        model.by_member(x_MD), model.only(1, model.noise).by_member(x_MD), strict=True
    ):
        torch.testing.assert_close(all_KM[:1], alone_KM)


def test_the_components_keep_distances_among_features() -> None:
    graphs = random_graphs(50, seed=3)
    encoded = learn_encoding(graphs).encode(graphs)
    whole = EMBEDDINGS["counts"].learn(encoded, 10_000, 0)
    assert isinstance(whole, Components)
    place_ND, feature_NC = whole.embed(encoded), np.clip(encoded.counts_MC, -3, 3)
    assert place_ND.shape[1] < 50
    assert float((place_ND**2).mean()) == pytest.approx(1, rel=1e-3)
    ratio = np.linalg.norm(place_ND[:-1] - place_ND[1:], axis=1) / np.linalg.norm(
        feature_NC[:-1] - feature_NC[1:], axis=1
    )
    assert ratio == pytest.approx(np.full(49, ratio.mean()), rel=1e-3)
    np.testing.assert_allclose(
        EMBEDDINGS["counts"].learn(encoded, 5, 0).embed(encoded).shape, (50, 5)
    )


def test_the_surrogate_works_with_the_embedding_by_edit_distance(tmp_path: Path) -> None:
    graphs, others = random_graphs(40, seed=1), random_graphs(30, seed=2)
    fitted = replace(SMALL, embedding="distance").fit(graphs, true_scores(graphs), seed=0)
    predicted = fitted.predict(others)
    assert kendall_tau(predicted.mean, true_scores(others)) > 0.4
    fitted.save(tmp_path)
    np.testing.assert_array_equal(load_predictor(tmp_path).predict(others).mean, predicted.mean)
    encoded = learn_encoding(graphs).encode(graphs)
    place_ND = EMBEDDINGS["distance"].learn(encoded, 8, 0).embed(encoded)
    assert place_ND.shape == (40, 8)
    assert float((place_ND**2).mean()) == pytest.approx(1, rel=1e-3)
    written = json.loads((tmp_path / "predictor.json").read_text())
    written["state"]["model"]["embedding"]["scale"] = 0.0
    (tmp_path / "predictor.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match="center and scale"):
        load_predictor(tmp_path)


def test_an_embedding_can_use_the_graphs_themselves() -> None:
    space, random = load_space("nasbench101"), __import__("random").Random(0)
    graphs = [space.graph(sample(space, random)) for _ in range(20)]
    encoded = learn_encoding(graphs).encode(graphs)
    assert encoded.graphs() == graphs
    rows = np.array([3, 3, 17])
    assert encoded.take(rows).graphs() == [graphs[row] for row in rows]


def test_a_node_that_names_the_device_is_encoded_as_any_other() -> None:
    """An architecture and a device are encoded as one graph (BOSHCODE)."""

    def on(device: str, operations: int):
        builder = GraphBuilder()
        value = builder.input()
        for _ in range(operations):
            value = builder.node("conv", value)
        return builder.output(builder.node("runs on", value, device=device))

    pairs = [(device, operations) for device in ("phone", "server") for operations in range(1, 13)]
    costs = [operations * (3.0 if device == "phone" else 1.0) for device, operations in pairs]
    graphs = [on(*pair) for pair in pairs]
    fitted = Boshnas(members=2, steps=200, samples=8).fit(graphs, -np.array(costs))
    phone, server = fitted.predict([on("phone", 9), on("server", 9)]).mean
    assert server > phone + 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedding": "words"}, "known: counts"),
        ({"widths": ()}, "at least one"),
        ({"teacher_widths": (0,)}, "whole numbers"),
        ({"activation": "tanh"}, "known: relu, sigmoid"),
        ({"dropout": 1.0}, "between 0 and 1"),
        ({"samples": 1}, "samples, at least 2"),
        ({"members": 0}, "members, at least 1"),
    ],
)
def test_invalid_settings_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boshnas(**settings)


def test_without_folds_no_label_is_held_out() -> None:
    graphs = random_graphs(6, seed=1)
    encoding = learn_encoding(graphs)
    training = Training(
        encoding, encoding.encode(graphs), np.linspace(-1, 1, 6), folds_of(graphs, 5, 0)
    )
    learnt = SMALL.learn(training, 0)
    assert learnt.left_out.mean.tolist() == [0.0] * 6
    assert learnt.excess == 0.0
