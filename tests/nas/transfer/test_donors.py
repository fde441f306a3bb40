"""Which trial becomes the donor of a proposal, and what the journal holds of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nas.evaluators.evaluator import Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.trials import Proposal
from nas.search.donors import donor_of
from nas.transfer import TransferSettings
from spaces import Architecture, Shapes
from spaces.load import load_space
from tests.nas.transfer.linear_layers import layers, proposed, seen

EXACT = TransferSettings("exact", 0.8)


def test_the_donor_has_the_largest_overlap_then_the_best_score_then_the_least_number(
    plugins,
) -> None:
    space = load_space(plugins["space"]).for_shapes(Shapes((4,), (2,)))
    proposal = Proposal(layers(8, 8, 8), "mutation", None, "new")

    def chosen(
        *trials: tuple[Architecture, float | None], least: float = 0.5, asked: Proposal = proposal
    ) -> int | None:
        return donor_of(space, seen(*trials), "search", asked, TransferSettings("exact", least))

    assert chosen((layers(12), 0.9), (layers(8, 8, 12), 0.1)) == 1
    # Five of eight tensors are copied: those of two layers, and the bias of the head.
    assert chosen((layers(8, 8, 12), 0.1), least=5 / 8) == 0
    assert chosen((layers(8, 8, 12), 0.1), least=5 / 8 + 0.01) is None
    larger, other = layers(8, 8, 8, 8), layers(8, 8, 8, 12)
    assert chosen((larger, 0.1), (other, 0.3), (other, 0.3)) == 1
    assert chosen((other, None)) is None, "it failed"
    assert chosen() is None
    promotion = replace(proposal, continues=0, fidelity=1.0)
    assert chosen((layers(8, 8, 8), 0.5), asked=promotion) is None
    other_arm = seen((layers(8, 8, 8), 0.5), arm="random")
    assert donor_of(space, other_arm, "search", proposal, EXACT) is None


def test_the_donor_of_a_duplicate_is_the_trial_that_was_trained(plugins) -> None:
    space = load_space(plugins["space"]).for_shapes(Shapes((4,), (2,)))
    history = seen((layers(12), 0.5), (layers(8, 8), 0.5))
    duplicate = [
        round_event(0, "random", [proposed(2, layers(8, 8), "random")]),
        outcome_event(2, Observation(0.5)),
    ]
    proposal = Proposal(layers(8, 8, 8), "o", None, "new")
    transfer = TransferSettings("exact", 0.5)
    assert donor_of(space, fold(duplicate, history), "random", proposal, transfer) == 1


def test_the_journal_holds_the_donor_which_must_be_an_observed_trial() -> None:
    history = seen((layers(8), 0.5), (layers(12), None))
    trial = proposed(2, layers(8, 8), donor=0)
    event = round_event(1, "search", [trial, proposed(3, layers(8, 12))])
    written = json.loads(json.dumps(event.body))["proposals"]
    assert [proposal.get("donor", "none") for proposal in written] == [0, "none"]
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
    both = replace(proposed(1, layers(8), donor=0, continues=0), seed=0)
    with pytest.raises(
        ValueError,
        match="goes on with the training of trial 0, and cannot begin with the weights of trial 0",
    ):
        fold([round_event(1, "search", [both])], paused)
