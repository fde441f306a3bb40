"""Two modules of one graph are one network only if nothing else tells them apart."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.record.history import EMPTY
from nas.strategies import RandomSearch
from spaces import Architecture, GraphBuilder, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.check import check, report_text
from spaces.details import without_details
from spaces.operators import sample

SHAPES = Shapes((8,), (3,))


class Net(nn.Module):
    """A linear network; `change` makes one option of it differ."""

    def __init__(self, change: Callable[[Any], None] = lambda net: None) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 3)
        self.register_buffer("mask", torch.zeros(8))
        change(self)

    def forward(self, x):
        return self.second(functional.relu(self.first(x)) + self.mask)


def buffer(contents: Callable[[], torch.Tensor]) -> Callable[[Any], None]:
    def change(net: Any) -> None:
        net.register_buffer("mask", contents())

    return change


def fill_second_row(net: Any) -> None:
    with torch.no_grad():
        net.first.weight[1].fill_(0.0)


def fill_third_row(net: Any) -> None:
    with torch.no_grad():
        net.first.weight[2].fill_(0.0)


def hooked(net: Any) -> None:
    net.first.register_forward_hook(lambda module, given, output: output * 2)


net_scale = 2.0


def seeded(net: Any, seed: int) -> None:
    torch.manual_seed(seed)
    net.first.weight.data.normal_()


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_hooks(net: Any) -> None:
    net.first.register_forward_hook(lambda module, given, output: output * 3)
    net.first.register_forward_pre_hook(lambda module, given: given)


def local_class(rate: int) -> nn.Module:
    class Head(nn.Linear):
        def train(self, mode: bool = True) -> Any:
            self.rate = rate if mode else 0
            return self

    return Head(8, 3)


OTHERS: dict[str, Callable[[Any], Any]] = {
    "ones": buffer(lambda: torch.ones(8)),
    "arange": buffer(lambda: torch.arange(8) / 8),
    "from a list": buffer(lambda: torch.tensor([1.0] * 7 + [0.0])),
    "from another list": buffer(lambda: torch.tensor([1.0] * 6 + [0.0] * 2)),
    "from numpy": buffer(lambda: torch.from_numpy(numpy.eye(8, dtype="float32")[0])),
    "from other numbers": buffer(lambda: torch.from_numpy(numpy.eye(8, dtype="float32")[1])),
    "by the old constructor": buffer(lambda: torch.FloatTensor([2.0] * 8)),
    "drawn": buffer(lambda: torch.randn(8)),
    "drawn by numpy": buffer(lambda: torch.from_numpy(numpy.random.randn(8).astype("float32"))),
    "frozen": lambda net: net.first.requires_grad_(False),
    "other frozen": lambda net: net.second.requires_grad_(False),
    "bias frozen": lambda net: net.first.bias.requires_grad_(False),
    "initialised to zero": lambda net: nn.init.zeros_(net.first.weight),
    "other initialised to zero": lambda net: nn.init.zeros_(net.second.weight),
    "orthogonal": lambda net: nn.init.orthogonal_(net.first.weight),
    "scaled": lambda net: net.first.weight.data.mul_(2.0),
    "scaled otherwise": lambda net: net.first.weight.data.mul_(3.0),
    "a row filled": fill_second_row,
    "another row filled": fill_third_row,
    "a plain attribute": lambda net: setattr(net, "temperature", 2.0),
    "another value": lambda net: setattr(net, "temperature", 3.0),
    "in a list": lambda net: setattr(net, "temperature", [3.0, {"a": {1, 2}}]),
    "a function": lambda net: setattr(net, "temperature", functional.relu),
    "a lambda": lambda net: setattr(net, "temperature", lambda x: x * 2),
    "another lambda": lambda net: setattr(net, "temperature", lambda x: x * 3),
    "a keyword's default": lambda net: setattr(net, "temperature", lambda x, *, by=2: x),
    "another default": lambda net: setattr(net, "temperature", lambda x, *, by=3: x),
    "a sum": lambda net: setattr(net, "temperature", lambda x: x + 2),
    "a class with a variable": lambda net: setattr(net, "second", local_class(2)),
    "the class with another": lambda net: setattr(net, "second", local_class(3)),
    "truncated": lambda net: nn.init.trunc_normal_(net.first.weight, std=0.02),
    "truncated wider": lambda net: nn.init.trunc_normal_(net.first.weight, std=0.2),
    "orthogonal and doubled": lambda net: nn.init.orthogonal_(net.first.weight, gain=2),
    "from a seed": lambda net: seeded(net, 7),
    "from another seed": lambda net: seeded(net, 8),
    "from a generator": lambda net: net.first.weight.data.normal_(generator=generator(1)),
    "from another generator": lambda net: net.first.weight.data.normal_(generator=generator(2)),
    "a hook of a tensor": lambda net: net.first.weight.register_hook(lambda g: g + g),
    "another hook of a tensor": lambda net: net.first.weight.register_hook(lambda g: g * g),
    "a range": lambda net: setattr(net, "temperature", range(3)),
    "another range": lambda net: setattr(net, "temperature", range(4)),
    "deep inside": lambda net: setattr(net, "temperature", {"a": {"b": {"c": {"d": [1]}}}}),
    "deep inside otherwise": lambda net: setattr(
        net, "temperature", {"a": {"b": {"c": {"d": []}}}}
    ),
    "a module in a list": lambda net: setattr(net, "temperature", [nn.Dropout(0.1)]),
    "another module in a list": lambda net: setattr(net, "temperature", [nn.Dropout(0.2)]),
    "two kinds of hooks": two_hooks,
    "a function of torch": lambda net: setattr(
        net, "temperature", lambda x: torch.add(x, net_scale)
    ),
    "another class": lambda net: setattr(net, "second", type("Linear2", (nn.Linear,), {})(8, 3)),
    "a hook": hooked,
    "evaluation mode of a part": lambda net: net.first.eval(),
    "numbers read": buffer(lambda: torch.tensor([v.item() for v in torch.linspace(0, 1, 8)])),
    "other numbers read": buffer(lambda: torch.tensor(torch.linspace(0, 2, 8).tolist())),
}


def space_of(options: dict[str, Callable[[Any], Any]]) -> SearchSpace:
    def define(choose, shapes):
        return Net(options[choose.one_of("option", tuple(options))])

    return SearchSpace("options", define, SHAPES)


def key(space: SearchSpace, option: str) -> str:
    return canonical_key(space.graph(Architecture("options", (("option", option),))))


def test_each_difference_makes_another_network() -> None:
    options = {"plain": lambda net: None, **OTHERS}
    keys = {option: key(space_of(options), option) for option in options}
    by_key: dict[str, list[str]] = {}
    for option, each in keys.items():
        by_key.setdefault(each, []).append(option)
    assert [names for names in by_key.values() if len(names) > 1] == []


@pytest.mark.parametrize("option", ["plain", *OTHERS])
def test_equal_modules_are_one_network(option: str) -> None:
    change = OTHERS.get(option, lambda net: None)
    space = space_of({"one": change, "two": change})
    torch.randn(3), numpy.random.randn(3)  # The state of the generators does not matter.
    assert key(space, "one") == key(space, "two")


def test_making_a_module_does_not_draw_from_the_callers_generators() -> None:
    torch.manual_seed(1), numpy.random.seed(1)
    expected = torch.randn(3), numpy.random.randn(3)
    torch.manual_seed(1), numpy.random.seed(1)
    sample(space_of(OTHERS), Random(0))
    assert torch.equal(torch.randn(3), expected[0])
    assert (numpy.random.randn(3) == expected[1]).all()


def test_a_program_that_reads_numbers_asks_each_question_once() -> None:
    asked = []

    def define(choose, shapes):
        depth = choose.integer("depth", 2, 9)
        rates = torch.linspace(0, 0.1, depth).tolist()
        asked.append((depth, choose.one_of("kind", ("a", "b"))))
        return nn.Sequential(*(nn.Dropout(rate) for rate in rates), nn.Linear(8, 3))

    space = SearchSpace("rates", define, SHAPES)
    architecture = sample(space, Random(3))
    assert architecture.answers == dict(zip(("depth", "kind"), asked[-1], strict=True))
    dropouts = [node.op for node in space.graph(architecture).nodes].count("dropout")
    assert dropouts == architecture.answers["depth"]
    assert len(space.build(architecture)) == architecture.answers["depth"] + 1
    assert check(space, 6, size_seconds=1.0).problems == ()


def test_describing_a_module_does_not_change_it() -> None:
    class Counting(Net):
        def forward(self, x):
            self.steps = getattr(self, "steps", 0) + 1
            if torch.is_grad_enabled() and self.steps > 100:
                return super().forward(x) * 0
            return super().forward(x.cumsum(1).sort(1)[0])

    space = SearchSpace("counting", lambda choose: Counting(), SHAPES)
    module = space.returned(space.replay(Architecture("counting", ())))
    graphs = {space.as_graph(module) for _ in range(3)}
    assert len(graphs) == 1
    assert not hasattr(module, "steps")


def test_a_program_that_draws_its_layers_is_found_by_the_check() -> None:
    def define(choose):
        return nn.Sequential(nn.Linear(8, 3), random.choice([nn.ReLU, nn.Tanh, nn.GELU])())

    problems = check(SearchSpace("drawn", define, SHAPES), 6, size_seconds=1.0).problems
    assert any("is another one than the module that is described" in each for each in problems)


def test_a_tensor_that_a_cache_kept_is_named() -> None:
    @lru_cache
    def table() -> torch.Tensor:
        return torch.arange(8.0)

    def define(choose):
        net = Net()
        net.register_buffer("mask", table())
        return net

    space = SearchSpace("table", define, SHAPES)
    space.graph(Architecture("table", ()))
    with pytest.raises(ValueError, match=r"'mask' of Net has no memory.*lru_cache"):
        space.build(Architecture("table", ()))


def test_lazy_parts_are_ready_to_be_trained() -> None:
    space = SearchSpace("lazy", lambda choose: nn.Sequential(nn.LazyLinear(3)), SHAPES)
    assert space.build(Architecture("lazy", ()))[0].weight.shape == (3, 8)


def test_a_module_that_is_returned_twice_is_refused() -> None:
    known = Net()
    space = SearchSpace("cached", lambda choose: known, SHAPES)
    first = Architecture("cached", ())
    space.graph(first)
    with pytest.raises(ValueError, match="returned a module that it had returned before"):
        space.build(first)


def test_a_program_returns_graphs_or_modules() -> None:
    def define(choose):
        if choose.one_of("graph", (True, False)):
            builder = GraphBuilder()
            return builder.output(builder.node("linear", builder.input((8,)), out_features=3))
        return Net()

    for first in (True, False):
        space = SearchSpace("mixed", lambda choose: define(choose), SHAPES)
        space.graph(Architecture("mixed", (("graph", first),)))
        with pytest.raises(ValueError, match="a Graph for some choices"):
            space.graph(Architecture("mixed", (("graph", not first),)))


def test_a_search_evaluates_all_of_them() -> None:
    space = space_of({name: OTHERS[name] for name in ("ones", "arange", "frozen")})
    proposals = RandomSearch().ask(space, EMPTY, 3, seed=0).proposals
    assert {proposal.architecture.answers["option"] for proposal in proposals} == {
        "ones",
        "arange",
        "frozen",
    }


def test_the_check_names_decisions_that_change_nothing() -> None:
    def define(choose, shapes):
        choose.integer("unused", 1, 9)
        return nn.Linear(8, 3, bias=choose.one_of("bias", (True, False)))

    report = check(SearchSpace("idle", define, SHAPES), 6, size_seconds=1.0)
    assert report.idle == ("unused",)
    assert "decisions changing nothing    unused" in report_text(report)


LAZY = """
from spaces import Architecture, GraphBuilder, SearchSpace, Shapes
from spaces.canonical import canonical_key

