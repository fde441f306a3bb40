"""A search begins from an older run: of the same space, of another one, and what is refused."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest

from nas.cli.progress import Progress
from nas.config.compose import compose
from nas.config.loading import load_config, parse_config
from nas.config.plan import plan_of
from nas.config.sections import ConfigError, RunConfig
from nas.config.stored_run import read_run
from nas.config.warm_start import LEAST, enlarged_prior, keep
from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import find_table
from nas.record.events import outcome_event, round_event
from nas.record.history import EMPTY, History
from nas.record.journal import Event, create, open_for_reading
from nas.record.journal_file import FILE
from nas.record.shapes import shapes_to_json
from nas.record.trials import Proposal
from nas.record.trust import seal
from nas.search.run import resume, start
from predictors.prior.experts import Prior
from predictors.prior.stored import CARD_FILE, WEIGHTS_FILE, digest, load_prior, save_prior
from spaces.canonical import canonical_key
from spaces.load import load_space
from spaces.operators import sample_graph

OWN_SPACES = """
from spaces import GraphBuilder, SearchSpace, Shapes


def define(choose):
    builder = GraphBuilder()
    value = builder.input()
    for layer in range(choose.integer("layers", 1, 8)):
        width = choose.integer(f"width{layer}", 4, 64)
        value = builder.node("relu", builder.node("linear", value, out_features=width))
    return builder.output(builder.node("linear", value, out_features=3))


chains = SearchSpace("chains", define, Shapes((7,), (3,)))
described = SearchSpace("described", define, Shapes((7,), (3,)), builds=False)
"""


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


def config(**changes: Any) -> RunConfig:
    """A short search of CIFAR-100 on NAS-Bench-201's table, without another prior."""
    values = {
        "space": "nasbench201",
        "evaluator": {"name": "table", "path": "builtin:nasbench201", "score": "c100_val_200"},
        "strategy": {"name": "surrogate", "initial": 2, "candidates": 60},
        "predictor": {"name": "whole", "prior": "none"},
        "executor": "inline",
        "finalists": {"count": 0},
        "baseline": "none",
        "budget": 6,
        "batch": 2,
        **changes,
    }
    return parse_config(values, "the test's configuration")


def older_run(
    directory: Path, space: str = "nasbench201", count: int = 30, *, fidelity: float = 1.0
) -> Path:
    """A run of random architectures, whose score is how many convolutions they have; one failed."""
    loaded, random = load_space(space), Random(0)
    settings = config(space=space).model_dump(mode="json")
    scores: dict[Proposal, float] = {}
    while len(scores) < count:
        architecture, graph = sample_graph(loaded, random)
        proposal = Proposal(architecture, "random", None, canonical_key(graph), fidelity)
        scores[proposal] = float(sum("conv" in node.op for node in graph.nodes))
    trials = EMPTY.next_round("search", [*scores, next(iter(scores))], 0)
    outcomes = [*map(Observation, scores.values()), Failed("error", "it broke", 0.0, "")]
    known = {"shapes": shapes_to_json(loaded.shapes), "seal": seal(settings)}
    with create(directory, settings, known) as journal:
        journal.append([round_event(0, "search", trials)])
        journal.append(
            [
                outcome_event(trial.number, each)
                for trial, each in zip(trials, outcomes, strict=True)
            ]
        )
    return directory


def enlarged(older: Path, **changes: Any) -> Prior:
    asked = config(warm_start=str(older), **changes)
    prior = enlarged_prior(asked, load_space(asked.space))
    assert prior is not None
    return prior


def proposed(history: History) -> list[tuple[Any, ...]]:
    return [
        (trial.number, trial.round, trial.architecture, trial.prediction, trial.outcome)
        for trial in history.trials
    ]


