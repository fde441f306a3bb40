"""Latencies: the statistics by a clock that the tests turn, the memory by counting, the command and
the metric without any assertion on real times.
"""

from __future__ import annotations

import csv
import fcntl
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy
import pytest
import torch
from scipy.signal import lfilter
from torch import nn
from typer.testing import CliRunner, Result

from nas.cli.main import app
from nas.config.config import ConfigError, parse_config
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.latency import LatencySettings, time_passes
from nas.latency.measuring import Latency, alone, lock_file, measure, peak_memory
from nas.latency.timing import BLOCKS, summarize, trouble
from nas.proxies.profiling import Profiled, rank_correlations, unbeaten
from nas.record.history import fold
from nas.record.journal import open_for_reading
from nas.tasks import load_task
from nas.training.recipe import Recipe
from spaces import Architecture
from spaces.load import load_space
from spaces.operators import sample

CPU = torch.device("cpu")


class Turned:
    """A clock that stands still but for the passes, each of which takes the next of the given
    times.
    """

    def __init__(self, seconds: Iterator[float]) -> None:
        self.seconds, self.now, self.passes = seconds, 0.0, 0

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += next(self.seconds)
        self.passes += 1


def forever(draw: Callable[[], float]) -> Iterator[float]:
    while True:
        yield draw()


def timed(draw: Callable[[], float], within: float = 0.02, limit: float = 100.0):
    clock = Turned(forever(draw))
    return time_passes(clock.run, within=within, limit=limit, clock=clock, processor=clock), clock


def test_passes_that_never_differ_are_known_at_once() -> None:
    timing, _ = timed(lambda: 0.25)
    assert (timing.median, timing.error, timing.repeats, timing.spread, timing.drift) == (
        0.25,
        0.0,
        5 * BLOCKS,
        0.0,
        0.0,
    )
    assert trouble(timing, 0.02) == ""


def test_the_warm_up_goes_on_while_passes_get_faster_and_does_not_count() -> None:
    seconds = [2.0 * 0.8**number if number < 15 else 0.1 for number in range(5000)]
    clock = Turned(iter(seconds))
    timing = time_passes(clock.run, within=0.02, limit=1000, clock=clock, processor=clock)
    assert timing.median == pytest.approx(0.1)
    assert clock.passes - timing.repeats >= 20
    assert timing.error == pytest.approx(0)


def test_noisier_passes_are_repeated_more_until_the_error_is_as_small_as_asked() -> None:
    def repeats(deviation: float, within: float) -> int:
        source = numpy.random.default_rng(1)
        timing, _ = timed(lambda: float(source.lognormal(-3, deviation)), within, limit=1e9)
        assert timing.error <= within * timing.median
        return timing.repeats

    assert repeats(0.02, 0.02) < repeats(0.3, 0.02) < repeats(0.3, 0.005)


def test_it_stops_at_the_limit_and_says_what_it_does_not_know() -> None:
    source = numpy.random.default_rng(0)
    timing, clock = timed(lambda: float(source.lognormal(-3, 1.0)), within=0.001, limit=20.0)
    assert 20 <= clock.now < 30
    assert "only" in trouble(timing, 0.001)
    assert trouble(timing, 0.9) == ""


def test_a_pass_longer_than_the_limit_is_timed_ten_times_all_the_same() -> None:
    timing, clock = timed(lambda: 30.0, limit=1.0)
    assert (timing.repeats, clock.passes) == (BLOCKS, BLOCKS + 1)


def test_a_machine_that_becomes_slower_is_noticed() -> None:
    timing = summarize(numpy.r_[numpy.full(50, 0.1), numpy.full(50, 0.3)])
    assert timing.drift == pytest.approx(2.0)
    assert "200% slower in the second half" in trouble(timing, 0.5)
    faster = summarize(numpy.linspace(0.12, 0.1, 100))
    assert "faster in the second half" in trouble(faster, 0.5)


def test_some_slow_passes_move_neither_the_median_nor_its_error() -> None:
    seconds_N = numpy.full(200, 0.1)
    seconds_N[::9] = 5.0
    timing = summarize(seconds_N)
    assert (timing.median, timing.error) == (0.1, 0.0)
    assert timing.spread > 10


