"""Drawings of a graph: text for a terminal, and an SVG file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from html import escape

from spaces.graph import Edge, Graph, Node, Value
from spaces.layout import Layout, arrange

# Family: fill and outline. An operation belongs to the first family one of whose words its name
# contains.
_COLOURS = {
    "end": ("#f1f3f5", "#868e96"),
    "nothing": ("#ffffff", "#adb5bd"),
    "attention": ("#f0e6ff", "#9775d6"),
    "weights": ("#dcebff", "#5b8fd9"),
    "norm": ("#e5e9f5", "#8c9ac4"),
    "pool": ("#dcf5e3", "#57ad74"),
    "activation": ("#fff1cf", "#d9a441"),
    "combination": ("#ffe3e6", "#dd7f8b"),
    "other": ("#eceff1", "#90a0aa"),
}
_FAMILIES = {
    "end": ("input", "output"),
    "nothing": ("none", "zero"),
    "attention": ("attention",),
    "pool": ("pool",),
    "norm": ("norm",),
    "weights": ("conv", "linear", "embedding", "parameter", "lstm", "gru", "block", "mbconv"),
    "activation": (
        "relu",
        "gelu",
        "elu",
        "silu",
        "swish",
        "sigmoid",
        "tanh",
        "mish",
        "softmax",
        "softplus",
        "hardtanh",
    ),
    "combination": (
        "add",
        "mul",
        "cat",
        "stack",
        "sub",
        "div",
        "matmul",
        "maximum",
        "minimum",
        "concat",
    ),
}
_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
_INK, _FAINT, _LINE = "#212b36", "#5c6873", "#8a96a3"
_MARGIN, _GAP = 24.0, 22.0
_CLOSE, _APART = 15.0, 42.0
_LONGEST_LINE = 34


def describe(item: Node) -> str:
    """A node's attributes in few words: "16 channels, 3×3, stride 2". Padding, biases and a stride
    of 1 are left out.
    """
    words = []
    for name, value in item.attributes:
        if name in ("out_channels", "out_features"):
            words.insert(0, f"{value} {name.removeprefix('out_')}")
        elif name == "kernel_size" and (item.op.endswith("1d") or item.op == "span_convolution"):
            words.append(f"kernel {value}")
        elif name == "kernel_size":
            words.append(
                f"{value}×{value}"
                if isinstance(value, int)
                else "×".join(map(str, value))
                if isinstance(value, tuple)
                else str(value)
            )
        elif name == "shape" and isinstance(value, tuple):
            words.append(" × ".join(map(str, value)))
        elif name == "index" and isinstance(value, tuple):
            words.append(f"[{', '.join(map(_index, value))}]")
        elif name in ("padding", "bias", "count_include_pad") or (name == "stride" and value == 1):
            continue
        elif isinstance(value, bool):
            words.append(f"{'' if value else 'no '}{name.replace('_', ' ')}")
        else:
            words.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(words)


def _index(item: Value) -> str:
    if isinstance(item, tuple) and len(item) == 3:
        return ":".join(
            "" if place is None else str(place)
            for place in (item if item[2] is not None else item[:2])
        )
    return str(item)


def draw_text(graph: Graph) -> str:
    """One line a node, in the graph's order: rails that show which values are alive, the node's
    number, operation and attributes, and its inputs.

    A rail `│` is a value that is needed further below; `●` is a node, `○` one whose value nothing
    takes. Rails joined to a node (`├─●`, `●─┘`), and the one that it stands on, are its inputs.
    """
    rails = _Rails(graph)
    drawn = [rails.line(number) for number in range(len(graph.nodes))]
    titles = [
        " ".join(filter(None, (item.op, f"({text})" if (text := describe(item)) else "")))
        for item in graph.nodes
    ]
    across, digits, longest = max(map(len, drawn)), len(str(len(drawn) - 1)), max(map(len, titles))
    lines = []
    for number, (rail, title) in enumerate(zip(drawn, titles, strict=True)):
        counts = Counter(graph.incoming[number])
        inputs = ", ".join(
            f"{source}" if times == 1 else f"{source} ({times}×)"
            for source, times in counts.items()
        )
        lines.append(
            f"{rail:<{across}}  {number:>{digits}}  {title:<{longest}}  "
            f"{f'← {inputs}' if inputs else ''}".rstrip()
        )
    return "\n".join(lines)


class _Rails:
    """The columns of `draw_text`: which value each holds while walking down the nodes."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._columns: list[int | None] = []
        self._last_use = [max(targets, default=-1) for targets in graph.outgoing]

    def line(self, number: int) -> str:
        columns, taken = self._columns, set(self._graph.incoming[number])
        joined = {column for column, value in enumerate(columns) if value in taken}
        ending = {column for column in joined if self._last_use[columns[column] or 0] == number}
        free = [column for column, value in enumerate(columns) if value is None]
        # The node continues a rail that ends here, or takes the first free one to the right of its
        # inputs, so that lines stay short.
        own = min(
            ending,
            default=min(
                (column for column in free if column > min(joined, default=-1)),
                default=len(columns),
            ),
        )
        if own == len(columns):
            columns.append(None)
        left, right = min(joined | {own}), max(joined | {own})
        cells = []
        for column, value in enumerate(columns):
            if column == own:
                mark = (
                    "●"
                    if self._graph.outgoing[number] or number == len(self._graph.nodes) - 1
                    else "○"
                )
            elif column in joined:
                mark = _joint(
                    before=column > left, behind=column < right, further=column not in ending
                )
            else:
                mark = "│" if value is not None else "─" if left < column < right else " "
            cells.append(mark + ("─" if left <= column < right else " "))
        for column in ending:
            columns[column] = None
        columns[own] = number if self._last_use[number] > number else None
        return "".join(cells).rstrip()