def test_the_older_run_is_one_more_expert(tmp_path: Path) -> None:
    older = older_run(tmp_path / "older", count=30)
    alone = enlarged(older)
    (expert,) = alone.experts
    assert (expert.table, expert.column, expert.cost) == ("older", "score", False)
    # Its networks whose output depends on the input; the failure is no label.
    assert 20 < expert.networks <= 30
    shipped = load_prior("shipped")
    assert shipped is not None
    beside = enlarged(older, predictor="quick")
    assert beside.experts == (*shipped.experts, expert)
    # The others say what they said, and the new one what it says alone.
    whole_MW = shipped.center_KW
    opinion_MK = beside.forest.predict(whole_MW)
    numpy.testing.assert_array_equal(opinion_MK[:, :-1], shipped.forest.predict(whole_MW))
    numpy.testing.assert_array_equal(opinion_MK[:, -1:], alone.forest.predict(whole_MW))
    numpy.testing.assert_array_equal(beside.distances(whole_MW)[-1:], alone.distances(whole_MW))


def test_what_is_kept_in_the_run_is_the_same_prior(tmp_path: Path) -> None:
    asked = config(warm_start=str(older_run(tmp_path / "older")))
    prior = enlarged(Path(str(asked.warm_start)))
    folder = keep(prior, tmp_path, asked)
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    read = load_prior(str(folder))
    assert read is not None
    assert digest(read) == digest(prior) == folder.name.removeprefix("prior-")
    assert digest(prior) != digest(enlarged(older_run(tmp_path / "other", count=31)))


def test_the_first_design_follows_an_older_run_of_another_task(tmp_path: Path) -> None:
    cifar10 = {"name": "table", "path": "builtin:nasbench201", "score": "c10_val_12"}
    older = tmp_path / "older"
    start(config(evaluator=cifar10, strategy="random", budget=40), older, quiet)
    with numpy.load(find_table("builtin:nasbench201"), allow_pickle=False) as table:
        every = table["c100_val_200"]
        every = every[numpy.isfinite(every)]
    history = start(config(warm_start=str(older), budget=4, batch=4), tmp_path / "run", quiet)
    assert "by the prior" in history.rounds[0].note
    worse = [float((every <= trial.score).mean()) for trial in history.observed]
    assert numpy.mean(worse) > 0.7, "the share of all cells that is no better; 0.5 at random"


def test_an_older_run_of_another_space(tmp_path: Path) -> None:
    """On MACs and depth alone two spaces of image networks have something to say to each other."""
    older = older_run(tmp_path / "older", "nasbench_macro")
    history = start(config(warm_start=str(older)), tmp_path / "run", quiet)
    assert len(history.observed) == 6
    (folder,) = (tmp_path / "run").glob("prior-*")
    prior = load_prior(str(folder))
    assert prior is not None
    assert [expert.table for expert in prior.experts] == ["older"]


def test_a_run_resumed_without_the_older_one_proposes_the_same(tmp_path: Path) -> None:
    older = older_run(tmp_path / "older")
    asked = config(warm_start=str(older), budget=8)
    whole = start(asked, tmp_path / "whole", quiet)

    class Killed(Exception):
        pass

    def kill(history: History, events: Any) -> None:
        if len(history.observed) == 3:
            raise Killed

    with pytest.raises(Killed):
        start(asked, tmp_path / "cut", kill)
    shutil.rmtree(older)
    # The prior's files go where the run goes.
    moved = (tmp_path / "cut").rename(tmp_path / "moved")
    assert proposed(resume(moved, quiet)) == proposed(whole)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: replaced(folder, "quick"), r"is not what the run .* learnt from the run"),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"half"), r"learnt .* cannot be read"),
    ],
)
def test_a_kept_prior_that_has_changed_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    start(config(warm_start=str(older_run(tmp_path / "older"))), tmp_path / "whole", quiet)
    with open_for_reading(tmp_path / "whole") as journal:
        begun = create(tmp_path / "cut", journal.config, journal.environment)
        begun.append(journal.events()[:1])
        begun.close()
    (folder,) = (tmp_path / "whole").glob("prior-*")
    damage(folder.rename(tmp_path / "cut" / folder.name))
    with pytest.raises(ValueError, match=f"{says}.*: put the folder back as it was"):
        resume(tmp_path / "cut", quiet)


