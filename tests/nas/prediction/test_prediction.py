"""The commands that fit a predictor to a table or a run, evaluate it, and rank architectures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner, Result

from nas.cli.main import app
from nas.prediction.fitting import drawn, fit
from nas.prediction.judging import evaluate
from nas.prediction.labels import read_labels
from nas.prediction.predicting import predict
from spaces.canonical import canonical_key
from spaces.load import load_space
from spaces.nasbench201 import OPERATIONS
from spaces.operators import sample_graph

TABLE = "builtin:nasbench201"
CELLS = load_space("nasbench201")

RUN = """
space: nasbench201
evaluator:
  {name: table, path: "builtin:nasbench201", score: c100_val_200, test: c100_test_200,
   seconds: c100_epoch_seconds}
strategy: random
executor: inline
budget: 24
batch: 12
"""

OWN = """
import json
from dataclasses import dataclass
from pathlib import Path

import numpy

from predictors import Prediction


@dataclass(frozen=True)
class Sizes:
    factor: float = 1.0

    def fit(self, graphs, scores, *, seed=0):
        return self

    def predict(self, graphs):
        ones = numpy.ones(len(graphs))
        sizes = numpy.array([float(len(set(graph.nodes))) for graph in graphs])
        return Prediction(self.factor * sizes, ones, ones)

    def save(self, directory):
        Path(directory).mkdir(parents=True, exist_ok=True)
        Path(directory, "sizes.json").write_text(json.dumps(self.factor))

    @staticmethod
    def load(directory):
        return Sizes(json.loads(Path(directory, "sizes.json").read_text()))