def _joint(*, before: bool, behind: bool, further: bool) -> str:
    """The sign where a horizontal line takes a value from a rail."""
    return {(True, True): "┼┴", (True, False): "┤┘", (False, True): "├└"}[before, behind][
        0 if further else 1
    ]


def draw_svg(graph: Graph, title: str = "") -> str:
    """An SVG document: layers from the input at the top down to the output, boxes coloured by the
    operation's family, full attributes as tooltips.

    Twins, which stand side by side with the same inputs and uses as the heads of a transformer do,
    are one box, `4 × self_attention`. An edge marked `2×` is that many parallel edges; small
    figures on the edges into an operation whose arguments have an order are their slots. The
    document scales to the width that it is given, holds no script and loads nothing.
    """
    graph, counts = bundled(graph)
    picture = _pictured(graph, counts, title)
    width, height = picture.width, picture.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" style="max-width:100%;height:auto" '
        f'role="img" font-family="{_FONT}" text-anchor="middle">',
        f"<title>{escape(title or 'architecture')}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#ffffff"/>',
    ]
    if title:
        parts.append(
            f'<text x="{width / 2:.1f}" y="{_MARGIN + 8:.1f}" font-size="15" font-weight="600" '
            f'fill="{_INK}">{escape(title)}</text>'
        )
    parts += _edges(graph, picture)
    parts += [_drawn_box(item, box) for item, box in zip(graph.nodes, picture.boxes, strict=True)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def bundled(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """The graph with the first of each set of twins alone, and for each of its nodes how many it
    stands for.

    Twins are nodes with inputs that are the same operation of the same values in the same slots,
    and are used by the same nodes in the same slots.
    """
    before: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    behind: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    for source, target, slot in graph.edges:
        before[target].append((source, slot))
        behind[source].append((target, slot))
    sets: dict[Hashable, list[int]] = {}
    for number, item in enumerate(graph.nodes):
        twins = (item, tuple(sorted(before[number])), tuple(sorted(behind[number])))
        sets.setdefault(twins if before[number] else number, []).append(number)
    kept = {first: place for place, (first, *_) in enumerate(sets.values())}
    edges = tuple(
        Edge(kept[edge.source], kept[edge.target], edge.slot)
        for edge in graph.edges
        if edge.source in kept and edge.target in kept
    )
    return Graph(tuple(graph.nodes[first] for first in kept), edges), tuple(map(len, sets.values()))


@dataclass(frozen=True)
class _Box:
    name: str
    small: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class _Picture:
    """Where all is: boxes by their centres, the upper and lower edge of every layer, and the bends
    of the edges.
    """

    boxes: tuple[_Box, ...]
    rows: tuple[tuple[float, float], ...]
    layer: tuple[int, ...]
    bends: dict[tuple[int, int], tuple[float, ...]]
    width: float
    height: float


def _pictured(graph: Graph, counts: tuple[int, ...], title: str) -> _Picture:
    names = [
        item.op if count == 1 else f"{count} × {item.op}"
        for item, count in zip(graph.nodes, counts, strict=True)
    ]
    texts = [
        (_cut(name), _cut(describe(item))) for name, item in zip(names, graph.nodes, strict=True)
    ]
    widths = [max(46.0, 7.4 * len(name) + 22, 5.6 * len(small) + 20) for name, small in texts]
    heights = [40.0 if small else 28.0 for _, small in texts]
    layout = arrange(graph, widths, gap=_GAP)
    rows = _rows(graph, layout, heights, _MARGIN + (28 if title else 0))
    width = max(layout.width, 8.0 * len(title)) + 2 * _MARGIN
    shift = (width - layout.width) / 2
    boxes = tuple(
        _Box(
            name,
            small,
            layout.x[number] + shift,
            sum(rows[layout.layer[number]]) / 2,
            widths[number],
            heights[number],
        )
        for number, (name, small) in enumerate(texts)
    )
    bends = {pair: tuple(x + shift for x in places) for pair, places in layout.bends.items()}
    return _Picture(boxes, rows, layout.layer, bends, width, rows[-1][1] + _MARGIN)


def _rows(
    graph: Graph, layout: Layout, heights: list[float], top: float
) -> tuple[tuple[float, float], ...]:
    """The upper and lower edge of each layer. Layers that only single straight edges join stand
    close together.
    """
    count = max(layout.layer) + 1
    tallest = [
        max(height for height, row in zip(heights, layout.layer, strict=True) if row == index)
        for index in range(count)
    ]
    apart = [_CLOSE] * count
    for source, target in layout.bends:
        if len(graph.outgoing[source]) > 1 or len(graph.incoming[target]) > 1:
            apart[layout.layer[source]] = apart[layout.layer[target] - 1] = _APART
    result = []
    for index in range(count):
        result.append((top, top + tallest[index]))
        top += tallest[index] + apart[index]
    return tuple(result)


def _edges(graph: Graph, picture: _Picture) -> list[str]:
    # Arrowheads are drawn, not referred to by an id: several drawings may stand in one page.
    lines, heads, marks = [], [], []
    for target, box in enumerate(picture.boxes):
        slots: dict[int, list[int]] = {}
        for edge in graph.edges:
            if edge.target == target:
                slots.setdefault(edge.source, []).append(edge.slot)
        ordered = any(slot for found in slots.values() for slot in found)
        arriving = sorted(
            slots,
            key=lambda source: (picture.bends[source, target] or (picture.boxes[source].x,))[-1],
        )
        step = min(14.0, (box.width - 20) / max(1, len(arriving) - 1))
        for place, source in enumerate(arriving):
            port = box.x + (place - (len(arriving) - 1) / 2) * step
            path, middle = _path(picture, source, target, port)
            lines.append(f'<path d="{path}"/>')
            tip = box.y - box.height / 2 - 1
            heads.append(f"M{port - 3.6:.1f} {tip - 6.5:.1f}h7.2L{port:.1f} {tip:.1f}z")
            count = len(slots[source])
            mark = (
                ", ".join(map(str, sorted(slots[source])))
                if ordered and len(graph.incoming[target]) > 1
                else f"{count}×"
                if count > 1
                else ""
            )
            if mark:
                marks.append(_mark(mark, *middle))
    return [
        f'<g fill="none" stroke="{_LINE}" stroke-width="1.4">',
        *lines,
        "</g>",
        f'<path d="{"".join(heads)}" fill="{_LINE}"/>',
        *marks,
    ]


def _path(
    picture: _Picture, source: int, target: int, port: float
) -> tuple[str, tuple[float, float]]:
    """The curve from below one box to a place above another, and the middle of its last bow."""
    start, end = picture.boxes[source], picture.boxes[target]
    x, y = start.x, start.y + start.height / 2
    path = [f"M{x:.1f} {y:.1f}"]
    first = picture.layer[source] + 1
    stops = [
        (bend, *picture.rows[first + place])
        for place, bend in enumerate(picture.bends[source, target])
    ]
    middle = (x, y)
    for stop_x, upper, lower in [*stops, (port, end.y - end.height / 2 - 5, None)]:
        half = (y + upper) / 2
        path.append(f"C{x:.1f} {half:.1f} {stop_x:.1f} {half:.1f} {stop_x:.1f} {upper:.1f}")
        middle = ((x + stop_x) / 2, half)
        x, y = stop_x, upper
        if lower is not None:
            path.append(f"V{lower:.1f}")
            y = lower
    return " ".join(path), middle


def _mark(text: str, x: float, y: float) -> str:
    width = 6.0 * len(text) + 8
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - 7.5:.1f}" width="{width:.1f}" height="15" '
        f'rx="7.5" fill="#ffffff" stroke="{_LINE}" stroke-width="0.8"/>'
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" font-size="10" fill="{_FAINT}">{escape(text)}</text>'
    )


def _drawn_box(item: Node, box: _Box) -> str:
    family = _family(item.op)
    fill, outline = _COLOURS[family]
    dashes = ' stroke-dasharray="4 3"' if family == "nothing" else ""
    rounded = box.height / 2 if family in ("end", "combination") and not box.small else 7.0
    name_y = box.y - 3 if box.small else box.y + 4.5
    tooltip = f"{item}{f' at {item.label}' if item.label else ''}"
    small = (
        f'<text x="{box.x:.1f}" y="{box.y + 12.5:.1f}" font-size="10.5" '
        f'fill="{_FAINT}">{escape(box.small)}</text>'
        if box.small
        else ""
    )
    return (
        f"<g><title>{escape(tooltip)}</title>"
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y - box.height / 2:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="{rounded:.0f}" '
        f'fill="{fill}" stroke="{outline}" stroke-width="1.3"{dashes}/>'
        f'<text x="{box.x:.1f}" y="{name_y:.1f}" font-size="13" font-weight="500" '
        f'fill="{_INK}">{escape(box.name)}</text>{small}</g>'
    )


def _family(op: str) -> str:
    return next(
        (
            family
            for family, words in _FAMILIES.items()
            if any(word in op.lower() for word in words)
        ),
        "other",
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
