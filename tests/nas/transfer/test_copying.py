"""Which tensors are copied from a donor, and by which rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas.transfer.copying import correspondence, inherited, overlap
from spaces import Graph, GraphBuilder
from spaces.build import build
from spaces.graph import node
from tests.nas.transfer.chains import RELU, chain, linear


def fresh(graph: Graph, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(graph)


def filled(graph: Graph, value: float) -> dict[str, torch.Tensor]:
    return {
        name: torch.full_like(tensor, value) for name, tensor in build(graph).state_dict().items()
    }


def taken(
    donor: Graph, child: Graph, rule, state=None
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The child's state before and after; without a state all numbers of the donor are 7."""
    before = fresh(child).state_dict()
    given = filled(donor, 7.0) if state is None else state
    return before, inherited(before, given, correspondence(donor, child), rule, seed=3)


NARROW, WIDE = chain(linear(3), RELU, linear(2)), chain(linear(5), RELU, linear(2))


def test_exact_leaves_tensors_of_other_sizes_fresh() -> None:
    before, after = taken(NARROW, WIDE, "exact")
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "linear_2.bias"
    }
    assert (after["linear_2.bias"] == 7).all()
    assert overlap(NARROW, WIDE, "exact") == 1 / 4


def test_ordered_copies_the_leading_slice_to_and_from_a_larger_tensor() -> None:
    before, after = taken(NARROW, WIDE, "ordered")
    assert (after["linear_1.weight"][:3] == 7).all()
    assert torch.equal(after["linear_1.weight"][3:], before["linear_1.weight"][3:])
    assert (after["linear_2.weight"][:, :3] == 7).all()
    assert torch.equal(after["linear_2.weight"][:, 3:], before["linear_2.weight"][:, 3:])
    assert overlap(NARROW, WIDE, "ordered") == pytest.approx((3 / 5 + 3 / 5 + 3 / 5 + 1) / 4)
    state = {
        name: torch.arange(float(tensor.numel())).reshape(tensor.shape)
        for name, tensor in filled(WIDE, 0).items()
    }
    assert torch.equal(
        taken(WIDE, NARROW, "ordered", state)[1]["linear_1.weight"], state["linear_1.weight"][:3]
    )
    assert overlap(WIDE, NARROW, "ordered") == 1.0


def test_projections_of_consecutive_layers_use_the_same_coordinates() -> None:
    donor, child = chain(linear(4), linear(4)), chain(linear(7), linear(4))
    state = {
        name: torch.eye(4) if name.endswith("weight") else torch.ones(4)
        for name in filled(donor, 0)
    }
    before, after = taken(donor, child, "projection", state)
    # The first layer becomes P W and the second W Pᵀ, with W = 1.
    assert after["linear_1.weight"].shape == (7, 4)
    assert torch.equal(after["linear_1.weight"], after["linear_2.weight"].T)
    assert torch.equal(after["linear_1.bias"], before["linear_1.bias"]), "vectors are not projected"
    assert torch.equal(after["linear_2.bias"], torch.ones(4)), "vectors of the same size are copied"
    assert overlap(donor, child, "projection") == 3 / 4
    wide = chain(linear(4000), linear(4))
    widened = taken(donor, wide, "projection", state)[1]
    product = widened["linear_2.weight"] @ widened["linear_1.weight"]
    assert torch.allclose(product, torch.eye(4), atol=0.15), "inner products are nearly preserved"
    again, other = (
        inherited(before, state, correspondence(donor, child), "projection", seed=seed)
        for seed in (3, 4)
    )
    assert torch.equal(again["linear_1.weight"], after["linear_1.weight"])
    assert not torch.allclose(other["linear_1.weight"], after["linear_1.weight"])


@pytest.mark.parametrize("rule", ["ordered", "projection"])
def test_kernels_are_aligned_at_their_centres(rule) -> None:
    def network(kernel: int, channels: int = 2) -> Graph:
        attributes = {"kernel_size": kernel, "padding": kernel // 2, "bias": False}
        return chain(node("conv2d", out_channels=channels, **attributes), shape=(1, 5, 5))

    before, after = taken(network(3), network(5), rule)
    assert (after["conv2d_1.weight"][:, :, 1:4, 1:4] == 7).all()
    ring = torch.ones(5, 5, dtype=torch.bool)
    ring[1:4, 1:4] = False
    assert torch.equal(after["conv2d_1.weight"][:, :, ring], before["conv2d_1.weight"][:, :, ring])
    assert overlap(network(3), network(5), rule) == pytest.approx(9 / 25)
    state = {"conv2d_1.weight": torch.arange(50.0).reshape(2, 1, 5, 5)}
    assert torch.equal(
        taken(network(5), network(3), rule, state)[1]["conv2d_1.weight"],
        state["conv2d_1.weight"][:, :, 1:4, 1:4],
    )
    assert overlap(network(5), network(3, 6), "projection") == 1.0


def test_running_statistics_are_copied_and_constants_are_not() -> None:
    def network(size: int) -> Graph:
        builder = GraphBuilder()
        mapped = builder.node("linear", builder.input((4,)), out_features=size)
        value = builder.node("batch_norm1d", mapped)
        constant = builder.add(
            replace(node("buffer", shape=(size, size), fill=("cosine",)), label="cosine")
        )
        return builder.output(builder.node("matmul", value, constant, ordered=True))

    before, after = taken(network(3), network(3), "exact")
    assert torch.equal(after["cosine"], before["cosine"])
    assert (after["batch_norm1d_1.running_var"] == 7).all()
    assert torch.equal(
        after["batch_norm1d_1.num_batches_tracked"], before["batch_norm1d_1.num_batches_tracked"]
    )
    assert overlap(network(3), network(3), "exact") == 1.0
    assert overlap(network(4), network(3), "exact") == 0.0


def test_tensors_are_named_as_each_network_names_them() -> None:
    one, two = (chain(linear(3, label), RELU, linear(2)) for label in ("one", "two"))
    assert one == two
    (first, *_), (second, *_) = correspondence(one, two), correspondence(two, one)
    assert (first.donor.name, first.child.name) == ("one.weight", "two.weight")
    assert (second.donor.name, second.child.name) == ("two.weight", "one.weight")


def test_shared_weights_are_one_tensor() -> None:
    shared, apart = (
        chain(*(item, RELU) * 2, linear(2))
        for item in (node("linear", out_features=4, share="one"), linear(4))
    )
    weights = [
        [(each.child.name, each.donor.name) for each in correspondence(*pair)][::2]
        for pair in ((apart, shared), (shared, apart))
    ]
    assert weights[0] == [
        ("linear_1.weight", "linear_1.weight"),
        ("linear_2.weight", "linear_3.weight"),
    ]
    assert weights[1] == [
        ("linear_1.weight", "linear_1.weight"),
        ("linear_2.weight", "linear_1.weight"),
        ("linear_3.weight", "linear_2.weight"),
    ]
    assert overlap(apart, shared, "exact") == overlap(shared, apart, "exact") == 1.0


def test_another_network_s_weights_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"should have linear_1\.weight of sizes \(3, 4\), and have the sizes \(5, 4\): "
        "the space has changed",
    ):
        taken(NARROW, WIDE, "ordered", filled(WIDE, 0))
    with pytest.raises(ValueError, match="no such tensor"):
        taken(NARROW, WIDE, "ordered", {})
