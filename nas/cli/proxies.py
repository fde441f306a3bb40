"""The command `nas proxies`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, Device, InputShape, OutputShape, SpaceName, Vocabulary

if TYPE_CHECKING:
    from nas.proxies.measuring import ProxyPlan
    from nas.proxies.results import Results
    from spaces import Architecture, SearchSpace, Shapes

# A killed process loses at most this time.
_SECONDS_BETWEEN_WRITES = 60.0


def proxies(
    name: SpaceName,
    out: Annotated[
        Path,
        typer.Option(
            help=(
                "The .npz or .csv file to write; an .npz file that the same command wrote is "
                "continued."
            )
        ),
    ],
    sample: Annotated[
        int | None, typer.Option(min=1, help="How many random architectures are scored.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Score the architectures of this table, row by row: an npz file that the space "
                "can read."
            )
        ),
    ] = None,
    arch: Annotated[
        Path | None,
        typer.Option(help="Score the architecture, or the list of them, in this JSON file."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Score only the table's rows from A to before B."),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--proxies", help="Their names, with commas; by default all that suit the inputs."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=2, help="The number of samples in the batch.")
    ] = 32,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Use samples of this task's training split instead of noise; a name, or {name: "
                "images, path: photos}."
            ),
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="The seed of the weights, the batch and the random architectures."),
    ] = 0,
    repeats: Annotated[
        int,
        typer.Option(min=1, help="Average over this number of draws of weights and batch."),
    ] = 1,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes.")] = 1,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Score untrained networks with zero-cost proxies, from fresh weights and one batch."""
    with sentences():
        from nas.proxies import PROXIES, known_proxies, suiting_proxies
        from nas.proxies.measuring import ProxyPlan
        from nas.proxies.results import begin
        from spaces.load import load_space

        space = load_space(name)
        shapes = _shapes(space, input_shape, output_shape, vocabulary, task)
        space = space.for_shapes(shapes)
        chosen = suiting_proxies(shapes) if names is None else known_proxies(names)
        plan = ProxyPlan(name, shapes, chosen, task, batch_size, seed, repeats, device)
        architectures = _architectures(space, sample, table, arch, seed)
        wanted = range(len(architectures))
        if rows is not None:
            if table is None:
                raise ValueError("--rows chooses rows of a table: give it with --table")
            wanted = _rows(rows, len(architectures))
        results = begin(plan, architectures, out, listed=table is None)
        if names is None and len(chosen) < len(PROXIES):
            left_out = ", ".join(proxy for proxy in PROXIES if proxy not in chosen)
            typer.echo(f"left out: {left_out}, as tokens have no gradient", err=True)
        seconds = _fill(plan, results, space, wanted, out, workers)
        _print(results, seconds, out, as_json=as_json)


def _fill(
    plan: ProxyPlan, results: Results, space: SearchSpace, wanted: range, out: Path, workers: int
) -> dict[str, float]:
    """Computes and writes the scores that the wanted rows lack; returns the mean seconds by proxy.

    Isomorphic architectures are computed once.
    """
    from tqdm import tqdm

    from nas.proxies.measuring import measure_all

    missing = _missing_classes(results, space, wanted)
    firsts = [results.architectures[group[0]] for group in missing]
    spent, written = list[tuple[float, ...]](), time.monotonic()
    bar = tqdm(
        total=len(firsts),
        unit="architecture",
        file=sys.stderr,
        mininterval=0.1 if sys.stderr.isatty() else 10,
        disable=not firsts,
    )
    try:
        with bar:
            for index, scored in measure_all(plan, firsts, workers=workers):
                results.keep(missing[index], scored.values)
                spent.append(scored.seconds)
                bar.update()
                if time.monotonic() - written > _SECONDS_BETWEEN_WRITES:
                    results.write(out)
                    written = time.monotonic()
    except KeyboardInterrupt:
        message = f"{int(results.computed.sum())} of {len(results.computed)} rows are in {out}"
        if out.suffix == ".npz":
            message += ", and the same command goes on"
        typer.echo(f"\nstopped; {message}", err=True)
        raise typer.Exit(130) from None
    finally:
        if results.computed.any():
            results.write(out)
    if not spent:
        return {}
    columns = zip(*spent, strict=True)
    return {
        name: sum(column) / len(spent) for name, column in zip(plan.proxies, columns, strict=True)
    }


