"""What shape the operations give that move, join, cut or reduce dimensions."""

from __future__ import annotations

import math
from typing import Any

from spaces.ops.shapes import BATCH, Attributes, Shape, dimension, elements


def concatenation(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The sum of the sizes along `dim`; all other sizes must agree."""
    first = inputs[0]
    position = dimension(attributes["dim"], first)
    for shape in inputs[1:]:
        before, after = shape[:position], shape[position + 1 :]
        rank_agrees = len(shape) == len(first)
        if not rank_agrees or (before, after) != (first[:position], first[position + 1 :]):
            raise ValueError(f"all sizes but dim={attributes['dim']} must agree")
    total = sum(shape[position] for shape in inputs)
    return (*first[:position], total, *first[position + 1 :])


def stacking(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The inputs' common shape with a new dimension `dim`, whose size is their number."""
    position = dimension(attributes["dim"], inputs[0], extra=1)
    if any(shape != inputs[0] for shape in inputs):
        raise ValueError("all shapes must agree")
    return (*inputs[0][:position], len(inputs), *inputs[0][position:])


def flattening(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The dimensions from `start_dim` to `end_dim` merged into one."""
    shape = inputs[0]
    start = dimension(attributes["start_dim"], shape, batch=True)
    end = dimension(attributes["end_dim"], shape, batch=True)
    if BATCH in shape[start : end + 1] and start != end:
        raise ValueError(
            "flattening may not merge the batch with other dimensions: use start_dim=1"
        )
    if end <= start:
        return shape
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def unflattening(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The dimension `dim` split into `unflattened_size`."""
    shape, position = inputs[0], dimension(attributes["dim"], inputs[0])
    sizes = _solved(attributes["unflattened_size"], shape[position])
    return (*shape[:position], *sizes, *shape[position + 1 :])


def reshaping(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The sizes of `shape`, in which "batch" is the batch and -1 is inferred.

    Raises:
        ValueError: elements would move between samples, or their number would change.
    """
    shape, wanted = inputs[0], attributes["shape"]
    count = elements(shape)
    if BATCH not in shape:
        return _solved(wanted, count)
    if "batch" not in wanted:
        known = math.prod(size for size in wanted if size != -1)
        if -1 not in wanted or known != count:
            raise ValueError(
                f"shape={wanted} mixes the batch with other dimensions: give the batch its own "
                "place, as in x.reshape(x.shape[0], ...)"
            )
        wanted = tuple("batch" if size == -1 else size for size in wanted)
    place = wanted.index("batch")
    solved = _solved((*wanted[:place], *wanted[place + 1 :]), count)
    if math.prod(shape[: shape.index(BATCH)]) != math.prod(solved[:place]):
        raise ValueError(
            f"shape={wanted} moves elements between samples: permute the batch to the front before"
        )
    return (*solved[:place], BATCH, *solved[place:])


def _solved(wanted: Any, count: int) -> Shape:
    """`wanted` with its -1 replaced such that the product is `count`."""
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    known = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) > 1 or not known or count % known or (-1 not in wanted and known != count):
        raise ValueError(f"{count} elements cannot take the sizes {wanted}")
    return tuple(count // known if size == -1 else size for size in wanted)


def expansion(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The sizes of `shape`, in which "batch" is the batch and -1 keeps a size.

    Only dimensions of size 1 change, by repetition; missing ones in front count as size 1.
    """
    wanted = attributes["shape"]
    if len(wanted) < len(inputs[0]):
        raise ValueError(f"shape={wanted} has fewer dimensions than the input")
    shape = (1,) * (len(wanted) - len(inputs[0])) + inputs[0]
    result = tuple(
        size if want == -1 else BATCH if want == "batch" else want
        for size, want in zip(shape, wanted, strict=True)
    )
    fits = all(size in (1, want) for size, want in zip(shape, result, strict=True))
    if not fits or result.count(BATCH) > 1:
        raise ValueError(f"only dimensions of size 1 can be expanded to shape={wanted}")
    return result


def permutation(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The dimensions in the order of `dims`."""
    dims = [dimension(dim, inputs[0], batch=True) for dim in attributes["dims"]]
    if sorted(dims) != list(range(len(inputs[0]))):
        raise ValueError(
            f"dims={attributes['dims']} must name each of the {len(inputs[0])} dimensions once"
        )
    return tuple(inputs[0][dim] for dim in dims)


def transposition(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Two dimensions exchanged."""
    first = dimension(attributes["dim0"], inputs[0], batch=True)
    second = dimension(attributes["dim1"], inputs[0], batch=True)
    shape = list(inputs[0])
    shape[first], shape[second] = shape[second], shape[first]
    return tuple(shape)


def squeezing(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's shape without those dimensions of `dim` that have size 1."""
    dims = attributes["dim"] if isinstance(attributes["dim"], tuple) else (attributes["dim"],)
    positions = [dimension(dim, inputs[0], batch=True) for dim in dims]
    removed = {position for position in positions if inputs[0][position] == 1}
    return tuple(size for position, size in enumerate(inputs[0]) if position not in removed)


def unsqueezing(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's shape with a new dimension of size 1 at `dim`."""
    position = dimension(attributes["dim"], inputs[0], extra=1)
    return (*inputs[0][:position], 1, *inputs[0][position:])


def reduction(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's shape without the dimensions `dim`, or with size 1 there if `keepdim`."""
    dims = attributes["dim"] if isinstance(attributes["dim"], tuple) else (attributes["dim"],)
    removed = {dimension(dim, inputs[0]) for dim in dims}
    if attributes["keepdim"]:
        return tuple(1 if position in removed else size for position, size in enumerate(inputs[0]))
    return tuple(size for position, size in enumerate(inputs[0]) if position not in removed)


def part(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape of piece number `index` of `chunk` or `split`."""
    position = dimension(attributes["dim"], inputs[0])
    size = inputs[0][position]
    sizes = piece_sizes(attributes, size)
    if not 0 <= attributes["index"] < len(sizes) or sum(sizes) != size:
        raise ValueError(
            f"the size {size} of dim={attributes['dim']} is cut into {sizes}, which has no piece "
            f"{attributes['index']}"
        )
    return (*inputs[0][:position], sizes[attributes["index"]], *inputs[0][position + 1 :])


def piece_sizes(attributes: Attributes, size: int) -> Shape:
    """The sizes of the pieces into which a dimension of `size` is cut.

    `split` has the attribute `split_size`, a size or several, and `chunk` has `chunks`, a number.
    """
    if isinstance(attributes.get("split_size"), tuple):
        return attributes["split_size"]
    if "split_size" in attributes:
        step = attributes["split_size"]
    else:
        step = -(-size // attributes["chunks"])
    return tuple(min(step, size - start) for start in range(0, size, step))


def indexing(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape of `x[index]`.

    Each item of `index` is a whole number, None, "..." or a slice written (start, stop, step).
    """
    index, shape = attributes["index"], inputs[0]
    taken = sum(1 for item in index if item is not None and item != "...")
    if taken > len(shape) or index.count("...") > 1:
        raise ValueError(f"the index has {taken} places")
    filled = list(index) if "..." in index else [*index, "..."]
    position, result = 0, []
    for item in filled:
        if item is None:
            result.append(1)
        elif item == "...":
            result += shape[position : position + len(shape) - taken]
            position += len(shape) - taken
        elif shape[position] == BATCH:
            if item != (None, None, None):
                raise ValueError("samples of the batch cannot be picked: index it with `:`")
            result.append(BATCH)
            position += 1
        else:
            size, position = shape[position], position + 1
            if isinstance(item, tuple):
                result.append(len(range(*slice(*item).indices(size))))
            elif not -size <= item < size:
                raise ValueError(f"the index {item} is outside of a dimension of size {size}")
    return tuple(result)
