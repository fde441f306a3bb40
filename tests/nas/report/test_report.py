from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config.config import RunConfig, parse_config
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record import history
from nas.record.history import EMPTY, Final, Finalist, Predicted, Trial, fold
from nas.record.journal import Event, create
from nas.record.scorecard import scorecard
from nas.report import headline, summarize, terminal_summary, write_report
from nas.report.axes import labels, shown_range, spread_out, ticks
from nas.report.markup import Html, element, table
from spaces import Architecture, SearchSpace, Shapes, operators
from spaces.load import load_space

TABLE = {"name": "table", "path": "builtin:nasbench201", "score": "valid"}
FAILURES = (
    ("out of memory", "the device has no memory left for a batch of 128"),
    ("time-out", "the training took longer than 60 seconds"),
    ("not finite", "the loss was not a number in epoch 3"),
)


def config_of(**settings) -> RunConfig:
    return parse_config(
        {"space": "nasbench201", "evaluator": TABLE, "budget": 40, "seed": 3, **settings}, "test"
    )


def made_up_run(
    seed: int = 1, budget: int = 40, batch: int = 4, space: SearchSpace | None = None
) -> list[Event]:
    """Two arms of `budget` trials, a surrogate that learns to rank, failures, three finalists each
    with three seeds.
    """
    random, space, events, first = Random(seed), space or load_space("nasbench201"), [], 0
    for arm in ("search", "random"):
        good: list[tuple[float, int]] = []
        for number in range(budget // batch):
            trials, outcomes = [], []
            skill = min(1.0, number / 8) if arm == "search" else 0.0
            for trial in range(first, first + batch):
                score = (
                    0.94
                    - 0.03 * random.random() ** (1 + 2 * skill)
                    - 0.08 * (1 - skill) * random.random() ** 3
                )
                score = 0.1 if random.random() < 0.04 else score
                predicted = None
                if arm == "search" and number >= 4:
                    predicted = Predicted(
                        score + random.gauss(0, 0.012 * (1.4 - skill)), 0.006, 0.006 * (1.2 - skill)
                    )
                origin = "random" if predicted is None else random.choice(["mutation", "crossover"])
                architecture = operators.sample(space, random)
                trials.append(
                    Trial(
                        trial, number, arm, architecture, origin, predicted, architecture.key, trial
                    )
                )
                if random.random() < 0.08:
                    kind, reason = random.choice(FAILURES)
                    outcomes.append(
                        Failed(
                            kind,
                            reason,
                            12.0 + 40 * random.random(),
                            f"Traceback of trial {trial}\n  in a line\nError: {reason}",
                        )
                    )
                else:
                    curve = tuple(
                        score - 0.5 * math.exp(-epoch / 2.5) + random.gauss(0, 0.006)
                        for epoch in range(1, 12)
                    )
                    outcomes.append(Observation(score, 60 + 30 * random.random(), (*curve, score)))
                    good.append((score, trial))
            note = ""
            if arm == "search" and number < 4:
                note = "initial design: random"
            elif arm == "search" and number == 6:
                note = (
                    "the surrogate did not rank its latest 16 predictions (rank correlation "
                    "−0.05): half of the batch by evolution"
                )
            first += batch
            events += [
                history.round_event(number, arm, trials, note),
                *(
                    history.outcome_event(t.number, o)
                    for t, o in zip(trials, outcomes, strict=True)
                ),
            ]
            done = [
                replace(trial, outcome=outcome)
                for trial, outcome in zip(trials, outcomes, strict=True)
            ]
            events.append(history.round_end_event(number, arm, scorecard(done)))
        best = sorted(good, reverse=True)[:3]
        events += [
            history.finalist_event(Finalist(trial, rank, arm))
            for rank, (_, trial) in enumerate(best, start=1)
        ]
    for finalist in fold(events).finalists:
        score = fold(events).trial(finalist.trial).score
        for index in range(3):
            if finalist.arm == "random" and finalist.rank == 3 and index == 2:
                result: FinalResult | Failed = Failed(
                    "killed", "the worker was killed by signal 9", 31.0, ""
                )
            else:
                validation = score + 0.01 + random.gauss(0, 0.0012)
                result = FinalResult(
                    validation, validation - 0.004 + random.gauss(0, 0.0015), 240.0
                )
            events.append(history.final_event(Final(finalist.trial, 900 + index, result)))
    return [*events, history.finished_event("the budget is used")]


ENVIRONMENT = {
    "python": "3.11.9",
    "cpu_count": 4,
    "packages": {"torch": "2.6.0"},
    "shapes": {"input": [3, 32, 32], "output": [10]},
}


def written(
    directory: Path,
    events: list[Event],
    config: RunConfig | None = None,
    environment=ENVIRONMENT,
    **options,
) -> str:
    config = config or config_of()
    with create(directory, config.model_dump(mode="json"), environment) as journal:
        journal.append(events)
    return write_report(directory, **options).read_text(encoding="utf-8")


def svgs(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg\b.*?</svg>", html, re.S)]


def charts(html: str) -> dict[str, ElementTree.Element]:
    return {
        svg.attrib["aria-label"]: svg for svg in svgs(html) if svg.attrib.get("class") == "chart"
    }


class Balanced(HTMLParser):
    """Raises where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.names += [value for name, value in attrs if name == "id"]
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "xlink:href"} & {name for name, _ in attrs}
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(html: str) -> None:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert len(parser.names) == len(set(parser.names))
    svgs(html)
    rest = html.replace("http://www.w3.org/2000/svg", "")
    for outside in ("http:", "https:", "@import", "<script"):
        assert outside not in rest


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return made_up_run()


def test_page_of_a_finished_run(tmp_path, events):
    html = written(tmp_path / "over-night", events)
    check_page(html)
    run = fold(events)
    summary = summarize(run, config_of())
    assert "<h1>over-night</h1>" in html
    assert "Finished: the budget is used." in html
    for arm in ("search", "random"):
        won = next(
            item
            for item in summary["arms"][arm]["finalists"]
            if item["trial"] == summary["arms"][arm]["winner"]
        )
        assert (
            html.count(f"{won['test']['mean']:.4f}") >= 3
        )  # In the headline, in a tile and in the table.
    assert (
        summary["comparison"]["sentence"].replace(" ± ", "\u00a0±\u00a0").replace("'", "&#x27;")
        in html
    )
    for name in (
        "the device has no memory left",
        "Traceback of trial",
        "torch",
        "2.6.0",
        "initial design: random",
        "nor_conv_3x3",
    ):
        assert name in html
    assert "budget: 40" in html


def test_charts_show_every_trial(tmp_path, events):
    html, run = written(tmp_path, events), fold(events)
    drawn = charts(html)

    def count(chart: str, style: str) -> int:
        return sum(style in item.attrib.get("class", "").split() for item in drawn[chart].iter())

    best = "Best validation score so far in each arm"
    assert count(best, "point") == len(run.observed)
    assert count(best, "miss") == len(run.failed)
    assert count(best, "curve") == 2
    predicted = [trial for trial in run.observed if trial.prediction is not None]
    scatter = "Observed over predicted validation scores"
    assert count(scatter, "whisker") == len(predicted)
    assert sum(item.tag.endswith("circle") for item in drawn[scatter].iter()) == len(predicted)
    assert (
        count("Test score of each finalist with each seed", "ring") == 17
    )  # Six finalists with three seeds, one of which failed.
    assert count("Test score of each finalist with each seed", "mean") == 6
    assert count("Validation score after each epoch, of the best trials", "curve") == 6
    assert count("Rank correlation of predicted and observed scores by round", "bar") == 6
    drawings = [svg for svg in svgs(html) if svg.attrib.get("class") != "chart"]
    assert len(drawings) == len({run.trial(item.trial).canonical for item in run.finalists})


def test_page_of_any_moment(tmp_path, events):
    for place, length in enumerate(
        [
            0,
            1,
            3,
            5,
            30,
            52,
            60,
            61,
            63,
            64,
            100,
            len(events) - 19,
            len(events) - 10,
            len(events) - 1,
        ]
    ):
        html = written(tmp_path / f"run-{place}", events[:length])
        check_page(html)
        assert "Not finished" in html
        run = fold(events[:length])
        summary = summarize(run, config_of())
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary
        assert terminal_summary(summary)
        if not run.finals:
            assert "Test scores" not in html
            assert all(
                item["test"] is None
                for arm in summary["arms"].values()
                for item in arm["finalists"]
            )
            assert summary["comparison"]["on"] != "test"


def test_test_scores_are_those_of_the_full_trainings(events):
    run = fold(events)
    summary = summarize(run, config_of())
    found = [
        (item["trial"], final["seed"], final["test"])
        for arm in summary["arms"].values()
        for item in arm["finalists"]
        for final in item["finals"]
        if "test" in final
    ]
    assert sorted(found) == sorted(
        (final.trial, final.seed, final.result.test)
        for final in run.finals
        if isinstance(final.result, FinalResult)
    )
    for arm in summary["arms"].values():
        means = {item["trial"]: item["validation"]["mean"] for item in arm["finalists"]}
        assert arm["winner"] == max(means, key=lambda trial: means[trial])


def test_summary_counts(events):
    run = fold(events)
    summary = summarize(run, config_of())
    assert summary["arms"]["search"]["evaluated"] + summary["arms"]["search"]["failed"] == 40
    assert sum(item["count"] for item in summary["failures"]) == len(run.failed) + 1
    assert next(item for item in summary["failures"] if item["kind"] == "killed")["finals"] == 1
    assert summary["surrogate"]["pooled"]["predicted"] == sum(
        item["predicted"] for item in summary["surrogate"]["rounds"]
    )
    spent = sum(trial.outcome.seconds for trial in run.trials if trial.outcome) + sum(
        final.result.seconds for final in run.finals
    )
    assert summary["seconds"] == pytest.approx(spent)


def test_a_network_of_both_arms_is_counted_once():
    architecture = operators.sample(load_space("nasbench201"), Random(0))
    outcome = Observation(0.5, 30.0)
    events = []
    for number, arm in enumerate(("search", "random")):
        trial = Trial(number, 0, arm, architecture, "random", None, "same", number)
        events += [
            history.round_event(0, arm, [trial]),
            history.outcome_event(number, outcome),
            history.finalist_event(Finalist(number, 1, arm)),
        ]
    events += [
        history.final_event(Final(number, 7, FinalResult(0.6, 0.55, 90.0))) for number in (0, 1)
    ]
    summary = summarize(fold(events), config_of())
    assert summary["seconds"] == 120.0
    assert summary["comparison"]["verdict"] == "level"
    assert "Both found the same network" in headline(summary)


def finals_of(search: list[float], random: list[float]) -> list[Event]:
    space, draws, events = load_space("nasbench201"), Random(0), []
    for number, (arm, scores) in enumerate((("search", search), ("random", random))):
        trial = Trial(
            number, 0, arm, operators.sample(space, draws), "random", None, f"k{number}", number
        )
        events += [
            history.round_event(0, arm, [trial]),
            history.outcome_event(number, Observation(0.5)),
            history.finalist_event(Finalist(number, 1, arm)),
        ]
        events += [
            history.final_event(Final(number, seed, FinalResult(score, score)))
            for seed, score in enumerate(scores)
        ]
    return events


@pytest.mark.parametrize(
    ("search", "random", "verdict", "said"),
    [
        (
            [0.90, 0.91, 0.92],
            [0.80, 0.81, 0.82],
            "ahead",
            "The search is ahead by 0.100, more than the seeds",
        ),
        ([0.90, 0.91, 0.92], [0.90, 0.90, 0.91], "level", "random search was as good"),
        ([0.90, 0.91, 0.92], [0.90, 0.92, 0.92], "level", "Random search was as good."),
        ([0.80, 0.81, 0.82], [0.90, 0.91, 0.92], "behind", "Random search was better, by 0.100."),
        ([0.90], [0.80], "ahead", "one seed says nothing about the spread"),
        ([0.90, 0.90], [0.80, 0.80], "ahead", "The search is ahead by 0.100."),
        ([0.80], [0.80], "level", "Random search was as good."),
    ],
)
def test_verdict(search, random, verdict, said):
    summary = summarize(fold(finals_of(search, random)), config_of())
    assert summary["comparison"]["verdict"] == verdict
    assert said in " ".join(terminal_summary(summary).split())


def test_without_baseline(tmp_path):
    config = config_of(baseline="none")
    events = [
        event
        for event in finals_of([0.90, 0.92], [0.8])
        if event.body.get("arm") != "random" and event.body.get("trial") != 1
    ]
    summary = summarize(fold(events), config)
    assert list(summary["arms"]) == ["search"]
    assert summary["comparison"] is None
    assert headline(summary) == "The winner, trial 0, scores 0.910 ± 0.014 on test, over 2 seeds."
    check_page(written(tmp_path, events, config))
    assert headline(summarize(EMPTY, config)) == "Nothing has been evaluated yet."


def test_only_failures(tmp_path):
    trial = Trial(
        0,
        0,
        "search",
        operators.sample(load_space("nasbench201"), Random(0)),
        "random",
        None,
        "k",
        0,
    )
    events = [
        history.round_event(0, "search", [trial]),
        history.outcome_event(0, Failed("exception", "no", 1.0, "")),
    ]
    check_page(written(tmp_path, events))
    assert "1 evaluation failed" in headline(summarize(fold(events), config_of()))


def test_what_users_wrote_is_escaped(tmp_path):
    bad = "<script>alert(1)</script><img src=x>&amp;"
    trials = [
        Trial(
            number,
            0,
            "search",
            Architecture(bad, ((bad, bad),)),
            bad,
            Predicted(0.5, 0.1, 0.1),
            f"k{number}",
            0,
        )
        for number in range(3)
    ]
    events = [
        history.round_event(0, "search", trials, bad),
        history.outcome_event(0, Observation(0.5, 1.0, (0.1, 0.5))),
        history.outcome_event(1, Failed(bad, bad, 1.0, bad)),
        history.outcome_event(2, Observation(0.6, 1.0, (0.1, 0.6))),
        history.round_end_event(0, "search", scorecard([])),
        history.round_event(0, bad, [Trial(3, 0, bad, Architecture(bad, ()), bad, None, "k", 0)]),
        history.finalist_event(Finalist(2, 1, "search")),
        history.final_event(Final(2, 1, FinalResult(0.6, 0.6))),
        history.finished_event(bad),
    ]
    html = written(
        tmp_path / "<b>run",
        events,
        config_of(space=f"{bad}.py:space"),
        {bad: bad, "packages": {bad: bad}},
    )
    check_page(html)
    for tag in ("<img", "<b>", "&amp;amp;amp;"):
        assert tag not in html
    assert html.count("&lt;script&gt;alert(1)") >= 10


def test_a_space_of_the_users_own_runs_only_when_passed(tmp_path, events, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "raise SystemExit('the report imported code that a run directory names')"
    )
    config = config_of(space="own.py:space")
    html = written(tmp_path / "run", events, config)
    check_page(html)
    assert "Not drawn: the space own.py:space is code of its own" in html
    assert "edge_0_1" in html
    assert all(svg.attrib.get("class") == "chart" for svg in svgs(html))
    again = write_report(
        tmp_path / "run", tmp_path / "again.html", space=load_space("nasbench201")
    ).read_text(encoding="utf-8")
    assert any(svg.attrib.get("class") != "chart" for svg in svgs(again))


def test_a_space_that_has_changed_is_not_drawn(tmp_path, events):
    html = written(
        tmp_path, events, environment={}, space=replace(load_space("nasbench201"), name="another")
    )
    check_page(html)
    assert "Not drawn: the architecture belongs to the space" in html


def test_drawn_for_the_shapes_of_the_task(tmp_path):
    space = load_space("convnet").for_shapes(Shapes((1, 8, 8), (10,)))
    config = config_of(space="convnet", evaluator="train", task="digits", budget=8)
    shapes = {"shapes": {"input": [1, 8, 8], "output": [10]}}
    html = written(tmp_path, made_up_run(seed=2, budget=8, space=space), config, shapes)
    check_page(html)
    assert "1 × 8 × 8" in html


def test_report_while_the_run_goes_on(tmp_path, events):
    with create(tmp_path / "run", config_of().model_dump(mode="json"), ENVIRONMENT) as journal:
        journal.append(events[:20])
        first = write_report(tmp_path / "run")
        journal.append(events[20:])
        before = first.read_text(encoding="utf-8")
        assert write_report(tmp_path / "run") == first == tmp_path / "run" / "report.html"
    assert "Not finished" in before
    assert "Finished: " in first.read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("*.part"))


def test_a_directory_is_no_place_for_a_report(tmp_path):
    with (
        create(tmp_path / "run", config_of().model_dump(mode="json"), {}),
        pytest.raises(ValueError, match="is a directory: name a file in it"),
    ):
        write_report(tmp_path / "run", tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path, events):
    with (
        create(tmp_path / "run", config_of().model_dump(mode="json"), {}),
        pytest.raises(ValueError, match="could not be written to"),
    ):
        write_report(tmp_path / "run", tmp_path / "missing" / "report.html")


numbers = st.floats(-1e9, 1e9)


@given(numbers, numbers)
def test_ticks_are_few_and_inside(one, other):
    low, high = sorted((one, other))
    found = ticks(low, high)
    margin = 1e-6 * (high - low)
    assert 1 <= len(found) <= 10
    assert all(low - margin <= tick <= high + margin for tick in found)
    assert len(labels(found)) == len(found)


def test_ticks_are_round():
    assert labels(ticks(0, 40)) == ("0", "10", "20", "30", "40")
    assert labels(ticks(0.9312, 0.9475)) == ("0.935", "0.940", "0.945")
    assert labels(ticks(-1.0, 0.1)) == ("−1.0", "−0.8", "−0.6", "−0.4", "−0.2", "0.0")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_are_spread_out_in_their_order(places):
    found = spread_out(places, 10, 0, 100)
    ordered = sorted(found)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(ordered))
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in found)
    assert all(
        found[i] <= found[j]
        for i, one in enumerate(places)
        for j, other in enumerate(places)
        if one < other
    )


def test_a_hopeless_value_does_not_set_the_range():
    low, high = shown_range([0.1, *(0.90 + 0.003 * place for place in range(11))])
    assert 0.8 < low < 0.9
    assert 0.93 < high < 0.95
    assert shown_range([]) == (0.0, 1.0)
    assert shown_range([0.1, 0.2, 0.91, 0.91], pad=0.0) == (
        0.1,
        0.91,
    )  # Half of the values are no exception.
    assert shown_range([0.9] * 20, always=[0.5])[0] < 0.5


def test_markup_escapes_text_and_keeps_html():
    assert (
        element("p", "a < b", Html("<b>c</b>"), style='x"y')
        == '<p class="x&quot;y">a &lt; b<b>c</b></p>'
    )
    assert "<td>&lt;i&gt;</td>" in table(["head"], [["<i>"]])