def replaced(folder: Path, predictor: str) -> None:
    """Another prior in the folder: that of the same older run beside the shipped one."""
    older = folder.parent.parent / "older"
    save_prior(enlarged(older, predictor=predictor), folder, {})


def test_a_run_cut_short_before_its_prior_was_written(tmp_path: Path) -> None:
    older = older_run(tmp_path / "older")
    asked = config(warm_start=str(older))
    whole = start(asked, tmp_path / "whole", quiet)
    for name, events in (("before", 0), ("after", 1)):
        with open_for_reading(tmp_path / "whole") as journal:
            begun = create(tmp_path / name, journal.config, journal.environment)
            begun.append(journal.events()[:events])
            begun.close()
    assert proposed(resume(tmp_path / "before", quiet)) == proposed(whole)
    with pytest.raises(ValueError, match=r"is no longer in .*after/prior-.*: put the folder back"):
        resume(tmp_path / "after", quiet)


def test_an_older_run_that_has_gone_on_is_another_prior(tmp_path: Path) -> None:
    asked = config(warm_start=str(older_run(tmp_path / "older")))
    start(asked, tmp_path / "whole", quiet)
    shutil.rmtree(tmp_path / "older")
    older_run(tmp_path / "older", count=31)
    with open_for_reading(tmp_path / "whole") as journal:
        create(tmp_path / "begun", journal.config, journal.environment).close()
    with pytest.raises(ValueError, match="is no longer in"):
        resume(tmp_path / "begun", quiet)


@pytest.mark.parametrize(
    ("scores", "used"),
    [
        ([float("nan"), float("inf"), -float("inf"), 10**400, *range(20)], 20),
        ([1.7e308, -1.7e308, 1e300, -1e300, *range(20)], 24),
        ([1.7e308, -1.7e308] * 12, 24),
        ([5.0] * 24, 24),
    ],
)
def test_scores_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float], used: int
) -> None:
    older = read_run(older_run(tmp_path / "older", "nasbench_macro", len(scores)))
    trials = [
        replace(trial, outcome=Observation(score))
        for trial, score in zip(older.history.trials, scores, strict=False)
    ]
    odd = replace(older, history=replace(older.history, trials=tuple(trials)))
    monkeypatch.setattr("nas.config.warm_start.read_run", lambda directory: odd)
    events = list[Event]()

    def watch(history: History, new: tuple[Event, ...]) -> None:
        events.extend(new)

    asked = config(warm_start=str(tmp_path / "older"))
    history = start(asked, tmp_path / "run", watch)
    assert len(history.observed) == 6
    (event,) = (event for event in events if event.kind == "learnt")
    assert event.body == {"run": asked.warm_start, "networks": used}
    shown = io.StringIO()
    Progress(plan_of(asked), "surrogate", shown)(EMPTY, (event,))
    assert shown.getvalue() == (
        f"warm start: learnt from the scores of {used} networks of {asked.warm_start}\n"
    )
    (folder,) = (tmp_path / "run").glob("prior-*")
    prior = load_prior(str(folder))
    assert prior is not None
    assert prior.experts[-1].networks == used
    assert (numpy.diff(prior.experts[-1].values) >= 0).all()


def test_too_few_finite_scores_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = read_run(older_run(tmp_path / "older"))
    trials = [replace(trial, outcome=Observation(numpy.nan)) for trial in older.history.trials]
    odd = replace(older, history=replace(older.history, trials=tuple(trials)))
    monkeypatch.setattr("nas.config.warm_start.read_run", lambda directory: odd)
    with pytest.raises(ConfigError, match=r"has 0 different networks .* have a finite score"):
        enlarged(tmp_path / "older")


