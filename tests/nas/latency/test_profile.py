"""The command `nas profile`, for runs and for spaces."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy
import pytest
from typer.testing import CliRunner, Result

from nas.cli.main import app
from nas.evaluators.evaluator import Observation
from nas.latency.measuring import Latency
from nas.proxies.profiling import Profiled, rank_correlations, unbeaten
from nas.record.folding import fold
from nas.record.journal import open_for_reading
from spaces import Architecture

QUICK = ("--limit", "0.01", "--within", "0.5")


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search on digits whose evaluations measured latencies."""
    directory = tmp_path_factory.mktemp("profiled")
    (directory / "config.yaml").write_text(
        "space: convnet\ntask: digits\nstrategy: random\n"
        "training: {epochs: 1, batch_size: 256}\n"
        "budget: 3\nbatch: 3\nexecutor: {workers: 2}\n"
        "evaluator: {latency: {limit: 0.01}}\nfinalists: {count: 1, seeds: 1, epochs: 1}\n"
    )
    done = nas("search", str(directory / "config.yaml"), "--out", str(directory / "run"))
    assert done.exit_code == 0, done.output
    return directory / "run"


def test_the_journal_holds_the_latencies_that_workers_measured(run: Path) -> None:
    with open_for_reading(run) as journal:
        trials = fold(journal.events()).observed
    assert len(trials) == 3
    for trial in trials:
        assert isinstance(trial.outcome, Observation)
        metrics = dict(trial.outcome.metrics)
        assert metrics["latency"] > 0
        assert metrics["memory"] > 4 * metrics["parameters"]


def test_profiling_a_run(run: Path, tmp_path: Path) -> None:
    winner = nas("profile", str(run), *QUICK)
    assert winner.exit_code == 0, winner.output
    assert winner.stdout.splitlines()[1].split()[2] == "±"
    assert "on cpu, batches of 1, 1 thread" in winner.stdout
    out = tmp_path / "run.csv"
    shown = nas("profile", str(run), "--all", "--json", "--out", str(out), *QUICK)
    everything = json.loads(shown.stdout)
    assert [each["trial"] for each in everything["networks"]] == [0, 1, 2]
    assert everything["rank_correlation"].keys() == {"multiply_adds", "parameters"}
    with out.open() as file:
        rows = list(csv.DictReader(file))
    memories = [each["memory"] for each in everything["networks"]]
    assert [int(row["memory"]) for row in rows] == memories
    shown = nas("profile", str(run), "--trial", "2", "--json", "--batch-size", "4", *QUICK)
    one = json.loads(shown.stdout)
    assert [each["trial"] for each in one["networks"]] == [2]
    assert one["networks"][0]["memory"] > everything["networks"][2]["memory"]
    assert "* no other is both faster" in nas("profile", str(run), "--all", *QUICK).stdout


def test_profiling_a_space_gives_a_table_that_a_predictor_is_fitted_to(tmp_path: Path) -> None:
    out = tmp_path / "latencies.npz"
    profile = ("profile", "nasbench201", "--count", "12", "--input", "3,8,8")
    done = nas(*profile, "--classes", "10", "--out", str(out), *QUICK)
    assert done.exit_code == 0, done.output
    assert "rank correlation of the latency with multiply-adds" in done.stdout
    chosen = ("--space", "nasbench201", "--score", "latency", "--lower-is-better")
    model = ("--predictor", "ridge", "--out", str(tmp_path / "p"))
    fitted = nas("predictor", "fit", str(out), *chosen, *model)
    assert fitted.exit_code == 0, fitted.output
    assert "latency of 12 architectures" in fitted.stdout
    again = json.loads(nas(*profile, "--json", *QUICK).stdout)
    with numpy.load(out) as columns:
        for column in ("architecture", "memory"):
            assert [each[column] for each in again["networks"]] == columns[column].tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "nowhere"),
        (("nasbench201", "--trial", "1"), "nasbench201 is not a run (it has no journal.sqlite)"),
        (("nasbench201", "--out", "a.txt"), "a new .npz or .csv file"),
        (("nasbench201", "--limit", "0"), "a latency's limit is a number of seconds above 0"),
        (("nasbench201", "--device", "tpu"), "tpu"),
        (("nasbench_graph",), "makes no networks"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...], says: str) -> None:
    result = nas("profile", *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def test_wrong_arguments_for_a_run_are_refused(run: Path) -> None:
    for arguments, says in (
        (("--trial", "99"), "there is no trial 99"),
        (("--trial", "1", "--all"), "give one of them"),
        (("--input", "3,8,8"), "leave --input, --output and --vocabulary out"),
    ):
        result = nas("profile", str(run), *arguments)
        assert (result.exit_code, says in result.stderr) == (2, True), result.output


def test_code_that_a_run_of_another_user_names_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = f"{Path(__file__).resolve().parents[3] / 'examples' / 'graph_space.py'}:space"
    (tmp_path / "config.yaml").write_text(
        f"space: {space}\ntask: digits\nstrategy: random\n"
        "training: {epochs: 1, batch_size: 512}\n"
        "budget: 1\nfinalists: {count: 0}\nexecutor: inline\n"
    )
    run = str(tmp_path / "run")
    assert nas("search", str(tmp_path / "config.yaml"), "--out", run).exit_code == 0
    assert nas("profile", run, *QUICK).exit_code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody"))
    refused = nas("profile", run, *QUICK)
    assert refused.exit_code == 2
    assert "code is not run because a run says so" in refused.stderr
    assert nas("profile", run, "--space", space, *QUICK).exit_code == 0


def test_the_pareto_front_and_the_rank_correlation_of_trivial_baselines() -> None:
    def row(milliseconds: float, score: float | None, multiply_adds: int) -> Profiled:
        latency = Latency(milliseconds, 0.1, 50, 1000, 0.0, 0.0, "")
        architecture = Architecture("s", (("a", multiply_adds),))
        return Profiled(architecture, latency, 7, multiply_adds, 0, score)

    rows = [row(1.0, 0.5, 10), row(2.0, 0.9, 20), row(3.0, 0.8, 40), row(4.0, 0.95, 30)]
    assert unbeaten(rows) == [True, True, False, True]
    assert unbeaten([*rows, row(1.0, None, 1)]) == [False] * 5
    assert rank_correlations(rows) == {"multiply_adds": pytest.approx(0.8), "parameters": None}
