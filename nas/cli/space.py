"""The commands `nas space list`, `check` and `show`; and the space of a run for other commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, InputShape, OutputShape, SpaceName, Vocabulary
from nas.cli.output import printable_lines, write_text

if TYPE_CHECKING:
    from spaces import Graph

space_app = typer.Typer(
    help="Search spaces: list, check and draw them.", no_args_is_help=True, rich_markup_mode=None
)


@space_app.command("list")
def space_list(as_json: AsJson = False) -> None:
    """List the built-in spaces and those of installed packages."""
    from spaces.load import known_spaces

    with sentences():
        known = known_spaces()
        if as_json:
            print(json.dumps(known))
            return
        width = max(map(len, known))
        for name, where in sorted(known.items()):
            print(f"{name:<{width}}  {where}")


@space_app.command("check")
def space_check(
    name: SpaceName,
    count: Annotated[int, typer.Option(min=1, help="How many architectures are drawn.")] = 100,
    seed: Annotated[int, typer.Option(help="The seed of the random architectures.")] = 0,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    as_json: AsJson = False,
) -> None:
    """Check a space: draw architectures, then build, run and replay them.

    If the space is broken, the reasons are printed and the exit code is 1.
    """
    from nas.cli.shapes import shapes_of_options
    from predictors.reading.features import learn_encoding
    from predictors.reading.terms import readable
    from spaces.check import check, report_text
    from spaces.load import load_space

    def encode(graph: Graph) -> object:
        read = [readable(graph)]
        return learn_encoding(read).encode(read)

    with sentences():
        space = load_space(name)
        shapes = shapes_of_options(space.shapes, input_shape, output_shape, vocabulary)
        checked = check(space.for_shapes(shapes), count=count, seed=seed, encode=encode)
        print(json.dumps(checked.to_dict()) if as_json else report_text(checked))
    if checked.problems:
        raise typer.Exit(1)


@space_app.command("show")
def space_show(
    name: SpaceName,
    seed: Annotated[int, typer.Option(help="Which random architecture.")] = 0,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing to this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw one random architecture of a space."""
    from random import Random

    from spaces.draw import draw_svg, draw_text
    from spaces.load import load_space
    from spaces.operators import sample_graph

    with sentences():
        architecture, graph = sample_graph(load_space(name), Random(seed))
        if svg is not None:
            write_text(svg, draw_svg(graph, title=f"{architecture.space} {architecture.key}"))
        if as_json:
            decisions, drawn = json.loads(architecture.to_json()), json.loads(graph.to_json())
            print(json.dumps({"architecture": decisions, "graph": drawn}))
        else:
            print(printable_lines(f"{architecture}\n\n{draw_text(graph)}"))


def space_of(directory: Path, named: str | None) -> Any:
    """The space that the user names, else the run's own; None if its code must not run.

    It must not if the run was not begun by this user on this machine (`nas.record.trust`).
    """
    from nas.config.stored_run import read_run
    from spaces.load import load_space

    if named is not None:
        return load_space(named)
    run = read_run(directory)
    return load_space(run.config.space) if run.is_own else None
