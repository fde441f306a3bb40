"""The graph network: its messages, its members, and the ensemble."""

import subprocess
import sys
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch

from predictors import GNN, load_predictor, predictor
from predictors.network.gnn import GraphNetwork, Sizes
from predictors.network.layers import MemberLinear, to_tensors
from predictors.network.losses import pairwise_logistic, squared_error
from predictors.network.relations import Dense, Sparse
from predictors.ranking import kendall_tau
from predictors.reading.features import learn_encoding
from tests.contracts.predictor_contract import random_graphs, true_scores

GRAPHS = random_graphs(12, seed=5)
SMALL = GNN(members=3, width=16, layers=2, steps=30)


def tensors_of(graphs):
    encoding = learn_encoding(graphs)
    return encoding, to_tensors(encoding.encode(graphs), torch.device("cpu"))


def test_a_node_receives_messages_from_neighbours_ancestors_and_descendants():
    _, tensors = tensors_of(GRAPHS)
    for graph, matrix_RP in zip(GRAPHS, tensors.relations.matrix_MRP, strict=True):
        relations = matrix_RP.unflatten(0, (-1, 4)).transpose(0, 1)
        count = len(graph.nodes)
        edges = nx.MultiDiGraph()
        edges.add_nodes_from(range(count))
        edges.add_edges_from(
            (source, target, {"weight": 0.5 + 0.5 / (1 + slot)})
            for source, target, slot in graph.edges
        )
        feeds = torch.tensor(nx.to_numpy_array(edges, nodelist=range(count)), dtype=torch.float32)
        torch.testing.assert_close(relations[:2, :count, :count], torch.stack([feeds.T, feeds]))
        for node in range(count):
            for relation, reached in (
                (relations[2], nx.ancestors(edges, node)),
                (relations[3], nx.descendants(edges, node)),
            ):
                expected = torch.zeros(relation.shape[1])
                expected[sorted(reached)] = 1 / max(len(reached), 1)
                torch.testing.assert_close(relation[node], expected)
        assert relations[:, count:].sum() == relations[:, :, count:].sum() == 0


def test_sparse_relations_send_the_messages_of_dense_ones(monkeypatch):
    _, tensors = tensors_of(GRAPHS)
    monkeypatch.setattr("predictors.network.relations.MOST_PLACES", 0)
    _, others = tensors_of(GRAPHS)
    assert isinstance(tensors.relations, Dense)
    assert isinstance(others.relations, Sparse)
    some = torch.tensor([3, 11, 3, 0])
    features_KMPH = torch.randn(
        2, *tensors.present_MP.shape, 5, generator=torch.Generator().manual_seed(0)
    )
    for (relations, sparse), h_KMPH, present_MP in (
        ((tensors.relations, others.relations), features_KMPH, tensors.present_MP),
        (
            (tensors.relations.take(some), others.relations.take(some)),
            features_KMPH[:, some],
            tensors.present_MP[some],
        ),
    ):
        torch.testing.assert_close(sparse.weights, relations.weights[present_MP.flatten()])
        # The messages and their first and second derivatives. A second-order ascent needs the
        # latter.
        answers = []
        for each in (relations, sparse):
            x_KMPH = h_KMPH.clone().requires_grad_()
            message_KMPF = each.unpack(each.messages(each.pack(x_KMPH)))
            (slope_KMPH,) = torch.autograd.grad((message_KMPF**3).sum(), x_KMPH, create_graph=True)
            (curved_KMPH,) = torch.autograd.grad((slope_KMPH * h_KMPH).sum(), x_KMPH)
            answers.append((message_KMPF, slope_KMPH, curved_KMPH))
        for expected, received in zip(*answers, strict=True):
            torch.testing.assert_close(received, expected, rtol=1e-4, atol=1e-4)


def test_padding_changes_nothing():
    encoding, tensors = tensors_of(GRAPHS)
    network = GraphNetwork(
        Sizes(2, encoding.num_ops, encoding.num_node_features, width=8, layers=2),
        torch.Generator().manual_seed(0),
    )
    together = network(tensors)
    alone = torch.cat(
        [network(to_tensors(encoding.encode([graph]), torch.device("cpu"))) for graph in GRAPHS]
    )
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_a_member_linear_map_is_one_linear_map_for_each_member():
    layer = MemberLinear(3, 4, 5, torch.Generator().manual_seed(0))
    x = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(1))
    expected = torch.stack(
        [x[member] @ layer.weight[member] + layer.bias[member] for member in range(3)]
    )
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(
        layer(x[0]), torch.stack([x[0] @ layer.weight[member] for member in range(3)])
    )


def test_members_share_nothing():
    encoding, tensors = tensors_of(GRAPHS)
    sizes = Sizes(3, encoding.num_ops, encoding.num_node_features, width=8, layers=2)
    network = GraphNetwork(sizes, torch.Generator().manual_seed(0))
    mean = network(tensors)
    assert mean.shape == (12, 3)
    mean[:, 1].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad[1].abs().sum() > 0, name
        assert parameter.grad[[0, 2]].abs().sum() == 0, name


def test_losses_on_numbers_worked_by_hand():
    mean, target = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0.0, 2.0, 1.0])
    weight = torch.tensor([[1.0], [1.0], [0.0]])
    torch.testing.assert_close(squared_error(mean, target, weight), torch.tensor([0.5]))
    torch.testing.assert_close(
        pairwise_logistic(mean, target, weight), torch.nn.functional.softplus(torch.tensor([-1.0]))
    )
    assert pairwise_logistic(mean, torch.zeros(3), weight).item() == 0.0