@pytest.mark.parametrize("calm_every", [3, 1000])
def test_passes_in_which_the_process_was_off_the_processor_are_left_out(calm_every: int) -> None:
    """A calm pass takes 2 ms, all of them the process's own; the others wait 24 ms besides, always
    alike, so that their spread tells nothing.
    """
    passes, wall, own = 0, 0.0, 0.0

    def run() -> None:
        nonlocal passes, wall, own
        passes += 1
        wall += 0.002 if passes % calm_every == 0 else 0.026
        own += 0.002

    timing = time_passes(run, within=0.02, limit=2.0, clock=lambda: wall, processor=lambda: own)
    if calm_every == 3:
        assert timing.median == pytest.approx(0.002)
        assert (timing.disturbed, trouble(timing, 0.02)) == (0.0, "")
        assert BLOCKS <= timing.repeats < passes / 2
    else:
        assert timing.median == pytest.approx(0.026)
        assert timing.disturbed > 0.9
        assert trouble(timing, 0.02) == "disturbed in 100% of the passes"


@pytest.mark.parametrize("persistence", [0.0, 0.8])
def test_the_interval_holds_the_true_median_about_as_often_as_it_says(persistence: float) -> None:
    """Of independent passes, and of passes whose slowness lasts (log-normal, AR(1)); the true
    median is 1.
    """
    source, inside, naive = numpy.random.default_rng(7), 0, 0
    for _ in range(400):
        noise_N = source.normal(size=600) * math.sqrt(1 - persistence**2)
        seconds_N = numpy.exp(
            0.2 * numpy.asarray(lfilter([1.0], [1.0, -persistence], noise_N))[200:]
        )
        timing = summarize(seconds_N)
        inside += abs(timing.median - 1) <= timing.error
        naive += abs(timing.median - 1) <= 1.96 * 1.2533 * seconds_N.std() / 20
    assert 0.90 <= inside / 400 <= 0.995
    # What the error of a median of independent values would have been.
    assert (naive / 400 > 0.9) == (persistence == 0.0)


def test_measuring_a_module_uses_the_clock_it_is_given_and_leaves_threads_alone() -> None:
    class Slow(nn.Module):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds, self.weight = seconds, nn.Parameter(torch.zeros(3, 5))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            nonlocal now
            assert not self.training
            assert torch.get_num_threads() == 1
            assert not torch.is_grad_enabled()
            now += self.seconds * len(inputs)
            return inputs @ self.weight

    now, before = 0.0, torch.get_num_threads()
    results = [
        measure(
            Slow(seconds),
            torch.zeros(4, 3),
            LatencySettings(),
            CPU,
            clock=lambda: now,
            processor=lambda: now,
        )
        for seconds in (0.002, 0.003)
    ]
    assert [result.milliseconds for result in results] == pytest.approx([8.0, 12.0])
    assert all(result.trouble == "" for result in results)
    assert [result.memory for result in results] == [4 * (15 + 12 + 20)] * 2
    assert torch.get_num_threads() == before


def test_memory_is_weights_input_and_what_is_alive_at_once() -> None:
    """Input (2, 3, 8, 8); the convolution's output and its ReLU are alive together, then one of
    them and its flat view, which is the same memory.
    """
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 5, bias=False),
    ).eval()
    weights, given, value = 4 * 3 * 9 + 256 * 5, 2 * 3 * 64, 2 * 4 * 64
    assert peak_memory(module, torch.zeros(2, 3, 8, 8)) == 4 * (weights + given + 2 * value)
    assert peak_memory(
        nn.Sequential(module[0], nn.ReLU(inplace=True)), torch.zeros(2, 3, 8, 8)
    ) == 4 * (4 * 3 * 9 + given + value)


def test_memory_grows_with_the_batch_and_a_tied_weight_counts_once() -> None:
    tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    one = peak_memory(tied, torch.zeros(1, 6))
    tied[1].weight = tied[0].weight
    assert one - peak_memory(tied, torch.zeros(1, 6)) == 4 * 36
    assert peak_memory(tied, torch.zeros(8, 6)) > peak_memory(tied, torch.zeros(4, 6))