@dataclass(frozen=True)
class Forgetful:
    def fit(self, graphs, scores, *, seed=0):
        return self
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def done(*arguments: str) -> Result:
    result = nas(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str, parts: tuple[str, ...]) -> None:
    result = nas(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr, result.stderr


def fitted(out: str = "kept", *more: str) -> dict[str, Any]:
    usual = (
        "--space",
        "nasbench201",
        "--score",
        "c100_val_200",
        "--predictor",
        "ridge",
        "--sample",
        "80",
    )
    return json.loads(done("predictor", "fit", TABLE, "--out", out, *usual, "--json", *more).stdout)


def save_table(path: Path, rows: int = 200, **columns: numpy.ndarray) -> numpy.ndarray:
    """Saves random cells with these columns; by default `milliseconds` from 3x3 convolutions."""
    arch = numpy.random.default_rng(0).integers(0, 5, (rows, 6)).astype(numpy.uint8)
    slow = 1 + (arch == OPERATIONS.index("nor_conv_3x3")).sum(1)
    numpy.savez(path, arch=arch, **(columns or {"milliseconds": slow.astype(numpy.float32)}))  # type: ignore[arg-type]
    return arch


def test_from_a_table_to_the_best_architectures(here: Path) -> None:
    about = fitted("kept", "--seed", "3", "--check")
    assert about["rows"] == 80
    assert 20 <= about["labels"] <= 80
    assert about["check"]["spearman"] > 0.5
    assert {path.name for path in (here / "kept").iterdir()} == {
        "predictor.json",
        "predictor.safetensors",
        "about.json",
    }
    judged = json.loads(done("predictor", "eval", "kept", TABLE, "--json").stdout)
    assert judged["number"] + judged["left_out"] == 15_625
    assert judged["spearman"] > 0.7
    assert set(judged["coverage"]) == {"0.5", "0.8", "0.9", "0.95"}
    assert (
        "Kendall's tau"
        in done("predictor", "eval", "kept", TABLE, "--score", "c100_test_200").stdout
    )
    asked = ("predict", "kept", "--sample", "500", "--top", "4", "--out", "all.csv")
    best = json.loads(done(*asked, "--json").stdout)
    assert [item["rank"] for item in best["best"]] == [1, 2, 3, 4]
    assert best["looked_at"] == 500
    means = [item["mean"] for item in best["best"]]
    assert means == sorted(means, reverse=True)
    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == best["distinct"] == len({row["canonical"] for row in rows}) < 500
    assert done(*asked).stdout == done(*asked).stdout, "the same seed gives the same architectures"
    assert any(row["measured"] for row in rows)
    (here / "one.json").write_text(json.dumps(best["best"][0]))
    (here / "two.json").write_text(f"[{rows[-1]['architecture']}]")
    given = json.loads(
        done("predict", "kept", "--arch", "two.json", "--arch", "one.json", "--json").stdout
    )
    assert [item["canonical"] for item in given["best"]] == [
        best["best"][0]["canonical"],
        rows[-1]["canonical"],
    ]
    assert given["best"][0]["mean"] == pytest.approx(means[0])


def test_all_of_a_space(here: Path) -> None:
    fitted()
    every = json.loads(done("predict", "kept", "--all", "--json").stdout)
    assert every["looked_at"] == 15_625
    assert len(every["best"]) == 20
    assert (
        every["best"][0]["mean"]
        >= json.loads(done("predict", "kept", "--sample", "300", "--json").stdout)["best"][0][
            "mean"
        ]
    )


def test_from_a_run(here: Path) -> None:
    (here / "run.yaml").write_text(RUN)
    done("search", "run.yaml", "--out", "run", "-s", "finalists.count=0")
    done("predictor", "fit", "run", "--out", "kept", "--predictor", "ridge")
    about = json.loads((here / "kept" / "about.json").read_text())
    assert about["space"] == "nasbench201"
    assert about["rows"] == 24
    assert (
        done("predictor", "eval", "kept", TABLE, "--score", "c100_val_200", "--json").exit_code == 0
    )
    refused("predictor", "eval", "kept", "run", parts=("got 0",))
    done(
        "predictor",
        "fit",
        "run",
        "--out",
        "slow",
        "--predictor",
        "ridge",
        "--score",
        "seconds",
        "--lower-is-better",
    )
    refused(
        "predictor",
        "fit",
        "run",
        "--out",
        "none",
        "--lower-is-better",
        parts=("leave --lower-is-better out",),
    )
    refused(
        "predictor",
        "fit",
        "run",
        "--out",
        "none",
        "--score",
        "accuracy",
        parts=("no number 'accuracy'", "score, seconds"),
    )


def test_lower_is_better_in_the_users_units(here: Path) -> None:
    save_table(here / "speed.npz")
    fit_it = (
        "predictor",
        "fit",
        "speed.npz",
        "--space",
        "nasbench201",
        "--score",
        "milliseconds",
        "--predictor",
        "ridge",
        "--sample",
        "60",
    )
    done(*fit_it, "--out", "kept", "--lower-is-better")
    judged = json.loads(done("predictor", "eval", "kept", "speed.npz", "--json").stdout)
    assert judged["spearman"] > 0.5
    assert judged["regret_of_top_10"] >= 0
    best = json.loads(done("predict", "kept", "--sample", "500", "--top", "500", "--json").stdout)
    means = [item["mean"] for item in best["best"]]
    assert means == sorted(means)
    assert best["lower_is_better"]
    measured = [
        (item["measured"], item["mean"]) for item in best["best"] if item["measured"] is not None
    ]
    assert all(1 <= label <= 7 for label, _ in measured), "labels stay in the user's units"
    # A label may be that of an isomorphic cell with other disconnected convolutions, which the
    # column `milliseconds` counts.
    assert numpy.corrcoef(*zip(*measured, strict=True))[0, 1] > 0.75
    assert "lower is better" in done("predict", "kept", "--sample", "10").stdout
    # If higher is better, the same labels are predicted in the same units, best last. The networks
    # may be read otherwise: a cost is read from all that is executed.
    done(*fit_it, "--out", "other")
    other = json.loads(done("predict", "other", "--sample", "500", "--top", "500", "--json").stdout)
    mean_of = {item["canonical"]: item["mean"] for item in best["best"]}
    pairs = [(item["mean"], mean_of[item["canonical"]]) for item in other["best"]]
    assert numpy.corrcoef(*zip(*pairs, strict=True))[0, 1] > 0.75
    means = [item["mean"] for item in other["best"]]
    assert means == sorted(means, reverse=True)


def test_what_is_isomorphic_is_averaged_and_left_out(here: Path) -> None:
    arch = save_table(here / "cells.npz", scores=(scores := numpy.arange(200, dtype=numpy.float64)))
    scores[3] = numpy.nan
    classes = numpy.arange(200, dtype=numpy.int16)
    classes[[10, 150]] = 7
    numpy.savez(here / "cells.npz", arch=arch, scores=scores, isomorph=classes)
    labels = read_labels("cells.npz", space="nasbench201", column="scores")
    trained = fit(drawn(labels, 40, 0), "ridge")
    keys = numpy.array(
        [canonical_key(CELLS.graph(architecture)) for architecture in labels.architectures]
    )
    chosen = numpy.random.default_rng(0).choice(
        numpy.flatnonzero(numpy.isfinite(scores)), 40, replace=False
    )
    assert trained.about.labels == {
        key: pytest.approx(scores[chosen][keys[chosen] == key].mean()) for key in keys[chosen]
    }
    # Row 10 is known by its key, row 150 only by the table's own numbering of isomorphic rows.
    alone = fit(drawn(labels, 40, 0), "ridge")
    about = alone.about.model_copy(update={"labels": {keys[10]: 1.0}})
    figures = evaluate(type(alone)(alone.fitted, about), labels)
    left_out = set(numpy.flatnonzero(keys == keys[10])) | {10, 150}
    same = {row for row in range(200) if classes[row] in {classes[known] for known in left_out}}
    assert figures["left_out"] == len(left_out | same)
    assert figures["number"] + figures["left_out"] + figures["without"] == 200


def test_predictions_are_those_of_the_predictor_itself() -> None:
    trained = fit(
        drawn(read_labels(TABLE, space="nasbench201", column="c100_val_200"), 60, 0), "ridge"
    )
    candidates = [sample_graph(CELLS, Random(number)) for number in range(30)]
    expected = trained.fitted.predict([graph for _, graph in candidates])
    ranked = predict(trained, CELLS, [*candidates, *candidates], distinct=False)
    assert ranked.looked_at == len(ranked.best) == 60
    by_key = {
        canonical_key(graph): mean
        for (_, graph), mean in zip(candidates, expected.mean, strict=True)
    }
    assert {item.canonical: item.mean for item in ranked.best} == pytest.approx(by_key)
    assert len(predict(trained, CELLS, candidates + candidates).best) == len(by_key)


def test_a_column_of_two_dimensions(here: Path) -> None:
    numbers = numpy.random.default_rng(1).normal(size=(200, 2))
    save_table(here / "runs.npz", runs=numbers, names=numpy.array(["a"] * 200), short=numpy.ones(3))
    labels = read_labels("runs.npz", space="nasbench201", column="runs:1")
    assert (labels.values_N == numbers[:, 1]).all()
    for column, part in (
        ("runs", "runs:0 to runs:1"),
        ("runs:2", "runs:0 to runs:1"),
        ("names", "one a row"),
        ("short", "one a row"),
    ):
        with pytest.raises(ValueError, match=part):
            read_labels("runs.npz", space="nasbench201", column=column)


def test_a_table_of_any_space_names_its_architectures(here: Path) -> None:
    space = load_space("convnet")
    drawn_ones = [sample_graph(space, Random(number)) for number in range(30)]
    nodes = numpy.array([len(graph.nodes) for _, graph in drawn_ones])
    numpy.savez(
        "mine.npz",
        architecture=numpy.array([architecture.to_json() for architecture, _ in drawn_ones]),
        nodes=nodes,
    )
    done(
        "predictor",
        "fit",
        "mine.npz",
        "--out",
        "kept",
        "--space",
        "convnet",
        "--score",
        "nodes",
        "--predictor",
        "ridge",
        "--sample",
        "20",
    )
    assert (
        json.loads(done("predictor", "eval", "kept", "mine.npz", "--json").stdout)["number"] == 10
    )
    refused(
        "predictor",
        "fit",
        "mine.npz",
        "--out",
        "new",
        "--space",
        "nasbench201",
        "--score",
        "nodes",
        parts=("'convnet'", "'nasbench201'"),
    )
    numpy.savez("mine.npz", architecture=nodes, nodes=nodes)
    refused("predictor", "eval", "kept", "mine.npz", parts=("should be texts, one a row",))


def test_a_predictor_of_ones_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "own.py").write_text(OWN)
    about = fitted("kept", "--predictor", "own.py:Sizes", "-s", "factor=-2")
    assert about["settings"] == {"factor": -2}
    best = json.loads(done("predict", "kept", "--sample", "200", "--json").stdout)
    assert best["best"][0]["mean"] < 0
    usual = ("--space", "nasbench201", "--score", "c100_val_200", "--sample", "80")
    refused(
        "predictor",
        "fit",
        TABLE,
        "--out",
        "none",
        *usual,
        "--predictor",
        "own.py:Forgetful",
        parts=("load(directory)",),
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "somebody"))
    refused("predict", "kept", parts=("code is not run because a file says so",))


