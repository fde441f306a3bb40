"""Zero-cost proxies: numbers known by hand, purity, and the command."""

from __future__ import annotations

import copy
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner, Result

import nas.proxies.measuring
from nas.cli.main import app
from nas.proxies import PROXIES, Batch, noise_batch, suiting_proxies, task_batch
from nas.proxies.measuring import Plan, prepare, vocabulary
from nas.tasks import load_task
from nas.tasks.arrays import read_npz
from spaces import Architecture, GraphBuilder, Shapes
from spaces.load import load_space

OFFSET = 1e-5

SPACE = """
from torch import nn
from spaces import Architecture, SearchSpace, Shapes

WIDTHS, COLOURS = (4, 8, 16), ("red", "blue")

def define(choose):
    width = choose.one_of("width", WIDTHS)
    choose.one_of("colour", COLOURS)  # Changes nothing: two architectures of one width are twins.
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))

def rows(columns):
    return [Architecture("tiny", (("width", width), ("colour", colour))) for width, colour in zip(columns["width"].tolist(), columns["colour"].tolist())]

space = SearchSpace("tiny", define, Shapes((6,), (3,)), rows=rows)
"""


class Module(nn.Module):
    """Calls a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.sum()


def batch(*rows: list[float]) -> Batch:
    return Batch(torch.tensor(rows), torch.zeros(len(rows)), summed)


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
    return layer


def test_synflow_of_two_linear_layers() -> None:
    # |W1| 1 = (3, 7), R = 3 + 14 = 17, and each layer's sum of w dR/dw is R.
    network = nn.Sequential(linear([1.0, -2.0], [3.0, 4.0]), linear([-1.0, 2.0]))
    assert PROXIES["synflow"](network, batch([0.3, -5.0])) == pytest.approx(math.log(34))


def test_synflow_does_not_overflow_where_float32_would() -> None:
    network = nn.Sequential(*(linear([1e30]) for _ in range(5)))
    assert PROXIES["synflow"](network, batch([1.0])) == pytest.approx(
        math.log(5) + 150 * math.log(10)
    )


def test_gradient_norm_and_snip() -> None:
    network = nn.Sequential(linear([1.0, -2.0]))
    assert PROXIES["gradient_norm"](network, batch([3.0, 4.0])) == pytest.approx(5)
    assert PROXIES["snip"](network, batch([3.0, 4.0])) == pytest.approx(11)
    # Biases have one dimension and are left out.
    biased = nn.Linear(2, 1)
    assert PROXIES["gradient_norm"](biased, batch([3.0, 4.0])) == pytest.approx(5)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.GELU(),
        nn.SiLU(),
        nn.ReLU6(),
        nn.PReLU(),
        nn.Sigmoid(),
        nn.Hardswish(),
        Module(torch.relu),
        Module(lambda x: functional.elu(input=x)),
        Module(lambda x: (x * 1).relu_()),
    ],
    ids=str,
)
def test_naswot_where_the_codes_are_known(activation: nn.Module) -> None:
    # The codes 1110 and 1000 agree in two units of four: det [[4, 2], [2, 4]] = 12.
    given = batch([1.0, 2.0, 0.5, -1.0], [3.0, -1.0, -2.0, -0.5])
    before = given.inputs.clone()
    assert PROXIES["naswot"](
        nn.Sequential(nn.Identity(), activation), Batch(given.inputs.clone(), given.targets, summed)
    ) == pytest.approx(math.log(12))
    assert torch.equal(given.inputs, before)


def test_naswot_adds_the_layers() -> None:
    # A second time the same codes: the kernel doubles.
    network = nn.Sequential(nn.ReLU(), Module(lambda x: x - 0.1), nn.ReLU())
    assert PROXIES["naswot"](
        network, batch([1.0, 2.0, 0.5, -1.0], [3.0, -1.0, -2.0, -0.5])
    ) == pytest.approx(math.log(48))


def test_naswot_of_codes_that_are_alike_is_infinite() -> None:
    same = batch([1.0, 2.0, -1.0], [2.0, 1.0, -2.0])
    assert PROXIES["naswot"](nn.ReLU(), same) == -math.inf
    assert PROXIES["naswot"](nn.Identity(), same) == -math.inf
    # Five samples and one unit.
    assert PROXIES["naswot"](nn.ReLU(), batch([1.0], [2.0], [-1.0], [-2.0], [3.0])) == -math.inf


def test_jacobian_covariance() -> None:
    # Of half the squares the gradient is the input itself; these two rows are not correlated, so
    # both eigenvalues are 1.
    apart = batch([1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0])
    score = PROXIES["jacobian_covariance"](Module(lambda x: (x * x).sum(1) / 2), apart)
    assert score == pytest.approx(-2 * (math.log(1 + OFFSET) + 1 / (1 + OFFSET)), rel=1e-5)
    # A linear network has one gradient for all samples: the eigenvalues 2 and 0.
    score = PROXIES["jacobian_covariance"](linear([1.0, 2.0, 3.0, 5.0]), apart)
    assert score == pytest.approx(
        -(math.log(2 + OFFSET) + 1 / (2 + OFFSET) + math.log(OFFSET) + 1 / OFFSET), rel=1e-3
    )
    assert math.isnan(PROXIES["jacobian_covariance"](Module(lambda x: x * 0), apart))


def test_counts() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 25, 7))
    given = noise_batch(Shapes((3, 5, 5), (7,)), 2, 0)
    assert PROXIES["parameters"](network, given) == sum(
        parameter.numel() for parameter in network.parameters()
    )
    assert PROXIES["multiply_adds"](network, given) == 3 * 4 * 9 * 25 + 700


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_is_pure(name: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 9, 4),
    )
    network[1].eval()
    given = noise_batch(Shapes((3, 5, 5), (4,)), 6, seed=1)
    state, modes = (
        copy.deepcopy(network.state_dict()),
        [module.training for module in network.modules()],
    )
    inputs, generator = given.inputs.clone(), torch.get_rng_state()
    scores = [PROXIES[name](network, given) for _ in range(2)]
    assert math.isfinite(scores[0])
    assert scores[0] == scores[1]
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(given.inputs, inputs)
    assert given.inputs.grad is None
    assert not given.inputs.requires_grad
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_batches() -> None:
    one, same, other = (noise_batch(Shapes((6,), (3,)), 50, seed) for seed in (0, 0, 1))
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert set(one.targets.tolist()) == {0, 1, 2}
    assert one.loss is functional.cross_entropy
    assert noise_batch(Shapes((6,), (1,)), 4, 0).targets.dtype == torch.float32
    assert noise_batch(Shapes((6,), (3,)), 4, 0, tokens=5).inputs.max() < 5
    model = noise_batch(Shapes((6,), (6, 40), vocabulary=40), 4, 0, tokens=40)
    assert model.targets.shape == (4, 6)
    assert model.targets.max() >= 6
    # By hand: at each place the log-sum of the scores without the target's own, which is here the
    # only one above zero.
    scores = torch.nn.functional.one_hot(model.targets, 40).float()
    assert model.loss(scores, model.targets).item() == pytest.approx(math.log(math.e + 39) - 1)
    digits = load_task("digits")
    drawn = task_batch(digits, 9, 0)
    assert drawn.inputs.shape == (9, 1, 8, 8)
    assert (
        torch.isclose(digits.prepare(digits.train.inputs), drawn.inputs[0]).flatten(1).all(1).any()
    )
    with pytest.raises(ValueError, match="fewer than the batch's 5000"):
        task_batch(digits, 5000, 0)


def test_tokens_are_given_to_an_embedding() -> None:
    builder = GraphBuilder()
    value = builder.node("embedding", builder.input((5,)), num_embeddings=11, embedding_dim=4)
    graph = builder.output(builder.node("flatten", value))
    assert vocabulary(graph) == 11
    network = nn.Sequential(nn.Embedding(11, 4), nn.Flatten(), nn.Linear(20, 3), nn.GELU())
    tokens = noise_batch(Shapes((5,), (3,)), 3, 0, tokens=11)
    assert math.isfinite(PROXIES["synflow"](network, tokens))
    assert math.isfinite(PROXIES["gradient_norm"](network, tokens))
    with pytest.raises(ValueError, match="needs inputs that have a gradient"):
        PROXIES["jacobian_covariance"](network, tokens)


def test_a_dead_network_is_not_a_number() -> None:
    space = load_space("nasbench201")
    dead = next(iter(space.rows({"arch": numpy.zeros((1, 6), dtype=int)})))  # type: ignore[misc]
    scored = prepare(
        Plan("nasbench201", Shapes((3, 8, 8), (10,)), ("naswot", "parameters"), batch_size=3)
    )(dead)
    assert math.isnan(scored.values[0])
    assert scored.values[1] > 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(SPACE)
    numpy.savez(
        tmp_path / "table.npz",
        width=numpy.array([4, 8, 4, 16]),
        colour=numpy.array(["red", "red", "blue", "blue"]),
    )
    return tmp_path


def proxies(*arguments: str) -> Result:
    return CliRunner().invoke(
        app,
        [
            "proxies",
            "tiny.py:space",
            "--batch-size",
            "4",
            "--proxies",
            "synflow,parameters",
            *arguments,
        ],
    )


def test_repeats_are_averaged(here: Path) -> None:
    architecture = Architecture("tiny", (("width", 8), ("colour", "red")))
    plan = Plan("tiny.py:space", Shapes((6,), (3,)), ("synflow", "parameters"), batch_size=4)
    once, again = (prepare(plan)(architecture).values for _ in range(2))
    thrice = prepare(
        Plan(
            "tiny.py:space", Shapes((6,), (3,)), ("synflow", "parameters"), batch_size=4, repeats=3
        )
    )(architecture).values
    assert once == again
    assert once[0] != thrice[0]
    assert once[1] == thrice[1] == 8 * 6 + 8 + 3 * 8 + 3


def test_a_table_is_scored_row_by_row(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    done = proxies("--table", "table.npz", "--out", "scores.npz")
    assert done.exit_code == 0, done.output
    assert "4 of 4 rows have scores" in done.stdout
    scores = read_npz("scores.npz")
    assert scores["parameters"].tolist() == [43, 83, 43, 163]
    assert scores["synflow"][0] == scores["synflow"][2]
    assert "architecture" not in scores
    # Twins are computed once; what is there is not computed again.
    assert len(asked) == 3
    assert proxies("--table", "table.npz", "--out", "scores.npz").exit_code == 0
    assert len(asked) == 3
    other = proxies("--table", "table.npz", "--out", "scores.npz", "--seed", "1")
    assert other.exit_code == 2
    assert "with other settings: seed: 0 there, 1 now" in other.stderr


def test_a_part_of_a_table(here: Path) -> None:
    assert proxies("--table", "table.npz", "--out", "scores.npz", "--rows", "1:2").exit_code == 0
    assert numpy.isnan(read_npz("scores.npz")["parameters"]).tolist() == [True, False, True, True]
    done = proxies("--table", "table.npz", "--out", "scores.npz", "--rows", "2:", "--json")
    assert json.loads(done.stdout)["computed"] == 4
    assert read_npz("scores.npz")["parameters"].tolist() == [43, 83, 43, 163]


def test_an_interrupted_command_keeps_what_was_computed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = nas.proxies.measuring.measure_all

    def interrupted(*arguments: Any, **named: Any) -> Iterator[Any]:
        yield next(original(*arguments, **named))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(nas.proxies.measuring, "measure_all", interrupted)
        stopped = proxies("--table", "table.npz", "--out", "scores.npz")
    assert stopped.exit_code == 130
    assert "2 of 4 rows are in scores.npz, and the same command goes on" in stopped.stderr
    asked = counted(monkeypatch)
    assert proxies("--table", "table.npz", "--out", "scores.npz").exit_code == 0
    assert len(asked) == 2
    assert not list(here.glob("*.part"))


def test_a_sample_as_csv_names_its_architectures(here: Path) -> None:
    assert proxies("--sample", "5", "--out", "scores.csv").exit_code == 0
    with (here / "scores.csv").open() as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["architecture", "synflow", "parameters"]
    widths = [Architecture.from_json(row["architecture"]).answers["width"] for row in read]
    assert [float(row["parameters"]) for row in read] == [10 * width + 3 for width in widths]  # type: ignore[operator]


def test_architectures_out_of_files(here: Path) -> None:
    shown = CliRunner().invoke(app, ["space", "show", "tiny.py:space", "--json"]).stdout
    (here / "shown.json").write_text(shown)
    plain = {
        "space": "tiny",
        "decisions": {"width": 16, "colour": "red"},
        "key": "as an export has",
    }
    (here / "both.json").write_text(json.dumps([json.loads(shown), plain]))
    assert proxies("--arch", "shown.json", "--out", "one.npz").exit_code == 0
    assert proxies("--arch", "both.json", "--out", "two.npz").exit_code == 0
    one, two = read_npz("one.npz"), read_npz("two.npz")
    assert two["synflow"][0] == one["synflow"][0]
    assert two["parameters"][1] == 163
    assert json.loads(two["architecture"][1])["decisions"] == plain["decisions"]


def test_the_samples_of_a_task(here: Path) -> None:
    command = [
        "proxies",
        "convnet",
        "--sample",
        "1",
        "--batch-size",
        "4",
        "--proxies",
        "gradient_norm",
        "--out",
        "scores.npz",
    ]
    assert CliRunner().invoke(app, [*command, "--task", "digits"]).exit_code == 0
    assert json.loads(str(read_npz("scores.npz")["settings"]))["shapes"] == {
        "input": [1, 8, 8],
        "output": [10],
    }
    wrong = CliRunner().invoke(app, [*command, "--task", "{name: digits, path: x}"])
    assert "has no option 'path'" in wrong.stderr


@pytest.mark.slow
def test_workers_find_the_same(here: Path) -> None:
    assert proxies("--table", "table.npz", "--out", "one.npz").exit_code == 0
    done = proxies("--table", "table.npz", "--out", "two.npz", "--workers", "2")
    assert done.exit_code == 0, done.output
    numpy.testing.assert_allclose(
        read_npz("one.npz")["synflow"], read_npz("two.npz")["synflow"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["exactly one of --sample N, --table FILE.npz and --arch FILE.json"]),
        (["--sample", "2", "--arch", "x.json"], ["exactly one of"]),
        (["--sample", "2", "--rows", "0:1"], ["--rows chooses rows of a table"]),
        (["--table", "table.npz", "--rows", "9:"], ["the rows 9: are none of the table's 4"]),
        (
            ["--table", "table.npz", "--rows", "many"],
            ["rows are two whole numbers with a colon", "'many'"],
        ),
        (["--table", "nowhere.npz"], ["there is no file nowhere.npz"]),
        (["--arch", "nowhere.json"], ["nowhere.json could not be read as JSON"]),
        (
            ["--sample", "2", "--proxies", "synflwo"],
            ["no proxy is called 'synflwo'; did you mean 'synflow'?", "naswot"],
        ),
        (
            ["--sample", "2", "--input", "6", "--task", "digits"],
            ["leave --input, --output and --vocabulary out beside --task"],
        ),
        (["--sample", "2", "--task", "[1]"], ["a task is a name, or a mapping", "'[1]'"]),
        (["--sample", "2", "--input", "7"], ["7"]),
        (["--sample", "2", "--out", "scores.txt"], ["written as .npz or .csv; got scores.txt"]),
        (["--sample", "2", "--out", "no/scores.npz"], ["there is no folder no"]),
        (["--sample", "2", "--device", "tpu"], ["'tpu'"]),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    here: Path, arguments: list[str], parts: list[str]
) -> None:
    result = proxies(*(arguments if "--out" in arguments else [*arguments, "--out", "scores.npz"]))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr, result.stderr
    assert not (here / "scores.npz").exists()


def test_without_names_all_proxies_that_suit_the_inputs(here: Path) -> None:
    assert suiting_proxies(Shapes((1, 8, 8), (10,))) == tuple(PROXIES)
    command = ["proxies", "--sample", "1", "--batch-size", "4", "--json"]
    whole = CliRunner().invoke(app, [*command, "tiny.py:space", "--out", "scores.npz"])
    assert [line["proxy"] for line in json.loads(whole.stdout)["proxies"]] == list(PROXIES)
    assert "left out" not in whole.stderr
    tokens = CliRunner().invoke(
        app, [*command, "flexibert_tiny", "--input", "8", "--out", "tokens.npz"]
    )
    assert tokens.exit_code == 0, tokens.output
    assert [line["proxy"] for line in json.loads(tokens.stdout)["proxies"]] == [
        name for name in PROXIES if name != "jacobian_covariance"
    ]
    assert "left out: jacobian_covariance, as tokens have no gradient" in tokens.stderr


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The architectures that are built from now on."""
    asked, original = [], nas.proxies.measuring.prepare

    def prepared(plan: Plan) -> Any:
        measure = original(plan)
        return lambda architecture: (asked.append(architecture), measure(architecture))[1]

    monkeypatch.setattr(nas.proxies.measuring, "prepare", prepared)
    return asked
