"""Whether a search space does what it should: architectures are drawn, replayed, built, run forward
and backward, and taken apart again.

    report = check(load_space("my_space.py:space"), count=50)
    print(report_text(report))

Nothing that a space does wrong ends the check; it becomes a sentence in `Report.problems`.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from spaces.canonical import canonical_key, is_dead
from spaces.cardinality import size
from spaces.check_report import Range, Report, report_text
from spaces.choices import Architecture, Chooser, Rejected
from spaces.graph import Graph, Value
from spaces.operators import crossover, domains, mutate
from spaces.ops import Costs, costs, infer_shapes, needed
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Range", "Report", "check", "report_text"]

BATCH = 2
REJECTIONS = 1000


def check(
    space: SearchSpace,
    count: int = 100,
    seed: int = 0,
    *,
    size_seconds: float = 10.0,
    encode: Callable[[Graph], object] = canonical_key,
) -> Report:
    """Draws architectures and tries everything with each that a search would.

    Args:
        space: with the shapes of the data it is meant for.
        count: how many architectures to draw.
        seed: of the draws and of the random inputs.
        size_seconds: when to give up counting the space.
        encode: a predictor's way to read a graph, tried on each.

    Raises:
        ValueError: `count` is less than one.
    """
    if count < 1:
        raise ValueError(f"a check draws at least one architecture; got count={count}")
    findings, random, previous = _Findings(space.shapes), Random(seed), None
    for number in range(count):
        drawn = _draw(space, random, findings)
        if findings.hopeless:
            break
        if drawn is None:
            continue
        architecture, graph = drawn
        with findings.blamed_on(architecture):
            _check_replay(space, architecture, graph)
            _check_round_trips(architecture, graph)
            _note_twins(graph, findings)
            encode(graph)
            if space.builds:
                check_output(space, graph)
                _check_module(space, architecture, graph, findings, seed + number)
        with findings.blamed_on(architecture):
            _check_variation(space, architecture, previous or architecture, random)
        previous = architecture
    return _report(space, findings, _size(space, size_seconds))


class _Wrong(Exception):
    """What an architecture does wrong, as a sentence."""


@dataclass
class _Findings:
    """What one check has seen so far; it lives for one call of `check`."""

    shapes: Shapes
    count: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    duplicates: int = 0
    dead: int = 0
    hopeless: bool = False
    costs: list[Costs] = field(default_factory=list)
    sample_seconds: list[float] = field(default_factory=list)
    build_seconds: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    problems: dict[str, list[Architecture]] = field(default_factory=dict)

    def blame(self, error: Exception, architecture: Architecture) -> None:
        sentence = _sentence(error)
        if (
            isinstance(error, TypeError)
            and "NoneType" in sentence
            and self.shapes.vocabulary is None
        ):
            sentence += (
                ". Does the program ask for `shapes.vocabulary`? It is not said: give "
                "--vocabulary N --input LENGTH, or Shapes(..., vocabulary=N)"
            )
        self.problems.setdefault(sentence, []).append(architecture)

    @contextmanager
    def blamed_on(self, architecture: Architecture) -> Iterator[None]:
        """Whatever is raised inside is a problem of the architecture: the code that runs there is
        the user's, and may do anything.
        """
        try:
            yield
        except Exception as error:
            self.blame(error, architecture)


def _draw(
    space: SearchSpace, random: Random, findings: _Findings
) -> tuple[Architecture, Graph] | None:
    """An architecture and its graph; None where the program failed, or refused everything
    (`hopeless`).
    """
    started = time.perf_counter()
    for _ in range(REJECTIONS):
        # Domains are kept so that the chooser makes them, and finds options that it cannot tell
        # apart.
        choose = Chooser(None, random, held=dict(space.held), keep_domains=True)
        try:
            graph = _as_graph(space, space.run(choose))
        except Rejected as rejected:
            findings.rejected[rejected.reason] += 1
            continue
        except Exception as error:
            findings.count += 1
            findings.blame(error, _architecture(space, choose))
            return None
        findings.count += 1
        findings.sample_seconds.append(time.perf_counter() - started)
        return _architecture(space, choose), graph
    findings.hopeless = True
    reasons = "; ".join(
        f"{reason} ({times} times)" for reason, times in findings.rejected.most_common(3)
    )
    findings.problems[
        f"the program rejected {REJECTIONS} draws in a row, so nothing can be sampled: {reasons}"
    ] = []
    return None


def _architecture(space: SearchSpace, choose: Chooser) -> Architecture:
    return Architecture(space.name, tuple(choose.decisions.items()))


def _as_graph(space: SearchSpace, returned: object) -> Graph:
    graph = space.as_graph(returned)  # type: ignore[arg-type]
    if not isinstance(graph, Graph):
        raise _Wrong(
            f"the program returned {type(returned).__name__}, not a Graph or a torch.nn.Module"
        )
    return graph


def _check_replay(space: SearchSpace, architecture: Architecture, graph: Graph) -> None:
    try:
        again = space.replayed(architecture)
    except (ValueError, Rejected) as error:
        raise _Wrong(
            "the program asks otherwise when it is run again with the same answers, so it "
            f"depends on more than they: {error}"
        ) from error
    if again != graph:
        raise _Wrong(
            "the program returned another graph when it was run again with the same answers: let "
            "it depend on nothing but `choose` "
            f"(no random numbers, no counters of its own); {_difference(graph, again)}"
        )


def _check_round_trips(architecture: Architecture, graph: Graph) -> None:
    read = Architecture.from_json(architecture.to_json())
    if read != architecture or read.key != architecture.key:
        raise _Wrong(f"the architecture is another one when it is read back from JSON: {read}")
    read_graph = Graph.from_json(graph.to_json())
    if read_graph != graph or canonical_key(read_graph) != canonical_key(graph):
        raise _Wrong(
            "the graph is another one when it is read back from JSON; "
            f"{_difference(graph, read_graph)}"
        )


def _note_twins(graph: Graph, findings: _Findings) -> None:
    key = canonical_key(graph)
    findings.duplicates += key in findings.keys
    findings.keys.add(key)
    findings.dead += is_dead(graph)


def check_output(space: SearchSpace, graph: Graph) -> None:
    """Nothing, if the network of the graph gives what the space's data want.

    Raises:
        ValueError: it gives another shape, or there is no network of the graph for these data.
    """
    given = infer_shapes(space.network_graph(graph), space.shapes.input)[-1]
    if given != space.shapes.output:
        raise ValueError(
            f"the network gives the shape {given} for each sample, and the data want "
            f"{space.shapes.output}: "
            "take the last layer's size from `shapes.output` (write define(choose, shapes))"
        )


def _check_module(
    space: SearchSpace, architecture: Architecture, graph: Graph, findings: _Findings, seed: int
) -> None:
    """The torch module has what the graph counts, and gives finite numbers of the right shape whose
    gradient reaches every parameter.
    """
    import torch

    network = space.network_graph(graph)
    counted = costs(network, space.shapes.input)
    findings.costs.append(counted)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        started = time.perf_counter()
        module = space.build(architecture)
        findings.build_seconds.append(time.perf_counter() - started)
        built = sum(parameter.numel() for parameter in module.parameters())
        if counted.parameters != built:
            raise _Wrong(
                f"the graph counts {counted.parameters} parameters and the module has {built}"
            )
        started = time.perf_counter()
        _step(
            module.train(),
            _random_input(network, space.shapes.input),
            space.shapes,
            learns=not is_dead(graph),
        )
        findings.step_seconds.append(time.perf_counter() - started)


def _step(module: nn.Module, inputs: Any, shapes: Shapes, *, learns: bool) -> None:
    """A forward and backward pass.

    The loss is a sum with random factors, because the plain sum behind a softmax has no gradient.
    """
    import torch

    outputs = module(inputs)
    if tuple(outputs.shape) != (BATCH, *shapes.output):
        raise _Wrong(
            f"the module gives {tuple(outputs.shape)} for a batch of {BATCH}, not "
            f"{(BATCH, *shapes.output)}"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise _Wrong(
            "the outputs for random inputs are infinite or not a number: look for divisions, "
            "logarithms and roots, or normalise"
        )
    parameters = dict(module.named_parameters())
    if not parameters:
        raise _Wrong("the network has no parameters, so there is nothing to train")
    if not learns:
        return
    if not outputs.requires_grad:
        raise _Wrong("the outputs do not depend on any parameter, so nothing can be trained")
    (outputs * torch.randn_like(outputs)).sum().backward()
    missing = [name for name, parameter in parameters.items() if parameter.grad is None]
    if missing:
        raise _Wrong(
            f"{len(missing)} of {len(parameters)} parameters get no gradient, first "
            f"{missing[0]}: is a value detached or multiplied away?"
        )
    wild = [
        name
        for name, parameter in parameters.items()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    if wild:
        raise _Wrong(f"the gradient of {wild[0]} is infinite or not a number for random inputs")


def _random_input(network: Graph, shape: tuple[int, ...]) -> Any:
    """Normally distributed numbers; token numbers where the input goes into an embedding."""
    import torch

    live = set(needed(network))
    vocabularies: list[Value] = [
        network.nodes[target].get("num_embeddings")
        for target in network.outgoing[0]
        if target in live
    ]
    known = [size for size in vocabularies if isinstance(size, int)]
    return torch.randint(min(known), (BATCH, *shape)) if known else torch.randn(BATCH, *shape)


def _check_variation(
    space: SearchSpace, architecture: Architecture, other: Architecture, random: Random
) -> None:
    """A mutation and a crossover are architectures of the space with graphs of their own."""
    if all(domain.size == 1 for domain in domains(space, architecture).values()):
        return
    for what, child in (
        ("mutation", mutate(space, architecture, random)),
        ("crossover", crossover(space, architecture, other, random)),
    ):
        try:
            graph = space.graph(child)
            if space.builds:
                infer_shapes(space.network_graph(graph), space.shapes.input)
        except ValueError as error:
            raise _Wrong(f"a {what} of it is no network ({child}): {error}") from error


class _TooLong(Exception):
    pass


def _size(space: SearchSpace, seconds: float) -> int | Literal["infinite", "unknown"]:
    deadline = time.monotonic() + seconds

    @functools.wraps(space.define)
    def define(*arguments: Any) -> Any:
        if time.monotonic() > deadline:
            raise _TooLong
        return space.define(*arguments)

    try:
        counted = size(replace(space, define=define), limit=200_000)
    except Exception:
        # Too long, too many that reject, or a program that fails: the last is among the problems
        # already.
        return "unknown"
    return "infinite" if counted is None else counted


def _report(
    space: SearchSpace, findings: _Findings, counted: int | Literal["infinite", "unknown"]
) -> Report:
    return Report(
        space=space.name,
        shapes=space.shapes,
        builds=space.builds,
        count=findings.count,
        rejected=findings.rejected.total(),
        reasons=tuple(findings.rejected.most_common()),
        duplicates=findings.duplicates,
        dead=findings.dead,
        size=counted,
        parameters=_range([item.parameters for item in findings.costs]),
        multiply_adds=_range([item.multiply_adds for item in findings.costs]),
        activations=_range([item.activations for item in findings.costs]),
        sample_seconds=_mean(findings.sample_seconds),
        build_seconds=_mean(findings.build_seconds),
        step_seconds=_mean(findings.step_seconds),
        problems=tuple(
            _with_architectures(sentence, shown) for sentence, shown in findings.problems.items()
        ),
    )


def _with_architectures(sentence: str, architectures: list[Architecture]) -> str:
    if not architectures:
        return sentence
    first = architectures[0]
    more = f", and {len(architectures) - 1} more" if len(architectures) > 1 else ""
    return f"{sentence} [architecture {first.key}: {str(first) or 'no choices'}{more}]"


def _sentence(error: Exception) -> str:
    """What was raised and where: the last line of the traceback that is the user's own, or the last
    of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    others = [frame for frame in frames if ours not in Path(frame.filename).parents]
    users = [
        frame
        for frame in others
        if "site-packages" not in frame.filename and frame.filename[:1] != "<"
    ]
    message = str(error).strip() or "no message"
    if isinstance(error, _Wrong):
        return message
    if not users:
        return message if isinstance(error, ValueError) else f"{type(error).__name__}: {message}"
    return (
        f"{Path(users[-1].filename).name}:{users[-1].lineno} in {users[-1].name}: "
        f"{type(error).__name__}: {message}"
    )


def _difference(first: Graph, second: Graph) -> str:
    for one, other in zip(first.nodes, second.nodes, strict=False):
        if one != other:
            return f"first {one}, then {other}"
    return (
        f"first {len(first.nodes)} nodes and {len(first.edges)} edges, then {len(second.nodes)} "
        f"and {len(second.edges)}"
    )


def _range(values: list[int]) -> Range | None:
    return Range(min(values), median(values), max(values)) if values else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