def test_the_order_of_arguments_changes_the_prediction():
    from spaces import GraphBuilder

    def difference(first, second):
        builder = GraphBuilder()
        x = builder.input()
        values = {"conv": builder.node("conv", x), "pool": builder.node("pool", x)}
        return builder.output(builder.node("sub", values[first], values[second], ordered=True))

    fitted = replace(SMALL, steps=60).fit(
        [difference("conv", "pool"), difference("pool", "conv")] * 2, [1.0, 2.0, 1.0, 2.0]
    )
    lower, upper = fitted.predict([difference("conv", "pool"), difference("pool", "conv")]).mean
    assert upper - lower > 0.1


def test_batches_of_graphs_train_as_well():
    graphs = random_graphs(60, seed=1)
    fitted = replace(SMALL, steps=80, batch_size=16).fit(graphs, true_scores(graphs))
    others = random_graphs(60, seed=2)
    assert kendall_tau(fitted.predict(others).mean, true_scores(others)) > 0.4


def test_encoded_graphs_are_predicted_as_graphs_are():
    fitted = SMALL.fit(GRAPHS, true_scores(GRAPHS))
    np.testing.assert_array_equal(
        fitted.predict_encoded(fitted.encode(GRAPHS)).mean, fitted.predict(GRAPHS).mean
    )


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        SMALL.fit(GRAPHS, true_scores(GRAPHS)).predict(GRAPHS)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_number_of_cores_does_not_change_what_is_learnt(monkeypatch):
    graphs = random_graphs(20, seed=6)
    mean = SMALL.fit(graphs, true_scores(graphs), seed=0).predict(GRAPHS).mean
    monkeypatch.setattr("predictors.network.optimisation.os.cpu_count", lambda: 1)
    np.testing.assert_array_equal(
        SMALL.fit(graphs, true_scores(graphs), seed=0).predict(GRAPHS).mean, mean
    )


def test_another_process_gives_the_same_prediction():
    script = (
        "from tests.contracts.predictor_contract import random_graphs, true_scores; from "
        "predictors import GNN; "
        "g = random_graphs(12, seed=5); p = GNN(members=3, width=16, layers=2, steps=30).fit(g, "
        "true_scores(g), seed=4).predict(g); print(repr(p.std.sum()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == repr(
        SMALL.fit(GRAPHS, true_scores(GRAPHS), seed=4).predict(GRAPHS).std.sum()
    )


def test_settings_and_names_are_checked():
    with pytest.raises(
        ValueError, match="auto, boshnas, extra_trees, gnn, gp, quick, ridge, trees"
    ):
        predictor("forest")
    with pytest.raises(ValueError, match="no setting depth; it has members"):
        predictor("gnn", depth=3)
    with pytest.raises(ValueError, match="at least 2; got 1"):
        predictor("gnn", members=1)
    with pytest.raises(ValueError, match="learning_rate"):
        predictor("trees", learning_rate=0)
    with pytest.raises(ValueError, match="positive penalties"):
        predictor("ridge", penalties=())


def test_a_directory_of_another_size_is_refused(tmp_path):
    SMALL.fit(GRAPHS, true_scores(GRAPHS)).save(tmp_path)
    settings = (tmp_path / "predictor.json").read_text()
    for old, new in (
        ('"width": 16', '"width": 8'),
        ('"name": "gnn"', '"name": "trees"'),
        ('"layers": 2', '"layers": "two"'),
    ):
        (tmp_path / "predictor.json").write_text(settings.replace(old, new))
        with pytest.raises(ValueError, match="does not hold a whole predictor"):
            load_predictor(tmp_path)
    (tmp_path / "predictor.json").write_text(settings.replace('"name": "gnn"', '"name": "oracle"'))
    with pytest.raises(
        ValueError, match="auto, boshnas, extra_trees, gnn, gp, quick, ridge, trees"
    ):
        load_predictor(tmp_path)


def test_it_ranks_nasbench201(shared_data):
    from spaces.nasbench201 import space

    table = np.load(shared_data("nasbench201.npz"), allow_pickle=False)
    random = np.random.default_rng(0)
    labelled = np.flatnonzero(np.isfinite(table["c10_val_200"]))
    train = random.choice(labelled, 78, replace=False)
    test = random.choice(
        np.flatnonzero(~np.isin(table["isomorph"], table["isomorph"][train])), 1500, replace=False
    )
    graphs = [
        space.graph(architecture)
        for architecture in space.rows({"arch": table["arch"][np.concatenate([train, test])]})
    ]
    fitted = GNN(members=3, width=32, layers=3, steps=120).fit(
        graphs[:78], table["c10_val_200"][train]
    )
    assert kendall_tau(fitted.predict(graphs[78:]).mean, table["c10_test_200"][test]) > 0.7


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, predictors; assert callable(predictors.predictor); print([m for m in "
        "('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_hidden_nodes_count_in_training_and_a_wrong_share_is_refused():
    scores = true_scores(GRAPHS)
    shown, hidden = (
        replace(SMALL, hidden=share).fit(GRAPHS, scores).predict(GRAPHS).mean
        for share in ((0.0,), (0.5,))
    )
    assert np.abs(shown - scores).mean() < np.abs(hidden - scores).mean()
    for wrong in ((), (1.0,), (-0.1,)):
        with pytest.raises(ValueError, match="shares of hidden nodes, each at least 0 and below 1"):
            GNN(hidden=wrong)
