"""How a run reports wrong configurations, failing user code, a full disk and a closed pipe."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
from typer.testing import CliRunner, Result

from nas.cli.errors import exit_code, sentence
from nas.cli.main import app
from nas.cli.progress import Progress
from nas.config.loading import load_config, parse_config
from nas.config.plan import plan_of
from nas.config.workers import workers_of
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.executors import DISK_FULL, ProcessExecutor, attempt
from nas.executors.attempt import disk_full
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.search.loop import RunFailed
from nas.search.run import resume, start
from tests.contracts.executor_contract import job

TRAIN = """
space: mine.py:good
task: mine.py:points
strategy: random
training: {epochs: 1, batch_size: 16, warmup_epochs: 0}
executor: inline
budget: 4
batch: 2
baseline: none
finalists: {count: 1, seeds: 1, epochs: 1}
"""

MINE = """
import torch
from torch import nn
from nas.tasks.task import Split, Task
from spaces import SearchSpace, Shapes

def points(count: int = 40):
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, (inputs[:, 0] > 0).long())
    return Task("points", split, split, split, Shapes((4,), (2,)))

def broken():
    return {}["data"]

def refusing():
    raise ValueError("the camera is off")

def narrow(choose):
    return nn.Sequential(nn.Linear(4, choose.one_of("width", list(range(2, 40)))), nn.Linear(2, 2))

def network(choose, outputs=2):
    width = choose.one_of("width", list(range(2, 40)))
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, outputs))

def three(choose):
    return network(choose, 3)

def sometimes(choose):
    width = choose.one_of("width", list(range(2, 40)))
    if width > 3:
        raise KeyError(width)
    return nn.Linear(4, 2)

shapes, programs = Shapes((4,), (2,)), (network, three, sometimes)
good, wide, faulty = (SearchSpace(define.__name__, define, shapes) for define in programs)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "train.yaml").write_text(TRAIN)
    return tmp_path


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def search(*changes: str) -> Result:
    return nas(
        "search",
        "train.yaml",
        "--out",
        "run",
        *(part for change in changes for part in ("-s", change)),
    )


def read(directory: Path) -> History:
    with open_for_reading(directory) as journal:
        return fold(journal.events())


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (["executor={name: process, devices: []}"], ["executor.devices is an empty list"]),
        (
            ["executor={name: process, devices: ['cuda:99']}"],
            ["executor.devices: the device 'cuda:99' is not on this machine"],
        ),
        (
            ["executor={name: inline, devices: [gpu]}"],
            ["executor.devices: a device is called auto, cpu, cuda or cuda:0; got 'gpu'"],
        ),
        (
            ["training.epochs=4", "training.warmup_epochs=2"],
            ["finalists.epochs is 1", "training.epochs, 4"],
        ),
        (
            ["task={name: mine.py:points, count: many}"],
            ["mine.py:points", "count", "valid integer", "'many'"],
        ),
        (["task={name: digits, seed: many}"], ["'digits'", "seed", "valid integer", "'many'"]),
        (["task=3"], ["task: should be a name, or a section with `name`", "got 3"]),
        (["finalists=3"], ["finalists: should be keys and values; got 3"]),
        (["evaluator=oracle"], ["evaluator: should be one of 'train', 'table'", "oracle"]),
        (["training.gradient_clip=.inf"], ["gradient_clip must be a finite number"]),
        (["task=mine.py:broken"], ["KeyError: 'data'", "in your code", "mine.py:13, in broken"]),
        (["task=mine.py:refusing"], ["the camera is off", "mine.py:16, in refusing"]),
        (
            ["space=convnet"],
            ["the space convnet takes images (channels, height, width)", "inputs (4,)"],
        ),
        (["space=flexibert_tiny"], ["the size of the vocabulary is missing"]),
        (
            ["space=flexibert_tiny", "task=digits"],
            ["FlexiBERT's networks take tokens (length,), got the shape (1, 8, 8)"],
        ),
    ],
)
def test_what_cannot_work_is_said_before_a_run_is_made(
    here: Path, changes: list[str], parts: list[str]
) -> None:
    refused = search(*changes)
    assert refused.exit_code == 2, refused.output
    assert "Traceback" not in refused.output
    for part in parts:
        assert part in refused.stderr, refused.stderr
    assert not (here / "run").exists()


@pytest.mark.parametrize("predictor", ["{device: cuda}", "{name: gnn, device: cuda}"])
def test_a_predictor_that_wants_an_absent_gpu_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, predictor: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = search("strategy=surrogate", f"predictor={predictor}")
    assert refused.exit_code == 2, refused.output
    expected = "was given the device cuda, but torch finds no GPU here; set device to cpu"
    assert expected in refused.stderr
    assert not (here / "run").exists()