def test_only_one_measures_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock belongs to whoever opened the file, so a second opening stands for another process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def is_free() -> bool:
        with lock_file().open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    with alone():
        assert not is_free()
    assert is_free()

    class Looking(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            seen.append(is_free())
            return inputs

    seen: list[bool] = []
    measure(Looking(), torch.zeros(1, 2), LatencySettings(limit=0.01), CPU)
    assert set(seen) == {False}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("batch_size", "at least 1"),
        ("threads", "at least 1"),
        ("within", "above 0 and below 1"),
        ("limit", "seconds above 0"),
    ],
)
def test_settings_are_checked(setting: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"a latency's {setting} is .*{says}; got 0"):
        LatencySettings(**{setting: 0})  # type: ignore[arg-type]


# In a search

TRAIN = {
    "space": "convnet",
    "task": "digits",
    "evaluator": {"name": "train", "latency": {"batch_size": 2, "limit": 0.01}},
}


def test_an_evaluation_measures_where_it_is_asked_to() -> None:
    task = load_task("digits", seed=0)
    task = replace(
        task,
        train=replace(task.train, inputs=task.train.inputs[:64], targets=task.train.targets[:64]),
    )
    space = load_space("convnet").for_shapes(task.shapes)
    architecture = sample(space, Random(0))
    evaluator = TrainEvaluator(space, task, Recipe(epochs=1, batch_size=32), device="cpu")
    plain = evaluator.evaluate(architecture, seed=1)
    measured = replace(evaluator, latency=LatencySettings(batch_size=500, limit=0.01)).evaluate(
        architecture, seed=1
    )
    assert isinstance(plain, Observation)
    assert isinstance(measured, Observation)
    assert measured.score == plain.score
    known = dict(measured.metrics)
    assert {"latency", "latency_error", "memory"} == known.keys() - dict(plain.metrics).keys()
    assert known["latency"] > 0 <= known["latency_error"]
    network = space.build(architecture).eval()
    assert known["memory"] == peak_memory(network, torch.zeros(500, *task.shapes.input)), (
        "more samples than the split has"
    )