def define(choose, shapes):
    import torch
    return torch.nn.Sequential(torch.nn.Linear(8, choose.integer("width", 3, 9)), torch.nn.Tanh())

space = SearchSpace("lazy", define, Shapes((8,), (3,)))
item = Architecture("lazy", (("width", 3),))
print(*(canonical_key(space.replayed(item)) for _ in range(2)), sep="\\n")
"""


def test_a_program_that_imports_torch_itself_has_one_key() -> None:
    keys = {line for _ in range(2) for line in outputs_of(["-c", LAZY], Path(__file__).parent)}
    assert len(keys) == 1


PROGRAM = """
import torch
from torch import nn
from spaces import Architecture, GraphBuilder, SearchSpace, Shapes
from spaces.canonical import canonical_key

class Part:
    def __init__(self, names): self.names = names

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.kinds, self.part = {"b", "a", "c", "long name"}, Part({"x": {"p", "q"}})
        self.register_buffer("mask", torch.rand(8))
        self.body = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    def forward(self, x): return self.body(x * self.mask)

def define(choose, shapes): return Own()
space = SearchSpace("own", define, Shapes((8,), (3,)))
if __name__ == "__main__":
    print(canonical_key(space.graph(Architecture("own", ()))))
"""


def test_the_key_is_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROGRAM)
    imported = "import own; own.canonical_key; print(own.canonical_key(own.space.graph(A)))"
    head = "from spaces import Architecture; A = Architecture('own', ()); "
    commands = (["own.py"], ["own.py"], ["-c", head + imported])
    keys = {
        line
        for number, command in enumerate(commands)
        for line in outputs_of(command, tmp_path, number)
    }
    assert len(keys) == 1


def outputs_of(command: list[str], folder: Path, hash_seed: int = 0) -> list[str]:
    """The lines that a new process prints."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_details_are_left_out_for_predictors() -> None:
    space = space_of(OTHERS)
    one, two = (
        space.graph(Architecture("options", (("option", option),))) for option in ("ones", "frozen")
    )
    assert one != two
    assert without_details(one) == without_details(two)