def few(folder: Path) -> tuple[Path, dict[str, Any]]:
    return older_run(folder / "older", count=LEAST - 1), {}


def half_trained(folder: Path) -> tuple[Path, dict[str, Any]]:
    return older_run(folder / "older", fidelity=0.5), {}


def no_run(folder: Path) -> tuple[Path, dict[str, Any]]:
    (folder / "older").mkdir()
    return folder / "older", {}


def foreign(folder: Path) -> tuple[Path, dict[str, Any]]:
    older = older_run(folder / "older", f"{own_spaces(folder)}:chains")
    with open_for_reading(older) as journal:
        settings, known, events = journal.config, journal.environment, journal.events()
    (older / FILE).unlink()
    with create(older, settings, {**known, "seal": "0" * 64}) as journal:
        journal.append(events)
    return older, {}


def older_described(folder: Path) -> tuple[Path, dict[str, Any]]:
    return older_run(folder / "older", f"{own_spaces(folder)}:described"), {}


def described(folder: Path) -> tuple[Path, dict[str, Any]]:
    return older_run(folder / "older"), {"space": f"{own_spaces(folder)}:described"}


def own_spaces(folder: Path) -> Path:
    path = folder / "own_spaces.py"
    path.write_text(OWN_SPACES)
    return path


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (few, r"has 9 different networks .*; at least 10 are needed to learn from: let it go on"),
        (half_trained, r"has 0 different networks .* score after a whole evaluation"),
        (no_run, r"warm_start: .*older is not a run: it has no file journal\.sqlite"),
        (foreign, r"Its space is the code .*own_spaces\.py:chains, and code is not run because"),
        (older_described, r"the space 'described' of the run .*older only describes architectures"),
        (described, r"the space 'described' of this run only describes architectures"),
    ],
)
def test_refused_runs(
    tmp_path: Path, case: Callable[[Path], tuple[Path, dict[str, Any]]], says: str
) -> None:
    older, changes = case(tmp_path)
    asked = config(warm_start=str(older), **changes)
    with pytest.raises(ConfigError, match=says):
        enlarged_prior(asked, load_space(asked.space))


def test_code_that_the_new_run_names_too_is_the_users_own(tmp_path: Path) -> None:
    older, _ = foreign(tmp_path)
    space = f"{tmp_path / 'own_spaces.py'}:chains"
    assert len(enlarged(older, space=space).experts) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "evolution"}, r"the strategy 'evolution' uses none here; take .*surrogate"),
        ({"strategy": "map_elites"}, r"the strategy 'map_elites' uses none here; .*candidates"),
        ({"strategy": "asha"}, r"the strategy 'asha' uses none here; .* asha or hyperband over"),
        (
            {"predictor": "ridge"},
            r"the predictor 'ridge' has none as it is set; take auto or",
        ),
        ({"predictor": {"name": "auto", "members": ["gp"]}}, r"'auto' has none as it is set"),
        ({"strategy": "outside"}, r"an agent outside uses none"),
    ],
)
def test_refused_settings(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(config(warm_start="older", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": {"name": "map_elites", "candidates": 50}},
        {"strategy": {"name": "asha", "over": "surrogate"}},
        {"predictor": "quick"},
    ],
)
def test_accepted_settings(changes: dict[str, Any]) -> None:
    fidelities = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "fidelities": {0.111: "c100_val_12", 0.3333: "c100_val_12"},
    }
    assert compose(config(warm_start="older", evaluator=fidelities, **changes)).arms


def test_nothing_is_written_if_the_older_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run"):
        start(config(warm_start=str(tmp_path / "none")), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_the_older_run_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "older").mkdir()
    (tmp_path / "search.yaml").write_text("space: nasbench201\nwarm_start: older\ntask: digits\n")
    assert load_config(tmp_path / "search.yaml").warm_start == str(tmp_path / "older")
    given = load_config(tmp_path / "search.yaml", ["warm_start=null"])
    assert given.warm_start is None
