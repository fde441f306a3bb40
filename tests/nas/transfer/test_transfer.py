"""Weights of a neighbour: whose they are, which tensors are taken over and how, and runs in which
trainings begin with them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nas.export.exporting as export_module
from nas.config.config import ConfigError, RunConfig, parse_config
from nas.evaluators.evaluator import Donor, Failed, Observation
from nas.evaluators.train import TrainEvaluator, save_weights
from nas.export import export
from nas.record.history import History, Proposal, Trial, fold, outcome_event, round_event
from nas.record.journal import open_for_reading
from nas.report import sections
from nas.report.summary import summarize, terminal_summary
from nas.report.trials import to_text, trajectory
from nas.search.donors import donor_of
from nas.search.run import RunFailed, resume, start, weights_file
from nas.training.checkpoint import read_tensors
from nas.training.recipe import Recipe
from nas.transfer import RULES, TransferSettings, counterparts
from nas.transfer.copying import correspondence, inherited, overlap
from spaces import Architecture, Graph, GraphBuilder, SearchSpace, Shapes
from spaces.build import build
from spaces.graph import Node, node
from spaces.load import load_space
from spaces.operators import mutate, sample

# Which node takes which.


def chain(*nodes: Node, shape: tuple[int, ...] = (4,)) -> Graph:
    builder = GraphBuilder()
    value = builder.input(shape)
    for item in nodes:
        value = builder.add(item, value)
    return builder.output(value)


def linear(width: int, label: str = "") -> Node:
    return replace(node("linear", out_features=width), label=label)


RELU, TANH = node("relu"), node("tanh")


def test_a_chain_s_counterparts_are_the_common_beginning_whatever_the_sizes() -> None:
    donor, child = (
        chain(linear(8), RELU, linear(8), RELU, linear(3)),
        chain(linear(8), RELU, linear(6), TANH, linear(3)),
    )
    assert counterparts(donor, child) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert counterparts(donor, chain(TANH, linear(8), RELU)) == {0: 0}
    longer = chain(linear(8), RELU, linear(8), RELU, linear(8), RELU, linear(3))
    # The head of the one is no head of the other, and is taken over all the same, as long as its
    # size allows: only operations are compared.
    assert counterparts(donor, longer) == {number: number for number in range(6)}


def test_what_computes_nothing_stands_in_nobody_s_way() -> None:
    donor = chain(linear(8), node("dropout", p=0.5), RELU, node("identity"), linear(3))
    assert counterparts(donor, chain(linear(8), RELU, linear(3))) == {0: 0, 1: 1, 2: 3, 3: 5, 4: 6}


def branches(*ops: str, then: str = "add") -> Graph:
    """Side by side from the input, each an operation between two projections, joined."""
    builder = GraphBuilder()
    value = builder.input((4,))
    ends = [
        builder.node(
            "linear",
            builder.node(op, builder.node("linear", value, out_features=5)),
            out_features=5,
        )
        for op in ops
    ]
    return builder.output(
        builder.node(
            "linear",
            builder.node(
                then, *ends, ordered=then == "cat", **({"dim": 1} if then == "cat" else {})
            ),
            out_features=2,
        )
    )


def test_paths_side_by_side_are_followed_each_to_its_own_first_difference() -> None:
    # Nodes: input, (linear, op, linear) for each branch, join, head, output.
    assert counterparts(branches("relu", "tanh"), branches("relu", "sigmoid")) == {
        0: 0,
        1: 1,
        2: 2,
        3: 3,
        4: 4,
    }
    assert counterparts(
        branches("relu", "relu", then="cat"), branches("relu", "relu", then="cat")
    ) == {number: number for number in range(10)}
    assert counterparts(branches("relu", "relu"), branches("relu", "relu", then="mul")) == {
        number: number for number in range(7)
    }


def attention(*labels: str, skipped: str = "relu") -> Graph:
    """A first operation, then projections of one value with labels, the first of which is
    multiplied by a parameter.
    """
    builder = GraphBuilder()
    value = builder.node(skipped, builder.input((6, 4)))
    projected = [builder.add(linear(4, label), value) for label in labels]
    matrix = builder.add(
        replace(node("parameter", shape=(4, 4), fill=("uniform", -1.0, 1.0)), label="between")
    )
    return builder.output(
        builder.node(
            "add", builder.node("matmul", projected[0], matrix, ordered=True), *projected[1:]
        )
    )


def test_of_several_the_one_whose_label_ends_in_the_same_word_is_taken() -> None:
    donor, child = attention("a.query", "a.key", "a.value"), attention("b.query", "b.value")
    assert counterparts(donor, child) == {0: 0, 1: 1, 2: 2, 3: 4, 4: 5, 5: 6}
    assert counterparts(attention("", "", ""), attention("", ""))[3] == 3, (
        "graphs that differ in their labels alone are equal, and not the same"
    )


def test_a_parameter_goes_with_the_first_node_that_uses_it() -> None:
    donor = attention("query", "key")
    assert counterparts(donor, donor) == {number: number for number in range(8)}
    assert counterparts(donor, attention("query", "key", skipped="tanh")) == {0: 0}


# How the tensors are taken over.


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
    """The child's state before and after; the donor's is all 7 where it is not given."""
    before = fresh(child).state_dict()
    return before, inherited(
        before,
        filled(donor, 7.0) if state is None else state,
        correspondence(donor, child),
        rule,
        seed=3,
    )


NARROW, WIDE = chain(linear(3), RELU, linear(2)), chain(linear(5), RELU, linear(2))


def test_exact_leaves_tensors_of_other_sizes_fresh() -> None:
    before, after = taken(NARROW, WIDE, "exact")
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "linear_2.bias"
    }
    assert (after["linear_2.bias"] == 7).all()
    assert overlap(NARROW, WIDE, "exact") == 1 / 4


def test_ordered_copies_the_leading_slice_into_a_larger_tensor_and_out_of_one() -> None:
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


def test_a_projection_keeps_the_coordinates_of_one_layer_for_the_next() -> None:
    donor, child = chain(linear(4), linear(4)), chain(linear(7), linear(4))
    state = {
        name: torch.eye(4) if name.endswith("weight") else torch.ones(4)
        for name in filled(donor, 0)
    }
    before, after = taken(donor, child, "projection", state)
    # From W' = P W, and W'' = W Pᵀ, with W = 1.
    assert after["linear_1.weight"].shape == (7, 4)
    assert torch.equal(after["linear_1.weight"], after["linear_2.weight"].T)
    assert torch.equal(after["linear_1.bias"], before["linear_1.bias"]), "vectors are not projected"
    assert torch.equal(after["linear_2.bias"], torch.ones(4)), "those of the same size are copied"
    assert overlap(donor, child, "projection") == 3 / 4
    wide = chain(linear(4000), linear(4))
    product = (lambda s: s["linear_2.weight"] @ s["linear_1.weight"])(
        taken(donor, wide, "projection", state)[1]
    )
    assert torch.allclose(product, torch.eye(4), atol=0.15), (
        "the products of vectors are nearly kept"
    )
    assert torch.equal(
        inherited(before, state, correspondence(donor, child), "projection", seed=3)[
            "linear_1.weight"
        ],
        after["linear_1.weight"],
    )
    other = inherited(before, state, correspondence(donor, child), "projection", seed=4)
    assert not torch.allclose(other["linear_1.weight"], after["linear_1.weight"])


@pytest.mark.parametrize("rule", ["ordered", "projection"])
def test_windows_are_laid_with_their_middles_upon_each_other(rule) -> None:
    def network(kernel: int, channels: int = 2) -> Graph:
        return chain(
            node(
                "conv2d", out_channels=channels, kernel_size=kernel, padding=kernel // 2, bias=False
            ),
            shape=(1, 5, 5),
        )

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


def test_constants_stay_and_running_statistics_go_along() -> None:
    def network(size: int) -> Graph:
        builder = GraphBuilder()
        value = builder.node(
            "batch_norm1d", builder.node("linear", builder.input((4,)), out_features=size)
        )
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


def test_weights_that_are_shared_are_one_tensor() -> None:
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
        match=r"should have linear_1\.weight of sizes \(3, 4\), and have the sizes \(5, 4\): the space has changed",
    ):
        taken(NARROW, WIDE, "ordered", filled(WIDE, 0))
    with pytest.raises(ValueError, match="no such tensor"):
        taken(NARROW, WIDE, "ordered", {})


# What always holds.

TEXTS, IMAGES = Shapes((6,), (2,), vocabulary=11), Shapes((1, 8, 8), (3,))
ANY = {
    "flexibert_tiny": TEXTS,
    "convnet": IMAGES,
    "nasbench201": Shapes((3, 8, 8), (3,)),
    "flexibert_full": TEXTS,
}


def drawn(name: str, seed: int) -> tuple[SearchSpace, Architecture, Architecture]:
    space, random = load_space(name).for_shapes(ANY[name]), Random(seed)
    donor = sample(space, random)
    return space, donor, mutate(space, donor, random)


def graph_of(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))


@given(st.sampled_from(sorted(ANY)), st.integers(0, 1000))
@settings(max_examples=15)
def test_overlaps_are_shares_and_all_of_a_network_is_its_own(name: str, seed: int) -> None:
    space, donor, child = drawn(name, seed)
    graphs, shape = (graph_of(space, donor), graph_of(space, child)), space.shapes.input
    found = counterparts(*graphs)
    assert all(
        graphs[0].nodes[other].op == graphs[1].nodes[number].op for number, other in found.items()
    )
    assert len(set(found.values())) == len(found)
    for rule in RULES:
        assert overlap(graphs[0], graphs[0], rule, shape) == 1.0
        assert 0 <= overlap(*graphs, "exact", shape) <= overlap(*graphs, rule, shape) <= 1


@given(st.sampled_from(["flexibert_tiny", "convnet"]), st.integers(0, 1000), st.sampled_from(RULES))
@settings(max_examples=8)
def test_the_overlap_is_what_is_copied_and_the_donor_stays_as_it_was(
    name: str, seed: int, rule
) -> None:
    space, donor, child = drawn(name, seed)
    graphs, shape = (graph_of(space, donor), graph_of(space, child)), space.shapes.input
    module = build(graphs[1], shape)
    state = {
        key: torch.full_like(tensor, 7.0)
        for key, tensor in build(graphs[0], shape).state_dict().items()
    }
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    after = inherited(module.state_dict(), state, correspondence(*graphs, shape), rule, seed=seed)
    assert all((tensor == 7).all() for tensor in state.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    shares = [
        float((after[key] != before[key]).float().mean()) for key, _ in module.named_parameters()
    ]
    assert sum(shares) / len(shares) == pytest.approx(overlap(*graphs, rule, shape), abs=1e-6)
    module.load_state_dict(after)


@given(st.sampled_from(["flexibert_tiny", "convnet"]), st.integers(0, 1000), st.sampled_from(RULES))
@settings(max_examples=6)
@torch.no_grad()
def test_the_same_architecture_computes_the_same(name: str, seed: int, rule) -> None:
    space, architecture, _ = drawn(name, seed)
    graph, shape = graph_of(space, architecture), space.shapes.input
    torch.manual_seed(seed)
    first, second = build(graph, shape).eval(), build(graph, shape).eval()
    inputs = (
        torch.randint(0, 11, (3, *shape)) if name == "flexibert_tiny" else torch.rand(3, *shape)
    )
    second.load_state_dict(
        inherited(
            second.state_dict(),
            first.state_dict(),
            correspondence(graph, graph, shape),
            rule,
            seed=0,
        )
    )
    assert torch.equal(first(inputs), second(inputs))


# Who is chosen.

EXACT = TransferSettings("exact", 0.8)

LAYERS = """
import torch

