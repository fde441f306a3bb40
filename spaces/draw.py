"""Drawings of a graph: text for a terminal, and an SVG file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from html import escape

from spaces.describe import describe
from spaces.graph import Graph, Node
from spaces.picture import MARGIN, bundled, pictured
from spaces.svg import FONT, INK, drawn_box, drawn_edges


def draw_text(graph: Graph) -> str:
    """One line for each node: rails, the node's number, operation and attributes, and its inputs.

    Lines are in the graph's order. A rail `│` is a value that a node further below uses. `●` is a
    node, and `○` a node whose value no other node uses. A node's inputs are the rails joined to it
    (`├─●`, `●─┘`) and the rail on which it stands.

    >>> from spaces.graph import INPUT, OUTPUT, Edge
    >>> print(draw_text(Graph((INPUT, Node("relu"), OUTPUT), (Edge(0, 1), Edge(1, 2)))))
    ●  0  input
    ●  1  relu    ← 0
    ●  2  output  ← 1
    """
    rails = _Rails(graph)
    drawn = [rails.line(number) for number in range(len(graph.nodes))]
    titles = [_title(item) for item in graph.nodes]
    across, longest = max(map(len, drawn)), max(map(len, titles))
    digits = len(str(len(drawn) - 1))
    lines = []
    for number, (rail, title) in enumerate(zip(drawn, titles, strict=True)):
        counts = Counter(graph.incoming[number])
        inputs = ", ".join(
            f"{source}" if times == 1 else f"{source} ({times}×)"
            for source, times in counts.items()
        )
        arrow = f"← {inputs}" if inputs else ""
        line = f"{rail:<{across}}  {number:>{digits}}  {title:<{longest}}  {arrow}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _title(item: Node) -> str:
    words = describe(item)
    return f"{item.op} ({words})" if words else item.op


class _Rails:
    """The columns of `draw_text`: the value that each column holds at the current node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._columns: list[int | None] = []
        self._last_use = [max(targets, default=-1) for targets in graph.outgoing]

    def line(self, number: int) -> str:
        """The rails of the next node; the numbers have to come in order."""
        columns, taken = self._columns, set(self._graph.incoming[number])
        joined = {column for column, value in enumerate(columns) if value in taken}
        ending = {column for column in joined if self._last_use[columns[column] or 0] == number}
        free = [column for column, value in enumerate(columns) if value is None]
        # The node continues a rail that ends here, or takes the first free one to the right of its
        # leftmost input, so that lines stay short.
        leftmost = min(joined, default=-1)
        vacant = min((column for column in free if column > leftmost), default=len(columns))
        own = min(ending, default=vacant)
        if own == len(columns):
            columns.append(None)
        left, right = min(joined | {own}), max(joined | {own})
        used = self._graph.outgoing[number] or number == len(self._graph.nodes) - 1
        cells = []
        for column, value in enumerate(columns):
            if column == own:
                mark = "●" if used else "○"
            elif column in joined:
                mark = _joint(
                    before=column > left, behind=column < right, further=column not in ending
                )
            elif value is not None:
                mark = "│"
            else:
                mark = "─" if left < column < right else " "
            cells.append(mark + ("─" if left <= column < right else " "))
        for column in ending:
            columns[column] = None
        columns[own] = number if self._last_use[number] > number else None
        return "".join(cells).rstrip()


def _joint(*, before: bool, behind: bool, further: bool) -> str:
    """The sign where a horizontal line takes a value from a rail, which may lead further down."""
    signs = {(True, True): "┼┴", (True, False): "┤┘", (False, True): "├└"}[before, behind]
    return signs[0 if further else 1]


def draw_svg(graph: Graph, title: str = "") -> str:
    """An SVG document, with the layers of the graph from the input at the top to the output below.

    Boxes are coloured by the operation's family and have the full attributes as tooltips.
    Duplicate nodes, such as the heads of a transformer, are one box, `4 × self_attention` (see
    `bundled`). An edge marked `2×` stands for two parallel edges. Small figures on the edges into
    an operation whose arguments have an order are their slots. The document scales to the width
    available, and it contains no script and no link to another file.
    """
    graph, counts = bundled(graph)
    picture = pictured(graph, counts, title)
    width, height = picture.width, picture.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" style="max-width:100%;height:auto" '
        f'role="img" font-family="{FONT}" text-anchor="middle">',
        f"<title>{escape(title or 'architecture')}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#ffffff"/>',
    ]
    if title:
        parts.append(
            f'<text x="{width / 2:.1f}" y="{MARGIN + 8:.1f}" font-size="15" font-weight="600" '
            f'fill="{INK}">{escape(title)}</text>'
        )
    parts += drawn_edges(graph, picture)
    parts += [drawn_box(item, box) for item, box in zip(graph.nodes, picture.boxes, strict=True)]
    return "\n".join([*parts, "</svg>"]) + "\n"