def _missing_classes(results: Results, space: SearchSpace, wanted: range) -> list[list[int]]:
    """The rows of each class of isomorphic architectures that still has to be scored.

    Such a class has a wanted row, and no row with scores. If a row of a class has scores already,
    they are copied to its other rows here.
    """
    from spaces.canonical import canonical_key

    classes: dict[str, list[int]] = {}
    for row, architecture in enumerate(results.architectures):
        classes.setdefault(canonical_key(space.graph(architecture)), []).append(row)
    for group in classes.values():
        done = next((row for row in group if results.computed[row]), None)
        if done is not None:
            results.keep(group, results.values[done].tolist())
    return [
        group
        for group in classes.values()
        if not results.computed[group[0]] and any(row in wanted for row in group)
    ]


def _architectures(
    space: SearchSpace, sample: int | None, table: Path | None, arch: Path | None, seed: int
) -> Sequence[Architecture]:
    if sum(given is not None for given in (sample, table, arch)) != 1:
        raise ValueError(
            "say which architectures: exactly one of --sample N, --table FILE.npz and --arch "
            "FILE.json"
        )
    if sample is not None:
        from nas.seeds import generator
        from spaces.operators import sample as draw

        random = generator(seed, "proxies: architectures")
        return [draw(space, random) for _ in range(sample)]
    if table is not None:
        return _of_table(space, table)
    from nas.prediction.predicting import read_architectures

    assert arch is not None
    return read_architectures(arch)


def _of_table(space: SearchSpace, path: Path) -> Sequence[Architecture]:
    from nas.tasks.arrays import read_npz

    if space.rows is None:
        raise ValueError(
            f"the space {space.name!r} has no `rows`, which gives the architecture of each row of "
            "a table: use --sample or --arch"
        )
    columns = read_npz(path)
    try:
        return space.rows(columns)
    except KeyError as error:
        held = ", ".join(columns)
        raise ValueError(
            f"the table {path} has no column {error.args[0]!r}, which the space {space.name!r} "
            f"reads; it has {held}"
        ) from error


def _shapes(
    space: SearchSpace,
    input_shape: str | None,
    output_shape: str | None,
    vocabulary: int | None,
    task: str | None,
) -> Shapes:
    from nas.cli.shapes import shapes_of_options
    from nas.proxies.measuring import named_task

    if task is None:
        return shapes_of_options(space.shapes, input_shape, output_shape, vocabulary)
    if (input_shape, output_shape, vocabulary) != (None, None, None):
        raise ValueError(
            "a task sets the shapes of inputs and outputs: leave --input, --output and "
            "--vocabulary out beside --task"
        )
    return named_task(task).shapes


def _rows(text: str, count: int) -> range:
    try:
        first, last = (int(part) if part.strip() else None for part in text.split(":"))
    except ValueError as error:
        raise ValueError(
            f"rows are two whole numbers with a colon, such as 0:1000 or 1000:; got {text!r}"
        ) from error
    chosen = range(count)[first:last]
    if not chosen:
        raise ValueError(f"the rows {text} are none of the table's {count}")
    return chosen


def _print(results: Results, seconds: dict[str, float], out: Path, *, as_json: bool) -> None:
    from nas.proxies.results import table_of

    table = list(table_of(results, seconds))
    computed, count = int(results.computed.sum()), len(results.computed)
    if as_json:
        shown = {"file": str(out), "rows": count, "computed": computed, "proxies": table}
        typer.echo(json.dumps(shown))
        return
    width = max(len(name) for name in results.proxies)
    typer.echo(
        f"{'proxy':<{width}}  {'min':>11}  {'median':>11}  {'max':>11}  {'not finite':>10}  "
        f"{'s each':>8}"
    )
    for line in table:
        low, middle, high = (_shown(line[kind], ".5g") for kind in ("min", "median", "max"))
        typer.echo(
            f"{line['proxy']:<{width}}  {low:>11}  {middle:>11}  {high:>11}  "
            f"{line['not_finite']:>10}  {_shown(line['seconds'], '.3f'):>8}"
        )
    typer.echo(f"{computed} of {count} rows have scores, in {out}")


def _shown(value: object, form: Literal[".5g", ".3f"]) -> str:
    return format(value, form) if isinstance(value, float) else "–"