def test_a_space_that_fails_during_the_search_names_its_line(here: Path) -> None:
    refused = search("space=mine.py:faulty")
    assert refused.exit_code == 2, refused.output
    assert "Traceback" not in refused.output
    assert "mine.py:31, in sometimes" in refused.stderr


@pytest.mark.parametrize("asked", [("search", "train.yaml", "-s"), ("space", "show")])
@pytest.mark.parametrize(
    ("program", "parts"),
    [
        ("nn.Linear(-choose.integer('width', 2, 4), 2)", ["RuntimeError: ", "negative dimension"]),
        ("nn.Linear(4, choose.one_of('width', 2))", ["TypeError: "]),
        ("nn.Linear(4, choose.integer('width', 'a', 2))", ["'width' needs whole numbers"]),
        ("exit_after(choose.integer('width', 2, 40))", ["sys.exit(9) was called"]),
    ],
)
def test_a_program_that_misuses_what_it_calls_is_named_with_its_line(
    asked: tuple[str, ...], program: str, parts: list[str], here: Path
) -> None:
    (here / "misusing.py").write_text(
        "import sys\nfrom torch import nn\n\nexit_after = lambda width: sys.exit(9)\n\n\n"
        f"def space(choose):\n    return {program}\n"
    )
    name = "misusing.py:space"
    refused = nas(*asked, f"space={name}" if asked[0] == "search" else name)
    assert refused.exit_code == 2, refused.output
    assert "Traceback" not in refused.output
    for part in [*parts, "misusing.py:4, in" if "exit" in program else "misusing.py:8, in space"]:
        assert part in refused.stderr, refused.stderr


def test_a_network_with_too_many_outputs_is_not_trained_silently(here: Path) -> None:
    refused = search("space=mine.py:wide")
    assert refused.exit_code == 2
    assert (
        "the network gives the shape (3,) for each sample, and the data want (2,)" in refused.stderr
    )


def test_the_blame_for_an_error_goes_where_it_was_raised() -> None:
    class Ours(Exception):
        exit_code = 1

    def caught(raising: str) -> Exception:
        try:
            exec(
                compile(raising, "/home/somebody/space.py", "exec"), {"__name__": "user_file_space"}
            )
        except Exception as error:
            # The frames of this test look like the user's, so only the frames behind it are kept.
            return error.with_traceback(
                error.__traceback__.tb_next if error.__traceback__ else None
            )
        raise AssertionError

    assert exit_code(caught("1 / 0")) == 2
    assert sentence(caught("1 / 0")).startswith(
        "ZeroDivisionError: division by zero\n  in your code, /home/somebody/space.py:1"
    )
    assert exit_code(caught("import numpy; numpy.zeros(3).reshape(2)")) == 2
    # Raised by our own code, which the user's code called.
    wrong_call = caught("from nas.tasks import load_task; load_task('mnist')")
    assert exit_code(wrong_call) == 2
    assert sentence(wrong_call).startswith("no task is called 'mnist'")
    assert "in your code, /home/somebody/space.py:1, in <module>" in sentence(wrong_call)
    wrong_type = caught("from nas.seeds import derive; derive(None, 'x')")
    assert exit_code(wrong_type) == 2
    assert sentence(wrong_type).startswith("TypeError: ")
    assert "in your code, /home/somebody/space.py:1" in sentence(wrong_type)
    assert exit_code(Ours()) == 1
    assert exit_code(TypeError("without a traceback")) is None


def test_a_table_with_two_rows_of_one_architecture_is_refused(here: Path) -> None:
    from importlib.resources import files

    columns = dict(numpy.load(str(files("nas") / "data" / "nasbench201.npz"), allow_pickle=False))
    numpy.savez(
        here / "twice.npz",
        **{name: numpy.concatenate([column, column[7:8]]) for name, column in columns.items()},
    )
    refused = search(
        "space=nasbench201",
        "task=null",
        "evaluator={name: table, path: twice.npz, score: c100_val_200}",
    )
    assert refused.exit_code == 2, refused.output
    assert "the rows 7 and 15625 of twice.npz are of one architecture" in refused.stderr.replace(
        f"{here}/", ""
    )


def test_a_full_training_has_as_much_more_time_as_epochs() -> None:
    sections = {
        "space": "convnet",
        "task": "digits",
        "training": {"epochs": 3},
        "executor": {"time_limit": 10.0, "workers": 1},
    }
    for epochs, limits in ((12, (10.0, 40.0)), (None, (10.0, 30.0)), (3, (10.0, 10.0))):
        config = parse_config({**sections, "finalists": {"epochs": epochs}}, "here")
        executor = workers_of(config).executor()
        assert isinstance(executor, ProcessExecutor)
        assert (executor._limit(job(0)), executor._limit(job(0, final=True))) == limits