from nas.tasks.task import Split, Task
from spaces import GraphBuilder, SearchSpace, Shapes


def task():
    inputs = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    train, validation = (Split(part, (part[:, 0] > 0).long()) for part in (inputs[:48], inputs[48:]))
    return Task("tiny", train, validation, validation, Shapes((4,), (2,)))


def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    for layer in range(choose.integer("layers", 1, 4)):
        value = builder.node("relu", builder.node("linear", value, out_features=choose.one_of(f"width_{layer}", (8, 12))))
    return builder.output(builder.node("linear", value, out_features=2))


space = SearchSpace("layers", define)
"""


def layers(*widths: int) -> Architecture:
    return Architecture(
        "layers",
        (
            ("layers", len(widths)),
            *((f"width_{layer}", width) for layer, width in enumerate(widths)),
        ),
    )


@pytest.fixture
def plugins(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "layers.py").write_text(LAYERS)
    return {"space": f"{tmp_path / 'layers.py'}:space", "task": f"{tmp_path / 'layers.py'}:task"}


def configured(plugins: dict[str, str], **changes) -> RunConfig:
    values = {
        **plugins,
        "evaluator": {"name": "train", "transfer": {"rule": "ordered", "least": 0.5}},
        "strategy": {"name": "evolution", "population": 4, "tournament": 2},
        "training": {"epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, "learning_rate": 0.01},
        "executor": {"name": "inline", "devices": "cpu"},
        "budget": 9,
        "batch": 3,
        "finalists": {"count": 1, "seeds": 1, "epochs": 2},
    }
    return parse_config({**values, **changes}, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """Watches without a word."""


def proposed(number: int, item: Architecture, arm: str = "search", **further) -> Trial:
    return Trial(number, 0, arm, item, "o", None, item.key, number, **further)


def seen(*trials: tuple[Architecture, float | None], arm: str = "search") -> History:
    proposals = [proposed(number, item, arm) for number, (item, _) in enumerate(trials)]
    ends = [
        outcome_event(number, Failed("killed", "no") if score is None else Observation(score))
        for number, (_, score) in enumerate(trials)
    ]
    return fold([round_event(0, arm, proposals), *ends])


def test_the_largest_overlap_is_chosen_then_the_better_then_the_earlier(plugins) -> None:
    space = load_space(plugins["space"]).for_shapes(Shapes((4,), (2,)))
    proposal = Proposal(layers(8, 8, 8), "mutation", None, "new")

    def chosen(
        *trials: tuple[Architecture, float | None], least: float = 0.5, asked: Proposal = proposal
    ) -> int | None:
        return donor_of(space, seen(*trials), "search", asked, TransferSettings("exact", least))

    assert chosen((layers(12), 0.9), (layers(8, 8, 12), 0.1)) == 1
    # Of eight tensors: two layers, and the head's bias, which is of one size always.
    assert chosen((layers(8, 8, 12), 0.1), least=5 / 8) == 0
    assert chosen((layers(8, 8, 12), 0.1), least=5 / 8 + 0.01) is None
    assert (
        chosen((layers(8, 8, 8, 8), 0.1), (layers(8, 8, 8, 12), 0.3), (layers(8, 8, 8, 12), 0.3))
        == 1
    )
    assert chosen((layers(8, 8, 8, 12), None)) is None, "it failed"
    assert chosen() is None
    assert (
        chosen((layers(8, 8, 8), 0.5), asked=replace(proposal, continues=0, fidelity=1.0)) is None
    ), "a promotion"
    assert (
        donor_of(space, seen((layers(8, 8, 8), 0.5), arm="random"), "search", proposal, EXACT)
        is None
    ), "of another arm"


def test_a_twin_s_weights_are_those_of_the_trial_that_was_trained(plugins) -> None:
    space = load_space(plugins["space"]).for_shapes(Shapes((4,), (2,)))
    history = seen((layers(12), 0.5), (layers(8, 8), 0.5))
    twin = [
        round_event(0, "random", [proposed(2, layers(8, 8), "random")]),
        outcome_event(2, Observation(0.5)),
    ]
    assert (
        donor_of(
            space,
            fold(twin, history),
            "random",
            Proposal(layers(8, 8, 8), "o", None, "new"),
            TransferSettings("exact", 0.5),
        )
        == 1
    )


def test_a_donor_is_journalled_where_there_is_one_and_must_have_been_observed() -> None:
    history = seen((layers(8), 0.5), (layers(12), None))
    trial = proposed(2, layers(8, 8), donor=0)
    event = round_event(1, "search", [trial, proposed(3, layers(8, 12))])
    assert [
        proposal.get("donor", "none")
        for proposal in json.loads(json.dumps(event.body))["proposals"]
    ] == [0, "none"]
    assert fold([event], history).trial(2) == replace(trial, round=1)
    for wrong, says in (
        (1, "trial 1 is pending, or failed, and has no weights"),
        (2, "there is no trial 2"),
    ):
        with pytest.raises(ValueError, match=says):
            fold([round_event(1, "search", [replace(trial, donor=wrong)])], history)
    paused = fold(
        [
            round_event(0, "search", [proposed(0, layers(8), fidelity=0.5)]),
            outcome_event(0, Observation(0.5)),
        ]
    )
    with pytest.raises(
        ValueError,
        match="goes on with the training of trial 0, and cannot begin with the weights of trial 0",
    ):
        fold(
            [
                round_event(
                    1, "search", [replace(proposed(1, layers(8), donor=0, continues=0), seed=0)]
                )
            ],
            paused,
        )


# Trainings and runs.


def test_a_training_begins_with_the_donor_s_weights_and_leaves_its_file_alone(
    plugins, tmp_path: Path
) -> None:
    from nas.tasks import load_task

    task = load_task(plugins["task"])
    space = load_space(plugins["space"]).for_shapes(task.shapes)
    still = TrainEvaluator(
        space,
        task,
        Recipe(epochs=1, batch_size=48, learning_rate=1e-9, weight_decay=0.0),
        device="cpu",
        transfer="exact",
    )
    module = space.build(layers(8, 8))
    file, out = tmp_path / "donor.safetensors", tmp_path / "child.safetensors"
    save_weights(module, file)
    before = file.read_bytes()
    assert isinstance(
        still.evaluate(layers(8, 8, 8), seed=1, weights=out, donor=Donor(layers(8, 8), file)),
        Observation,
    )
    child, donor = read_tensors(out), module.state_dict()
    for name in ("linear_1.weight", "linear_2.weight", "linear_2.bias"):
        assert torch.allclose(child[name], donor[name], atol=1e-6)
    assert file.read_bytes() == before
    with pytest.raises(ValueError, match="by which rule is not said"):
        replace(still, transfer=None).evaluate(
            layers(8, 8, 8), seed=1, donor=Donor(layers(8, 8), file)
        )
    file.write_bytes(before[:-5])
    with pytest.raises(ValueError, match=r"the weights .*donor\.safetensors cannot be read"):
        still.evaluate(layers(8, 8, 8), seed=1, donor=Donor(layers(8, 8), file))


def told(history: History) -> list[tuple]:
    """All of a history that a second run has to repeat."""
    trials = [
        (
            trial.architecture,
            trial.arm,
            trial.seed,
            trial.fidelity,
            trial.continues,
            trial.donor,
            trial.score,
            trial.outcome.curve,
        )  # type: ignore[union-attr]
        for trial in history.trials
    ]
    return [
        *trials,
        *((final.trial, final.result.validation, final.result.test) for final in history.finals),
    ]  # type: ignore[union-attr]


class Interrupted(Exception):
    """Stands for the end of the process."""


def test_a_run_that_ends_anywhere_goes_on_with_the_same_donors(plugins, tmp_path: Path) -> None:
    config = configured(plugins)
    whole = start(config, tmp_path / "whole", quiet)
    donors = [trial.donor for trial in whole.trials]
    assert sum(donor is not None for donor in donors) >= 6
    assert all(
        weights_file(tmp_path / "whole", donor).is_file() for donor in donors if donor is not None
    )
    plain = start(configured(plugins, evaluator="train"), tmp_path / "plain", quiet)
    assert not any(trial.donor is not None for trial in plain.trials)
    assert (
        plain.trials[4].outcome != whole.trials[4].outcome
        or plain.trials[5].outcome != whole.trials[5].outcome
    )
    with open_for_reading(tmp_path / "whole") as journal:
        length = len(journal.events())
    for after in range(2, length, 5):
        events: list = []

        def watch(history: History, new: tuple, events: list = events, after: int = after) -> None:
            events.extend(new)
            if len(events) >= after:
                raise Interrupted

        with pytest.raises(Interrupted):
            start(config, tmp_path / f"run-{after}", watch)
        assert told(resume(tmp_path / f"run-{after}", quiet)) == told(whole)
    text = to_text([{"run": "r", **row} for row in trajectory(whole)])
    assert "donor" in text.splitlines()[0]
    assert (
        "donor" not in to_text([{"run": "r", **row} for row in trajectory(plain)]).splitlines()[0]
    )
    assert [row["donor"] for row in trajectory(whole)] == donors
    inherited = sum(donor is not None for donor in donors)
    told_of = summarize(whole, config)
    assert (told_of["transfer"]["inherited"], told_of["transfer"]["trained"]) == (
        inherited,
        len(donors),
    )
    shown = " ".join(terminal_summary(told_of).split())
    assert (
        f"{inherited} of {len(donors)} trainings began with the weights of a network like theirs"
        in shown
    )
    assert f"{inherited} of {len(donors)} trainings began" in sections.finalists(told_of)
    assert summarize(plain, configured(plugins, evaluator="train"))["transfer"] is None
    # The same trials, had none of them found a donor.
    alone = terminal_summary(
        summarize(
            plain, configured(plugins, evaluator={"name": "train", "transfer": {"least": 0.9}})
        )
    )
    assert "none has found a network that shares 90 % of its tensors" in " ".join(alone.split())


def test_workers_give_what_this_process_gives(plugins, tmp_path: Path) -> None:
    changes: dict = {"budget": 6, "baseline": "none", "finalists": {"count": 0}}
    here = start(configured(plugins, **changes), tmp_path / "here", quiet)
    workers = {"name": "process", "workers": 2, "devices": "cpu"}
    there = start(configured(plugins, **changes, executor=workers), tmp_path / "there", quiet)
    assert any(trial.donor is not None for trial in here.trials)
    assert told(there) == told(here)


def test_a_promotion_goes_on_with_what_its_first_training_began_with(
    plugins, tmp_path: Path
) -> None:
    halved = {
        "strategy": {"name": "asha", "over": "random"},
        "training": {"epochs": 9, "batch_size": 16, "learning_rate": 0.01},
        "baseline": "none",
    }
    config = configured(plugins, **halved, budget=3, finalists={"count": 0})
    whole = start(config, tmp_path / "whole", quiet)
    promoted = [
        trial
        for trial in whole.trials
        if trial.continues is not None and whole.beginning(trial).donor is not None
    ]
    assert promoted
    assert all(trial.donor is None for trial in promoted)

    def forgetful(history: History, events: tuple) -> None:
        for left in (tmp_path / "run" / "checkpoints").glob("*"):
            left.unlink()

    assert told(start(config, tmp_path / "run", forgetful)) == told(whole)


def test_a_donor_whose_weights_are_gone_stops_the_run_with_a_sentence(
    plugins, tmp_path: Path
) -> None:
    removed: dict[Path, bytes] = {}

    def remove(history: History, events: tuple) -> None:
        for trial in history.pending:
            file = weights_file(
                tmp_path / "run", trial.donor if trial.donor is not None else 10_000
            )
            if file.is_file() and not removed:
                removed[file] = file.read_bytes()
                file.unlink()

    with pytest.raises(
        RunFailed,
        match=r"trial \d+ begins with the weights of trial \d+, and .*safetensors is gone: put it back and resume",
    ):
        start(configured(plugins), tmp_path / "run", remove)
    ((file, content),) = removed.items()
    file.write_bytes(content)
    assert told(resume(tmp_path / "run", quiet)) == told(
        start(configured(plugins), tmp_path / "whole", quiet)
    )


def test_the_winner_that_began_with_another_s_weights_is_exported(
    plugins, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(export_module, "verify", lambda *_: 0.0)
    history = start(
        configured(plugins, baseline="none", finalists={"count": 0}), tmp_path / "run", quiet
    )
    number = next(trial.number for trial in history.trials if trial.donor is not None)
    exported = export(
        tmp_path / "run", trial=number, out=tmp_path / "out", space=load_space(plugins["space"])
    )
    assert (exported.trial, exported.weights) == (number, "search")
    kept, (file,) = (
        read_tensors(weights_file(tmp_path / "run", number)),
        (tmp_path / "out").glob("*.safetensors"),
    )
    out = read_tensors(file)
    assert (
        f"began with weights of trial {history.trial(number).donor}, a network like it"
        in (tmp_path / "out" / "README.md").read_text()
    )
    assert kept.keys() == out.keys()
    assert all(torch.equal(kept[name], out[name]) for name in kept)


def test_a_configuration_that_keeps_no_weights_or_misspells_is_refused(plugins) -> None:
    with pytest.raises(
        ConfigError,
        match=r"evaluator\.transfer takes weights from earlier trials, and keep_weights is 'finalists'",
    ):
        configured(plugins, keep_weights="finalists")
    for section, says in (
        ({"rule": "exactly"}, "exact"),
        ({"least": 0}, "above 0 and at most 1"),
        ({"lest": 0.5}, "lest"),
    ):
        with pytest.raises(ConfigError, match=says):
            configured(plugins, evaluator={"name": "train", "transfer": section})
    assert configured(plugins, evaluator="train").evaluator.transfer is None  # type: ignore[union-attr]
