"""The environment: questions, the contract of steps, journal, resuming, and gymnasium's checker."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from nas.cli.errors import exit_code
from nas.cli.main import app
from nas.config.arms import SEARCH
from nas.config.sections import ConfigError
from nas.evaluators.evaluator import Observation
from nas.outside import Rules, SearchEnvironment, Target, product_of_ratios, sum_of_excess
from nas.outside.questions import NoOption, Question, after, first, played, survey
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.report.trials import trajectory
from nas.search.run import resume
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.choices import Rejected
from spaces.load import load_space
from spaces.operators import domains, enumerate_all, fix

CONFIG: dict[str, Any] = {
    "space": "nasbench201",
    "evaluator": {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
    },
    "executor": "inline",
    "budget": 12,
    "baseline": "none",
    "finalists": {"count": 1},
}
MINE = """
from spaces import GraphBuilder, SearchSpace, Shapes

def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.node("flatten", builder.input(shapes.input))
    for number in range(choose.integer("depth", 1, 3)):
        with choose.scope(f"layer{number}"):
            op = choose.one_of("op", ["relu", "tanh", "linear"])
            sizes = {"out_features": choose.integer("width", 1, 8)} if op == "linear" else {}
            value = builder.node(op, value, **sizes)
    if choose.decisions["depth"] == 2:
        choose.reject("two layers are not wanted")
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))