def test_a_time_limit_of_years_is_a_time_limit() -> None:
    with ProcessExecutor(
        "tests.nas.executors.toy_evaluators:scripted", {}, ["cpu"], time_limits=(1e9, 1e9)
    ) as executor:
        ((_, outcome),) = executor.run([job(0)])
    assert isinstance(outcome, Observation)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
@pytest.mark.parametrize("final", [False, True], ids=["search", "final"])
def test_a_disk_full_of_weights_stops_the_run_and_fails_no_trial(
    error: Exception, final: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nas.training.checkpoint as writing

    space_left = {"files": 5 if final else 3}
    save_file = writing.save_file

    def save(state: object, path: Path, metadata: object) -> None:
        space_left["files"] -= 1
        path.write_bytes(b"half of it")
        if space_left["files"] < 0:
            raise error
        save_file(state, path, metadata)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "save_file", save)
    config = parse_config(
        {
            "space": "mine.py:good",
            "task": "mine.py:points",
            "strategy": "random",
            "executor": "inline",
            "baseline": "none",
            "training": {"epochs": 1, "warmup_epochs": 0},
            "finalists": {"count": 1, "seeds": 2, "epochs": 1},
            "budget": 4,
            "batch": 2,
        },
        "here",
    )
    with pytest.raises(
        RunFailed, match=r"the disk is full: .* free space and `nas resume"
    ) as caught:
        start(config, here / "run", quiet)
    assert exit_code(caught.value) == 1
    stopped = read(here / "run")
    assert not stopped.failed
    assert len(stopped.observed) == (4 if final else 3)
    assert len(stopped.finals) == (1 if final else 0)
    assert not list((here / "run/weights").glob("*.unfinished")), (
        "half a file would keep the disk full"
    )

    monkeypatch.setattr(writing, "save_file", save_file)
    (here / "run/weights/trial-00009.safetensors.1.unfinished").write_bytes(
        b"of a worker that was killed"
    )
    resumed, whole = resume(here / "run", quiet), start(config, here / "whole", quiet)
    assert [(trial.architecture, trial.score) for trial in resumed.trials] == [
        (trial.architecture, trial.score) for trial in whole.trials
    ]
    assert [
        final.result.test for final in resumed.finals if isinstance(final.result, FinalResult)
    ] == [final.result.test for final in whole.finals if isinstance(final.result, FinalResult)]
    assert not list((here / "run/weights").glob("*.unfinished"))


def test_a_full_disk_is_known_by_number_and_by_words() -> None:
    assert disk_full(OSError(errno.ENOSPC, "x"))
    assert not disk_full(OSError(errno.EACCES, "x"))

    class Full:
        def evaluate(self, architecture, **_):
            raise OSError(errno.ENOSPC, "No space left on device")

        finalize = evaluate

    failure = attempt(Full(), job(0))
    assert isinstance(failure, Failed)
    assert failure.kind == DISK_FULL


def test_a_baseline_without_luck_does_not_cost_the_search_its_finalists(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.evaluators.table import TableEvaluator
    from nas.strategies import local

    evaluate = TableEvaluator.evaluate
    # Every built-in strategy begins with the baseline's architectures. This one does not, and a
    # user's own strategy may not either.
    proposals = local.random_proposals
    monkeypatch.setattr(
        local,
        "random_proposals",
        lambda space, history, count, seed: proposals(space, history, count, seed + 1),
    )
    # The first six trials are the search's.
    monkeypatch.setattr("nas.record.history.derive", lambda seed, purpose, counter=0: counter)

    def unlucky(self, architecture, *, seed, **given):
        return (
            evaluate(self, architecture, seed=seed, **given)
            if seed < 6
            else Failed("exception", "no luck")
        )

    monkeypatch.setattr(TableEvaluator, "evaluate", unlucky)
    section = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
    }
    strategy = {"name": "local", "initial": 1}
    config = parse_config(
        {
            "space": "nasbench201",
            "evaluator": section,
            "strategy": strategy,
            "executor": "inline",
            "budget": 6,
            "batch": 1,
        },
        "here",
    )
    history = start(config, here / "run", quiet)
    assert history.finished == "the budget is used"
    assert len(history.of_arm("search").observed) == 6
    assert not history.of_arm("random").observed
    assert len(history.of_arm("random").failed) == 6
    assert {finalist.arm for finalist in history.finalists} == {"search"}
    assert all(isinstance(final.result, FinalResult) for final in history.finals)


class Broken:
    """A stream whose reader leaves after a number of writes."""

    def __init__(self, writes: int, terminal: bool) -> None:
        self.left, self.terminal = writes, terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError
        return len(text)

    def flush(self) -> None:
        if self.left < 0:
            raise BrokenPipeError


