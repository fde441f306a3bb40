"""The rows are the published transformers, and their graphs are the paper's."""

from __future__ import annotations

from itertools import islice
from random import Random

import numpy
import pytest

from benchmarks.qnli_table import read_qnli
from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.flexibert.description import Layer, describe
from spaces.flexibert.qnli import rows, space
from spaces.operators import enumerate_all, sample


def test_the_size_is_a_power_of_each_depth():
    assert size(space) == 24**2 + 24**4


def test_a_layer_is_heads_norm_feed_forward_norm():
    described = describe(
        (Layer(128, ("sa_sdp",) * 2, (512,)), Layer(256, ("sa_wma",) * 4, (2048,)))
    )
    ops = [node.op for node in described.nodes]
    head, rest = ["self_attention"], ["add_norm", "feed_forward", "add_norm"]
    assert ops == ["input", *head * 2, *rest, *head * 4, *rest, "output"]
    incoming = [described.incoming[number] for number in (1, 2, 3, 4, 5)]
    assert incoming == [(0,), (0,), (0, 1, 2), (3,), (3, 4)]
    assert str(described.nodes[6]) == "self_attention(hidden=256, similarity=wma)"
    assert str(described.nodes[11]) == "feed_forward(features=2048)"


def test_the_number_of_nodes_is_the_papers():
    random = Random(0)
    for item in [sample(space, random) for _ in range(50)]:
        heads = [
            answer
            for path, answer in item.decisions
            if path.endswith("/heads") and isinstance(answer, int)
        ]
        assert len(heads) == item.answers["layers"]
        assert len(space.graph(item).nodes) == 2 + sum(count + 1 + 2 for count in heads)


def test_other_choices_give_another_graph():
    """All architectures of two layers, and a sample of those of four."""
    items = list(islice(enumerate_all(space), 24**2))
    assert {item.answers["layers"] for item in items} == {2}
    random = Random(1)
    items += [
        item for item in (sample(space, random) for _ in range(1200)) if item.answers["layers"] == 4
    ]
    assert len({canonical_key(space.graph(item)) for item in items}) == len(set(items)) > 1100


def test_rows_are_the_published_transformers(shared_data, tmp_path):
    columns = read_qnli(shared_data("flexibert_qnli.json.gz"))
    items = rows(columns)
    assert len(set(items)) == 660
    assert len({canonical_key(space.graph(item)) for item in items}) == 660
    assert str(items[1]) == (
        "layers=2, layer_0/hidden=128, layer_0/heads=2, layer_0/operation=sa_sdp, "
        "layer_0/stacks=1, layer_0/feed_forward=512, "
        "layer_1/hidden=128, layer_1/heads=2, layer_1/operation=sa_sdp, layer_1/stacks=1, "
        "layer_1/feed_forward=1024"
    )
    numpy.savez(tmp_path / "qnli.npz", **columns)  # pyright: ignore[reportArgumentType]
    table = table_evaluator(space, tmp_path / "qnli.npz", score="qnli")
    found = table.evaluate(items[1], seed=0)
    assert isinstance(found, Observation)
    assert found.score == pytest.approx(0.7490389895661724)
    random, known = Random(2), set(items)
    for item in [sample(space, random) for _ in range(30)]:
        assert isinstance(table.evaluate(item, seed=0), Observation if item in known else Failed)