def test_a_space_of_somebody_elses_is_named_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine.py").write_text("from spaces.nasbench201 import space\n")
    fitted("kept", "--space", "mine.py:space")
    assert (
        json.loads((here / "kept" / "about.json").read_text())["space"]
        == f"{here / 'mine.py'}:space"
    )
    done("predict", "kept", "--sample", "5")
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "somebody"))
    refused("predict", "kept", parts=("name it, with --space",))
    refused("predictor", "eval", "kept", TABLE, parts=("name it, with --space",))
    done("predict", "kept", "--sample", "5", "--space", "nasbench201")


FIT = ("predictor", "fit", TABLE, "--out", "new")
WHOLE = (*FIT, "--space", "nasbench201", "--score", "c100_val_200", "--predictor", "ridge")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (FIT, ("--space", "nasbench201")),
        ((*FIT, "--space", "nasbench201"), ("--score", "c100_val_200")),
        ((*WHOLE, "--score", "accuracy"), ("no column 'accuracy'", "c100_val_200")),
        ((*WHOLE, "--score", "c100_val_200:0"), ("without :0",)),
        ((*WHOLE, "--space", "nasbench202"), ("no space is called 'nasbench202'",)),
        ((*WHOLE, "--space", "convnet"), ("has no `rows`",)),
        (
            (*WHOLE, "--space", "flexibert_qnli"),
            ("no column", "which the space 'flexibert_qnli' reads"),
        ),
        ((*WHOLE, "--predictor", "oracle"), ("no predictor is called 'oracle'", "ridge")),
        ((*WHOLE, "-s", "nothing=3"), ("has no setting 'nothing'",)),
        ((*WHOLE, "-s", "name=gnn"), ("--predictor",)),
        ((*WHOLE, "-s", "nothing"), ("a setting is key=value",)),
        ((*WHOLE, "--sample", "20000"), ("2 to 15625", "20000")),
        ((*WHOLE, "--sample", "10", "--check"), ("at least 20",)),
        (("predictor", "fit", "nowhere", "--out", "new"), ("nowhere is none of these",)),
        (
            ("predictor", "fit", "nowhere.npz", "--out", "new", "--space", "nasbench201"),
            ("there is no file nowhere.npz",),
        ),
        ((*WHOLE, "--out", "taken"), ("taken is not empty",)),
        ((*WHOLE, "--out", "file"), ("file is a file",)),
        (("predictor", "eval", "taken", TABLE), ("taken is not a predictor",)),
        (("predict", "nowhere"), ("nowhere is not a predictor",)),
        (("predict", "broken"), ("is not what `nas predictor fit` writes", "again")),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    here: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    (here / "taken").mkdir()
    (here / "taken" / "notes.txt").write_text("mine")
    (here / "file").write_text("mine")
    (here / "broken").mkdir()
    (here / "broken" / "about.json").write_text("{}")
    refused(*arguments, parts=parts)
    assert not (here / "new").exists(), "nothing is written"


def test_wrong_questions_are_answered_with_a_sentence(here: Path) -> None:
    fitted()
    (here / "wrong.json").write_text("[1]")
    (here / "other.json").write_text('{"space": "convnet", "decisions": {}}')
    refused("predict", "kept", "--all", "--sample", "3", parts=("give one of them",))
    refused("predict", "kept", "--arch", "nowhere.json", parts=("cannot be read",))
    refused(
        "predict",
        "kept",
        "--arch",
        "wrong.json",
        parts=("wrong.json", "an architecture is a JSON object"),
    )
    refused("predict", "kept", "--arch", "other.json", parts=("belongs to the space 'convnet'",))
    refused(
        "predict",
        "kept",
        "--space",
        "convnet",
        "--all",
        parts=("combinations of decisions", "--sample"),
    )
    refused(
        "predict",
        "kept",
        "--sample",
        "3",
        "--out",
        "no/such/place.csv",
        parts=("could not be written",),
    )
    refused(
        "predictor", "eval", "kept", TABLE, "--score", "accuracy", parts=("no column 'accuracy'",)
    )
    (here / "kept" / "predictor.safetensors").unlink()
    refused("predict", "kept", parts=("predictor.safetensors",))