space = SearchSpace("mine", define)
"""


def every_kind(choose: Chooser) -> Graph:
    builder = GraphBuilder()
    value = builder.input()
    if choose.one_of("kind", ["plain", "rich"]) == "rich":
        value = builder.node(
            "a",
            value,
            rate=choose.real("rate", 0.01, 1.0, log=True),
            size=choose.integer("size", 1, 100),
        )
        value = builder.node(
            "b",
            value,
            some=choose.subset("some", ["x", "y", "z"], minimum=1, maximum=2),
            order=choose.permutation("order", [1, 2, 3]),
        )
    if choose.one_of("last", ["c", "d"]) == "d" and choose.decisions["kind"] == "plain":
        choose.reject("d is for the rich")
    return builder.output(builder.node("c", value))


EVERY = SearchSpace("every", every_kind)


def opened(
    directory: Path, rules: Rules | None = None, agent: Any = None, **changes: Any
) -> SearchEnvironment:
    return SearchEnvironment.from_config({**CONFIG, **changes}, directory, rules=rules, agent=agent)


def read(directory: Path) -> History:
    with open_for_reading(directory) as journal:
        return fold(journal.events())


def episode(environment: SearchEnvironment, options: Any) -> Any:
    """The last step of an episode with these options, or with those that a function chooses."""
    _, info = environment.reset(seed=0)
    taken = iter(options) if not callable(options) else None
    while True:
        step = environment.step(next(taken) if taken is not None else options(info))
        if step[2] or step[3]:
            return step
        info = step[4]


def at_random(seed: int) -> Any:
    random = Random(seed)
    return lambda info: random.choice(np.flatnonzero(info["mask"]).tolist())


# The questions.


def test_the_questions_reach_every_architecture_and_no_other() -> None:
    space = fix(
        load_space("nasbench201"),
        {"edge_0_1": "none", "edge_0_2": "skip_connect", "edge_1_2": "none"},
    )
    found, states = set[Architecture](), [first(space, 16)]
    while states:
        state = states.pop()
        if isinstance(state, Architecture):
            found.add(state)
        else:
            states += [after(space, state, option, 16) for option in range(len(state.options))]
    assert found == set(enumerate_all(space))


def test_all_kinds_of_choices_are_answered_by_options() -> None:
    random, names, reasons = Random(0), set[str](), set[str]()
    for _ in range(200):
        state = first(EVERY, 5)
        try:
            while isinstance(state, Question):
                names.add(state.name)
                assert len(state.options) > 1
                if state.name == "rate":
                    assert state.options == pytest.approx((0.01, 0.01**0.75, 0.1, 0.01**0.25, 1.0))
                if state.name == "size":
                    assert state.options == (1, 26, 51, 75, 100)
                state = after(EVERY, state, random.randrange(len(state.options)), 5)
        except Rejected as rejected:
            reasons.add(rejected.reason)
            continue
        assert all(
            domain.accepts(state.answers[path]) for path, domain in domains(EVERY, state).items()
        )
    assert names == {
        "kind",
        "rate",
        "size",
        "some[x]",
        "some[y]",
        "some[z]",
        "order[0]",
        "order[1]",
        "last",
    }
    assert reasons == {"d is for the rich"}


def test_a_survey_measures_the_questions() -> None:
    assert survey(load_space("nasbench201"), 16).widths == (5,) * 6
    seen = survey(EVERY, 5)
    assert (seen.num_actions, seen.widths) == (5, None)
    assert seen.num_steps == 1 + 1 + 1 + 3 + 2 + 1


def test_options_that_lead_nowhere_are_refused_with_a_sentence() -> None:
    with pytest.raises(NoOption, match="the question 'kind' has the options 0 to 1; got 7"):
        played(EVERY, [7], 5)
    with pytest.raises(NoOption, match="end after 1, before the question 'last' with 2 options"):
        played(EVERY, [0], 5)
    with pytest.raises(NoOption, match="complete after 2 options; 1 came"):
        played(EVERY, [0, 0, 1], 5)
    assert played(EVERY, [0, 0, -1, -1], 5) == Architecture(
        "every", (("kind", "plain"), ("last", "c"))
    )


# The contract.


def test_an_episode_builds_an_architecture_and_its_score_is_the_reward(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as environment:
        observation, info = environment.reset(seed=0)
        assert observation.tolist() == [-1] * 6
        assert info["path"] == "edge_0_1"
        assert len(info["options"]) == 5
        assert info["mask"].tolist() == [1] * 5
        for place in range(5):
            observation, reward, terminated, truncated, info = environment.step(3)
            assert observation.tolist() == [3] * (place + 1) + [-1] * (5 - place)
            assert (reward, terminated, truncated) == (0.0, False, False)
        observation, reward, terminated, truncated, info = environment.step(4)
        assert (terminated, truncated) == (True, False)
        (trial,) = environment.history.trials
        assert reward == info["score"] == trial.score > 0
        assert info["architecture"] == trial.architecture.answers
        assert (info["trial"], info["cached"], info["reason"], info["path"]) == (
            0,
            False,
            None,
            None,
        )
        with pytest.raises(ValueError, match="call reset"):
            environment.step(0)


def test_a_known_network_costs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as environment:
        none = environment.reset()[1]["options"].index("none")
        # If both edges out of node 1 are zero, the edge into it is disconnected: other decisions
        # give the same network.
        new, same, other = (episode(environment, [op, 3, none, 3, none, 3]) for op in (1, 2, none))
        assert [step[4]["trial"] for step in (new, same, other)] == [0, 0, 0]
        assert [step[4]["cached"] for step in (new, same, other)] == [False, True, True]
        assert new[1] == same[1] == other[1]
        assert new[4]["architecture"] != same[4]["architecture"]
        assert environment.left == 11


def test_the_budget_truncates_and_evaluates_no_more(tmp_path: Path) -> None:
    with opened(tmp_path / "run", budget=3) as environment:
        choose, truncated, ends = at_random(0), False, 0
        while not truncated:
            _, _, terminated, truncated, _ = episode(environment, choose)
            assert terminated
            ends += 1
        assert len(environment.history.trials) == 3 <= ends
        environment.reset()
        _, reward, terminated, truncated, info = environment.step(0)
        assert (reward, terminated, truncated, info["reason"]) == (
            0.0,
            False,
            True,
            "the budget is used",
        )


def test_an_agent_that_finds_nothing_new_is_ended(tmp_path: Path) -> None:
    with opened(tmp_path / "run", Rules(patience=3)) as environment:
        seen = [episode(environment, [1] * 6)[3] for _ in range(4)]
        assert seen == [False, False, False, True]
        assert environment.truncated == "no new architecture in 3 episodes"


def test_rejections_and_failures_give_the_penalty_with_the_reason(tmp_path: Path) -> None:
    space = tmp_path / "mine.py"
    space.write_text(MINE)
    changes = {
        "space": f"{space}:space",
        "task": "digits",
        "evaluator": {"name": "train"},
        "training": {"epochs": 1},
        "keep_weights": "finalists",
    }
    with opened(tmp_path / "run", Rules(penalty=-1.0), **changes) as environment:
        _, reward, terminated, _, info = episode(environment, [1, 0, 0])
        assert (reward, terminated, info["reason"], info["trial"]) == (
            -1.0,
            True,
            "two layers are not wanted",
            None,
        )
        _, reward, terminated, _, info = episode(environment, [9])
        assert (reward, terminated) == (-1.0, True)
        assert "has the options 0 to 2; got 9" in info["reason"]
        assert environment.history.trials == ()
        _, reward, _, _, info = episode(environment, [0, 2, 3])
        assert reward == info["score"] > 0
        assert info["metrics"]["parameters"] > 0


def test_failed_evaluations_are_kept_and_penalised(tmp_path: Path) -> None:
    table = tmp_path / "table.npz"
    shipped = dict(np.load(Path("nas/data/nasbench201.npz")))
    shipped["c100_val_200"] = np.full(len(shipped["c100_val_200"]), np.nan)
    np.savez(table, **shipped)
    evaluator = {**CONFIG["evaluator"], "path": str(table)}
    with opened(tmp_path / "run", Rules(penalty=-5.0), evaluator=evaluator) as environment:
        for cached in (False, True):
            _, reward, terminated, _, info = episode(environment, [1] * 6)
            assert (reward, terminated, info["cached"], info["trial"], info["score"]) == (
                -5.0,
                True,
                cached,
                0,
                None,
            )
            assert "has no score" in info["reason"]
    assert len(read(tmp_path / "run").failed) == 1


def test_a_whole_architecture_is_one_step_where_the_questions_are_fixed(tmp_path: Path) -> None:
    with opened(tmp_path / "run", Rules(steps="whole")) as environment:
        environment.reset()
        observation, reward, terminated, _, info = environment.step(np.array([3, 3, 3, 3, 3, 4]))
        assert terminated
        assert reward == info["score"]
        assert observation.tolist() == [3, 3, 3, 3, 3, 4]
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    with pytest.raises(ConfigError, match="the same questions"):
        opened(
            tmp_path / "other",
            Rules(steps="whole"),
            space=f"{mine}:space",
            task="digits",
            evaluator={"name": "train"},
        )


def test_a_population_is_one_round(tmp_path: Path) -> None:
    with opened(
        tmp_path / "run", budget=4, executor={"name": "process", "workers": 2}
    ) as environment:
        best = played(load_space("nasbench201"), [3, 3, 3, 3, 3, 4], 16)
        population = [[1] * 6, best, [1] * 6, [9] * 6, [2] * 6, [3] * 6, [4] * 6]
        steps = environment.step_all(population)
        assert [step[4]["trial"] for step in steps] == [0, 1, 0, None, 2, 3, None]
        assert [step[4]["cached"] for step in steps] == [
            False,
            False,
            True,
            False,
            False,
            False,
            False,
        ]
        assert [step[2] for step in steps] == [True] * 6 + [False]
        assert steps[6][4]["reason"] == "the budget is used"
        assert len(environment.history.rounds) == 1
        assert [step[1] for step in environment.step_all([[1] * 6])] == [0.0]


def test_rewards_are_relative_to_targets() -> None:
    seen = Observation(0.9, 3.0, metrics=(("latency", 12.0),))
    latency, score = Target("latency", 10.0), Target("score", 1.0, "maximise")
    assert sum_of_excess([latency, score])(seen) == pytest.approx(-0.2 - 0.1)
    assert product_of_ratios([latency, score])(seen) == pytest.approx(1 / 1.2 / 1.1)
    assert sum_of_excess([Target("latency", 20.0)])(seen) == 0
    better = [
        product_of_ratios([Target("latency", value)])(seen) for value in (6.0, 11.0, 12.0, 24.0)
    ]
    assert better == [pytest.approx(0.5), pytest.approx(11 / 12), 1.0, 1.0], (
        "beating a target is not punished, and nothing grows without bound"
    )
    published = [
        product_of_ratios([Target("latency", value)], two_sided=True)(seen)
        for value in (6.0, 11.0, 12.0, 24.0)
    ]
    assert published == [pytest.approx(1.0), pytest.approx(11.0), math.inf, pytest.approx(2.0)]
    with pytest.raises(ValueError, match="other than 0"):
        Target("latency", 0.0)
    with pytest.raises(
        ValueError, match="none of the numbers of the observation: score, seconds, latency"
    ):
        Target("energy", 1.0).beyond(seen)


def test_a_reward_of_ones_own_is_given_and_has_to_be_finite(tmp_path: Path) -> None:
    with opened(
        tmp_path / "run", Rules(reward=sum_of_excess([Target("score", 80.0, "maximise")]))
    ) as environment:
        _, reward, _, _, info = episode(environment, [3, 3, 3, 3, 3, 4])
        assert reward == pytest.approx((info["score"] - 80) / 80)
    with (
        opened(tmp_path / "other", Rules(reward=lambda observation: math.nan)) as environment,
        pytest.raises(ValueError, match="the reward of trial 0 is nan"),
    ):
        episode(environment, [1] * 6)


# The run.


def test_three_agents_logs_give_their_curves_again(tmp_path: Path) -> None:
    for seed in range(3):
        curve = list[float]()
        with opened(
            tmp_path / str(seed), agent={"name": "random walker", "seed": seed}
        ) as environment:
            choose = at_random(seed)
            while environment.truncated is None:
                info = episode(environment, choose)[4]
                if not info["cached"]:
                    curve.append(max(info["score"], *curve[-1:]) if curve else info["score"])
            told = trajectory(environment.history)
        assert list(read(tmp_path / str(seed)).best_so_far()) == curve
        assert trajectory(read(tmp_path / str(seed))) == told
        with open_for_reading(tmp_path / str(seed)) as journal:
            assert journal.config["strategy"] == {
                "name": "outside",
                "agent": {"name": "random walker", "seed": seed},
            }


def test_the_run_goes_on_where_the_directory_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path / "run", agent={"rate": 1}) as environment:
        environment.step_all([[1] * 6, [2] * 6])
    with opened(tmp_path / "run", agent={"rate": 1}) as environment:
        assert environment.left == 10
        assert episode(environment, [2] * 6)[4]["cached"]
        episode(environment, [3] * 6)
    assert [trial.number for trial in read(tmp_path / "run").trials] == [0, 1, 2]
    with pytest.raises(ConfigError, match="another configuration: strategy is"):
        opened(tmp_path / "run", agent={"rate": 2})
    with pytest.raises(ConfigError, match="another configuration: budget is 12, not 13"):
        opened(tmp_path / "run", agent={"rate": 1}, budget=13)


def test_what_was_under_way_is_evaluated_when_the_directory_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with opened(tmp_path / "run") as environment:
        monkeypatch.setattr(environment._executor, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            environment.step_all([[1] * 6, [2] * 6])
    assert len(read(tmp_path / "run").pending) == 2
    with opened(tmp_path / "run"):
        pass
    assert len(read(tmp_path / "run").observed) == 2


def test_a_finished_run_has_a_baseline_and_finalists_and_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    with opened(directory, budget=4, baseline="random") as environment:
        with pytest.raises(ValueError, match="no architecture was evaluated"):
            environment.finish()
        environment.step_all([[1] * 6, [2] * 6, [3] * 6])
        history = environment.finish()
        assert history.finished == "the agent ended it"
        assert len(history.of_arm(SEARCH).observed) == 3
        assert len(history.of_arm("random").observed) == 4
        assert {final.trial for final in history.finals} == {
            finalist.trial for finalist in history.finalists
        }
        assert environment.step_all([[4] * 6])[0][3], "nothing is evaluated after the end"
    with pytest.raises(ConfigError, match="is finished"):
        opened(directory, budget=4, baseline="random")
    for command in ("status", "trials", "report"):
        app([command, str(directory)], standalone_mode=False)
    assert "outside" in capsys.readouterr().out


def test_a_search_does_not_go_on_by_itself(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as environment:
        environment.step_all([[1] * 6])
    with pytest.raises(ConfigError, match="the program has to be run again") as caught:
        resume(tmp_path / "run", lambda history, events: None)
    assert exit_code(caught.value) == 2
    with open_for_reading(tmp_path / "run") as journal:
        assert [event.kind for event in journal.events()] == ["round", "observation", "round_end"]


def test_the_agent_is_kept_as_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kept as JSON"):
        opened(tmp_path / "run", agent={"rate": math.inf})
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="steps questions or whole"):
        Rules(steps="half")  # type: ignore[arg-type]


def test_sizes_that_do_not_suffice_are_said(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "run", Rules(num_actions=3)) as environment,
        pytest.raises(ValueError, match=r"give Rules\(num_actions=5\)"),
    ):
        environment.reset()
    with (
        opened(tmp_path / "other", Rules(num_steps=2)) as environment,
        pytest.raises(ValueError, match="more than 2 steps"),
    ):
        episode(environment, [1] * 6)


@pytest.mark.parametrize("steps", ["questions", "whole"])
@pytest.mark.filterwarnings("ignore")
def test_gymnasium_finds_nothing_wrong(steps: Any, tmp_path: Path) -> None:
    from gymnasium.utils.env_checker import check_env

    with opened(tmp_path / "run", Rules(steps=steps)) as environment:
        wrapped = environment.gymnasium()
        assert wrapped.observation_space.contains(wrapped.reset(seed=1)[0])
        # The checker compares infos of repeated steps, and a network is new only once, so the
        # checker's episode is run here before.
        wrapped.action_space.seed(123)
        wrapped.step(wrapped.action_space.sample())
        check_env(wrapped)


def test_without_gymnasium_only_its_spaces_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with opened(tmp_path / "run") as environment:
        episode(environment, [1] * 6)
        for ask in (
            lambda: environment.action_space,
            lambda: environment.observation_space,
            environment.gymnasium,
        ):
            with pytest.raises(ValueError, match=r"pip install 'surrogate-nas\[gymnasium\]'"):
                ask()
        assert json.dumps(environment.reset()[1]["options"])
