"""A report is a valid page at any moment of a run, and shows every trial."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.events import (
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    round_end_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.history import EMPTY
from nas.record.journal import create
from nas.record.scorecard import scorecard
from nas.record.trials import Final, Finalist, Predicted, Trial
from nas.report import headline, summarize, terminal_summary, write_report
from nas.report.markup import Html, element, table
from spaces import Architecture, Shapes, operators
from spaces.load import load_space
from tests.nas.report.made_up_runs import config_of, finals_of, made_up_run
from tests.nas.report.pages import ENVIRONMENT, charts, check_page, svgs, written


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
        # In the headline, in a tile and in the table.
        assert html.count(f"{won['test']['mean']:.4f}") >= 3
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
    # Six finalists with three seeds, of which one training failed.
    assert count("Test score of each finalist with each seed", "ring") == 17
    assert count("Test score of each finalist with each seed", "mean") == 6
    assert count("Validation score after each epoch, of the best trials", "curve") == 6
    assert count("Rank correlation of predicted and observed scores by round", "bar") == 6
    drawings = [svg for svg in svgs(html) if svg.attrib.get("class") != "chart"]
    assert len(drawings) == len({run.trial(item.trial).canonical for item in run.finalists})


def test_page_of_any_moment(tmp_path, events):
    lengths = [0, 1, 3, 5, 30, 52, 60, 61, 63, 64, 100]
    lengths += [len(events) - left for left in (19, 10, 1)]
    for place, length in enumerate(lengths):
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
    architecture = operators.sample(load_space("nasbench201"), Random(0))
    trial = Trial(0, 0, "search", architecture, "random", None, "k", 0)
    events = [
        round_event(0, "search", [trial]),
        outcome_event(0, Failed("exception", "no", 1.0, "")),
    ]
    check_page(written(tmp_path, events))
    assert "1 evaluation failed" in headline(summarize(fold(events), config_of()))


def test_what_users_wrote_is_escaped(tmp_path):
    bad = "<script>alert(1)</script><img src=x>&amp;"
    architecture, predicted = Architecture(bad, ((bad, bad),)), Predicted(0.5, 0.1, 0.1)
    trials = [
        Trial(number, 0, "search", architecture, bad, predicted, f"k{number}", 0)
        for number in range(3)
    ]
    events = [
        round_event(0, "search", trials, bad),
        outcome_event(0, Observation(0.5, 1.0, (0.1, 0.5))),
        outcome_event(1, Failed(bad, bad, 1.0, bad)),
        outcome_event(2, Observation(0.6, 1.0, (0.1, 0.6))),
        round_end_event(0, "search", scorecard([])),
        round_event(0, bad, [Trial(3, 0, bad, Architecture(bad, ()), bad, None, "k", 0)]),
        finalist_event(Finalist(2, 1, "search")),
        final_event(Final(2, 1, FinalResult(0.6, 0.6))),
        finished_event(bad),
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
    drawn = svgs(html)
    assert drawn
    assert all(svg.attrib.get("class") == "chart" for svg in drawn)
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


def test_markup_escapes_text_and_keeps_html():
    assert (
        element("p", "a < b", Html("<b>c</b>"), style='x"y')
        == '<p class="x&quot;y">a &lt; b<b>c</b></p>'
    )
    assert "<td>&lt;i&gt;</td>" in table(["head"], [["<i>"]])