@pytest.mark.parametrize("terminal", [False, True], ids=["lines", "bar"])
@pytest.mark.parametrize("writes", [0, 3])
def test_a_reader_who_leaves_does_not_end_the_run(
    writes: int, terminal: bool, tmp_path: Path
) -> None:
    config = table_config()
    with Progress(plan_of(config), "random", Broken(writes, terminal), interval=0.0) as progress:  # type: ignore[arg-type]
        assert start(config, tmp_path / "run", progress).finished


class Terminal:
    """A terminal that keeps the text written to it."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""


def test_the_bar_is_there_from_the_first_round_and_shows_everything_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    config, terminal = table_config(), Terminal()
    with Progress(plan_of(config), config.strategy.name, terminal) as progress:  # type: ignore[arg-type]
        start(config, tmp_path / "run", progress)
    shown = [line for line in terminal.text.replace("\n", "\r").split("\r") if line.strip()]
    assert shown[0].startswith("search |")
    assert "0/16" in shown[0]
    search = [line for line in shown if line.startswith("search |")][-1]
    assert "16/16" in search
    assert re.search(r"best \d\d\.\d+ \(trial \d+\)", search)
    assert "rank correlation" in search
    assert max(map(len, shown)) <= 80


def table_config():
    section = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
    }
    strategy = {"name": "surrogate", "initial": 8, "candidates": 50}
    return parse_config(
        {
            "space": "nasbench201",
            "evaluator": section,
            "strategy": strategy,
            "predictor": "ridge",
            "executor": "inline",
            "budget": 16,
            "batch": 4,
        },
        "here",
    )


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(here: Path) -> None:
    (here / "long.yaml").write_text(
        json.dumps(
            {
                **table_config().model_dump(mode="json"),
                "budget": 15000,
                "strategy": {"name": "random"},
            }
        )
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        [sys.executable, "-m", "nas", "search", "long.yaml", "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    deadline = time.monotonic() + 60
    while not list(here.glob("run/journal.sqlite")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert said.rstrip().endswith("Go on with: nas resume run")
    assert "error" not in said


def test_output_that_cannot_be_written_is_said(here: Path) -> None:
    refused = nas("space", "show", "nasbench201", "--svg", "nowhere/x.svg")
    assert refused.exit_code == 2
    assert "nowhere/x.svg could not be written" in refused.stderr
    (here / "file").touch()
    assert nas("search", "train.yaml", "--out", "run").exit_code == 0
    refused = nas("report", "run", "--out", "file/x.html")
    assert refused.exit_code == 2
    assert "could not be written to file/x.html" in refused.stderr


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs /dev/full, which this system does not have"
)
def test_a_full_disk_under_the_standard_output_is_said(here: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nas", "space", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (
            "UPDATE events SET body = json_set(body, '$.score', NULL) WHERE kind = 'observation'",
            "None is not a number",
        ),
        (
            "UPDATE events SET body = json_set(body, '$.score', 'high') WHERE kind = 'observation'",
            "'high' is not a number",
        ),
        (
            "UPDATE events SET body = '[]' WHERE kind = 'observation'",
            "(observation) has not the fields that its kind needs",
        ),
        (
            "UPDATE events SET kind = 'rumour' WHERE kind = 'observation'",
            "unknown kind of event 'rumour'",
        ),
        ("UPDATE meta SET value = '[]' WHERE name = 'environment'", "should be JSON objects"),
        ("UPDATE meta SET value = 'yesterday' WHERE name = 'created'", "the time of creation"),
        (
            "UPDATE meta SET value = json_remove(value, '$.space') WHERE name = 'config'",
            "the key 'space' is missing",
        ),
        (
            "UPDATE meta SET value = json_set(value, '$.colour', 3) WHERE name = 'config'",
            "unknown key 'colour'",
        ),
    ],
)
def test_a_damaged_journal_is_answered_with_a_sentence(
    damage: str, part: str, tmp_path: Path
) -> None:
    import sqlite3

    start(table_config(), tmp_path / "run", quiet)
    with sqlite3.connect(tmp_path / "run/journal.sqlite") as connection:
        connection.execute(damage)
    connection.close()
    for command in ("status", "report", "resume"):
        refused = nas(command, str(tmp_path / "run"))
        assert refused.exit_code == 2, refused.output
        assert part in refused.stderr


def test_files_are_found_beside_the_config_from_anywhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    for name in ("train.npz", "test.npz"):
        (here / name).touch()
    (here / "images.yaml").write_text(
        "space: convnet\ntask: {name: images, path: train.npz, test: test.npz}\n"
    )
    task = load_config(here / "images.yaml").task
    assert task is not None
    assert task.settings == {"path": str(here / "train.npz"), "test": str(here / "test.npz")}
    (here / "table.yaml").write_text(
        "space: nasbench201\nevaluator: {name: table, path: train.npz, score: a, test: test.npz}\n"
    )
    table = load_config(here / "table.yaml").evaluator.model_dump()
    assert (table["path"], table["test"]) == (str(here / "train.npz"), "test.npz")
