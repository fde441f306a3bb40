"""Whether a search space is sound: each sampled architecture is tried as a search would try it.

Architectures are drawn, replayed, varied, built as torch modules, and run forward and backward.

    report = check(load_space("my_space.py:space"), count=50)
    print(report_text(report))

Nothing that a space does wrong ends the check; it becomes a sentence in `Report.problems`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Literal

from spaces.canonical import canonical_key, is_disconnected
from spaces.cardinality import size
from spaces.check_architecture import (
    check_module,
    check_replay,
    check_round_trips,
    check_variation,
)
from spaces.check_decisions import idle_decisions
from spaces.check_findings import Findings, Wrong
from spaces.check_report import Range, Report, report_text
from spaces.choices import Architecture, Chooser, Rejected
from spaces.graph import Graph
from spaces.ops import infer_shapes
from spaces.space import SearchSpace
from spaces.structure import is_shape

__all__ = ["Range", "Report", "check", "check_output", "report_text"]

REJECTIONS = 1000


def check(
    space: SearchSpace,
    count: int = 100,
    seed: int = 0,
    *,
    size_seconds: float = 10.0,
    encode: Callable[[Graph], object] = canonical_key,
) -> Report:
    """The report of `count` sampled architectures, each tried in all ways that a search would.

    Args:
        space: the space, with the shapes of the data that it is meant for.
        count: number of architectures to draw.
        seed: seed of the draws and of the random inputs.
        size_seconds: seconds after which counting the space is given up.
        encode: how a predictor reads a graph; it is called on each graph.

    Raises:
        ValueError: `count` is less than one.
    """
    if count < 1:
        raise ValueError(f"a check draws at least one architecture; got count={count}")
    findings, random, drawn = Findings(space.shapes), Random(seed), list[Architecture]()
    for number in range(count):
        found = _draw(space, random, findings)
        if findings.hopeless:
            break
        if found is None:
            continue
        architecture, graph = found
        with findings.blamed_on(architecture):
            check_replay(space, architecture, graph)
            check_round_trips(architecture, graph)
            _note_duplicates(graph, findings)
            encode(graph)
            if space.builds:
                check_output(space, graph)
                check_module(space, architecture, graph, findings, seed + number)
        with findings.blamed_on(architecture):
            check_variation(space, architecture, drawn[-1] if drawn else architecture, random)
        drawn.append(architecture)
    if drawn:
        with findings.blamed_on(drawn[-1]):
            findings.idle = idle_decisions(space, drawn, random)
    return findings.report(space, _size(space, size_seconds))


def check_output(space: SearchSpace, graph: Graph) -> None:
    """Checks that the network of the graph has the output shape that the space's data need.

    Several outputs are not compared here, but by `check_module`, which runs the network.

    Raises:
        ValueError: it has another output shape, or there is no network of the graph for these data.
    """
    network = space.network_graph(graph)
    given = infer_shapes(network, space.shapes.input)[-1]
    if network.nodes[-2].op == "observed:outputs" or not is_shape(space.shapes.output):
        return
    if given != space.shapes.output:
        raise ValueError(
            f"the network gives the shape {given} for each sample, and the data want "
            f"{space.shapes.output}: "
            "take the last layer's size from `shapes.output` (write define(choose, shapes))"
        )


def _draw(
    space: SearchSpace, random: Random, findings: Findings
) -> tuple[Architecture, Graph] | None:
    """An architecture and its graph; None if the program fails or rejects every draw."""
    started = time.perf_counter()
    for _ in range(REJECTIONS):
        # If domains are kept, the chooser makes them and finds options that it cannot tell apart.
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
        raise Wrong(
            f"the program returned {type(returned).__name__}, not a Graph or a torch.nn.Module"
        )
    return graph


def _note_duplicates(graph: Graph, findings: Findings) -> None:
    key = canonical_key(graph)
    findings.duplicates += key in findings.keys
    findings.keys.add(key)
    findings.dead += is_disconnected(graph)


class _TooLong(Exception):
    """Counting the space takes longer than allowed."""


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
        # Counting takes too long, too many draws are rejected, or the program fails. A program that
        # fails is among the problems already.
        return "unknown"
    return "infinite" if counted is None else counted
