"""The SVG elements of a drawing: boxes with colours by family of operation, edges with marks."""

from __future__ import annotations

from html import escape

from spaces.graph import Graph, Node
from spaces.picture import Box, Picture

# For each family of operations the colours of the fill and of the outline.
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
# An operation belongs to the first family that has a word which the operation's name contains.
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
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK = "#212b36"
_FAINT, _LINE = "#5c6873", "#8a96a3"


def drawn_edges(graph: Graph, picture: Picture) -> list[str]:
    """The lines, the arrowheads and the marks of all edges."""
    # Arrowheads are drawn instead of referred to by an id: one page may hold several drawings.
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
            if ordered and len(graph.incoming[target]) > 1:
                marks.append(_mark(", ".join(map(str, sorted(slots[source]))), *middle))
            elif count > 1:
                marks.append(_mark(f"{count}×", *middle))
    return [
        f'<g fill="none" stroke="{_LINE}" stroke-width="1.4">',
        *lines,
        "</g>",
        f'<path d="{"".join(heads)}" fill="{_LINE}"/>',
        *marks,
    ]


def _path(
    picture: Picture, source: int, target: int, port: float
) -> tuple[str, tuple[float, float]]:
    """The curve from below one box to a point above another, and the middle of its last bow.

    `port` is the x at which the edge enters the target.
    """
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


def drawn_box(item: Node, box: Box) -> str:
    """The box of a node, with the node's full attributes as its tooltip."""
    family = _family(item.op)
    fill, outline = _COLOURS[family]
    dashes = ' stroke-dasharray="4 3"' if family == "nothing" else ""
    rounded = box.height / 2 if family in ("end", "combination") and not box.small else 7.0
    name_y = box.y - 3 if box.small else box.y + 4.5
    tooltip = f"{item} at {item.label}" if item.label else str(item)
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
        f'fill="{INK}">{escape(box.name)}</text>{small}</g>'
    )


def _family(op: str) -> str:
    name = op.lower()
    for family, words in _FAMILIES.items():
        if any(word in name for word in words):
            return family
    return "other"