def test_a_configuration_says_how() -> None:
    config = parse_config(TRAIN, "a.yaml")
    assert config.evaluator.latency == LatencySettings(batch_size=2, limit=0.01)  # type: ignore[union-attr]
    assert parse_config(config.model_dump(mode="json"), "again") == config
    assert parse_config({"space": "convnet", "task": "digits"}, "a.yaml").evaluator.latency is None  # type: ignore[union-attr]
    for latency, says in (
        (
            {"batchsize": 1},
            r"unknown key 'evaluator.latency.batchsize'; did you mean 'batch_size'\?",
        ),
        ({"limit": 0}, "a latency's limit is a number of seconds above 0; got 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse_config({**TRAIN, "evaluator": {"name": "train", "latency": latency}}, "a.yaml")


def test_a_device_that_is_not_here_is_told_before_the_run_begins() -> None:
    from nas.config.compose import compose

    with pytest.raises(
        ConfigError, match=r"evaluator.latency.device: the device 'cuda:99' is not on this machine"
    ):
        compose(
            parse_config(
                {**TRAIN, "evaluator": {"name": "train", "latency": {"device": "cuda:99"}}},
                "a.yaml",
            )
        )


# The command

QUICK = ("--limit", "0.01", "--within", "0.5")


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search on digits whose evaluations measured."""
    directory = tmp_path_factory.mktemp("profiled")
    (directory / "config.yaml").write_text(
        "space: convnet\ntask: digits\nstrategy: random\ntraining: {epochs: 1, batch_size: "
        "256}\nbudget: 3\nbatch: 3\nexecutor: {workers: 2}\n"
        "evaluator: {latency: {limit: 0.01}}\nfinalists: {count: 1, seeds: 1, epochs: 1}\n"
    )
    done = nas("search", str(directory / "config.yaml"), "--out", str(directory / "run"))
    assert done.exit_code == 0, done.output
    return directory / "run"


def test_a_search_journals_the_latencies_its_workers_measured(run: Path) -> None:
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
    everything = json.loads(
        nas(
            "profile", str(run), "--all", "--json", "--out", str(tmp_path / "run.csv"), *QUICK
        ).stdout
    )
    assert [each["trial"] for each in everything["networks"]] == [0, 1, 2]
    assert everything["rank_correlation"].keys() == {"multiply_adds", "parameters"}
    with (tmp_path / "run.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["memory"]) for row in rows] == [
        each["memory"] for each in everything["networks"]
    ]
    one = json.loads(
        nas("profile", str(run), "--trial", "2", "--json", "--batch-size", "4", *QUICK).stdout
    )
    assert [each["trial"] for each in one["networks"]] == [2]
    assert one["networks"][0]["memory"] > everything["networks"][2]["memory"]
    assert "* no other is both faster" in nas("profile", str(run), "--all", *QUICK).stdout


def test_profiling_a_space_gives_a_table_that_a_predictor_is_fitted_to(tmp_path: Path) -> None:
    out = tmp_path / "latencies.npz"
    done = nas(
        "profile",
        "nasbench201",
        "--count",
        "12",
        "--input",
        "3,8,8",
        "--classes",
        "10",
        "--out",
        str(out),
        *QUICK,
    )
    assert done.exit_code == 0, done.output
    assert "rank correlation of the latency with multiply-adds" in done.stdout
    chosen = (
        "--space",
        "nasbench201",
        "--score",
        "latency",
        "--lower-is-better",
        "--predictor",
        "ridge",
    )
    fitted = nas("predictor", "fit", str(out), *chosen, "--out", str(tmp_path / "p"))
    assert fitted.exit_code == 0, fitted.output
    assert "latency of 12 architectures" in fitted.stdout
    again = json.loads(
        nas("profile", "nasbench201", "--count", "12", "--json", "--input", "3,8,8", *QUICK).stdout
    )
    with numpy.load(out) as columns:
        assert [each["architecture"] for each in again["networks"]] == columns[
            "architecture"
        ].tolist()
        assert [each["memory"] for each in again["networks"]] == columns["memory"].tolist()


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
def test_mistakes_are_answered_with_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    result = nas("profile", *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def test_mistakes_about_a_run(run: Path) -> None:
    for arguments, says in (
        (("--trial", "99"), "there is no trial 99"),
        (("--trial", "1", "--all"), "give one of them"),
        (("--input", "3,8,8"), "leave --input, --output and --vocabulary out"),
    ):
        result = nas("profile", str(run), *arguments)
        assert (result.exit_code, says in result.stderr) == (2, True), result.output


def test_code_that_a_run_names_is_run_for_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "config.yaml").write_text(
        f"space: {root / 'examples' / 'graph_space.py'}:space\ntask: digits\nstrategy: "
        f"random\ntraining: {{epochs: 1, batch_size: 512}}\n"
        "budget: 1\nfinalists: {count: 0}\nexecutor: inline\n"
    )
    assert (
        nas("search", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")).exit_code == 0
    )
    assert nas("profile", str(tmp_path / "run"), *QUICK).exit_code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody"))
    refused = nas("profile", str(tmp_path / "run"), *QUICK)
    assert (refused.exit_code, "code is not run because a run says so" in refused.stderr) == (
        2,
        True,
    )
    assert (
        nas(
            "profile",
            str(tmp_path / "run"),
            "--space",
            f"{root / 'examples' / 'graph_space.py'}:space",
            *QUICK,
        ).exit_code
        == 0
    )


def test_the_front_and_the_trivial_baseline() -> None:
    def row(milliseconds: float, score: float | None, multiply_adds: int) -> Profiled:
        latency = Latency(milliseconds, 0.1, 50, 1000, 0.0, 0.0, "")
        return Profiled(
            Architecture("s", (("a", multiply_adds),)), latency, 7, multiply_adds, 0, score
        )

    rows = [row(1.0, 0.5, 10), row(2.0, 0.9, 20), row(3.0, 0.8, 40), row(4.0, 0.95, 30)]
    assert unbeaten(rows) == [True, True, False, True]
    assert unbeaten([*rows, row(1.0, None, 1)]) == [False] * 5
    assert rank_correlations(rows) == {"multiply_adds": pytest.approx(0.8), "parameters": None}
