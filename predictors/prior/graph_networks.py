"""The trained graph networks of a prior, evaluated without torch.

A search asks thousands of architectures that are made of the same few parts. So a state is computed
once for all nodes that a network cannot tell apart: those whose neighbourhoods within as many edges
as there were layers are equal (colour refinement, Weisfeiler and Leman 1968).

Shapes: M graphs, N nodes of all of them, C nodes that differ, H the width, G heads of all networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictors.prior.kinds import KINDS
from predictors.prior.networks import Networks, whole_numbers
from predictors.prior.node_features import FEATURES

Arrays = Mapping[str, np.ndarray]
# Of `torch.nn.LayerNorm`.
_EPSILON = 1e-5
_DIRECTIONS = ("forwards", "backwards")


@dataclass(frozen=True, eq=False)
class GraphNetworks:
    """Networks that `encoder_training.pretrain` trained.

    Attributes:
        members: of each network what `encoder.Trained.arrays` gave.
    """

    members: tuple[Arrays, ...]

    def __len__(self) -> int:
        """G, the number of heads of all members."""
        return sum(len(member["network.head.bias"]) for member in self.members)

    def predict(self, networks: Networks) -> np.ndarray:
        """(M, G) what each head of each member says, the heads of a member in a row.

        It is computed in float64 and rounded to float32, so it does not depend on the other
        networks that are asked about at the same time.
        """
        found = np.zeros((len(networks), len(self)))
        if not found.size:
            return found
        steps = _refined(networks, max(_layers(member) for member in self.members))
        said = [_predict(member, networks, steps) for member in self.members]
        return np.concatenate(said, axis=1).astype(np.float32).astype(np.float64)

    def rows(self, networks: Networks) -> np.ndarray:
        """(M, R) the numbers of each network, and then what the heads say of it."""
        return np.column_stack([whole_numbers(networks), self.predict(networks)])

    def check(self) -> None:
        """Check that the arrays are those of networks that read these features.

        Raises:
            ValueError: they are not.
        """
        for member in self.members:
            width, inputs = _shape(member, "network.read.weight", 2)
            (heads,) = _shape(member, "network.head.bias", 1)
            if not width or not heads:
                raise ValueError("a network should have a width and heads")
            steps = ("feature_S", "middle_S", "width_S")
            if {_shape(member, f"steps.{name}", 1) for name in steps} != {(inputs - len(KINDS),)}:
                raise ValueError("a network reads another number of inputs than it has steps")
            feature_S, width_S = member["steps.feature_S"], member["steps.width_S"]
            if not ((feature_S >= 0) & (feature_S < len(FEATURES))).all():
                raise ValueError("a network reads features that nodes do not have")
            if not (width_S > 0).all():
                raise ValueError("the steps of a network should have a width above 0")
            for name, shape in _shapes(width, _layers(member), heads).items():
                if _shape(member, f"network.{name}", len(shape)) != shape:
                    raise ValueError(f"the weights {name} of a network should be {shape}")


# No network at all: the row of a network is its own numbers.
NO_NETWORKS = GraphNetworks(())


def _shape(member: Arrays, name: str, dimensions: int) -> tuple[int, ...]:
    """The shape of the array, which has so many dimensions."""
    if name not in member:
        raise ValueError(f"a network lacks the array {name}")
    if member[name].ndim != dimensions:
        raise ValueError(
            f"the array {name} of a network should have {dimensions} dimensions; it has "
            f"{member[name].ndim}"
        )
    return member[name].shape


def _shapes(width: int, layers: int, heads: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights behind the first ones."""
    square, row = (width, width), (width,)
    each = {
        **{f"{way}.lin_rel.weight": square for way in _DIRECTIONS},
        **{f"{way}.lin_root.weight": square for way in _DIRECTIONS},
        **{f"{way}.lin_rel.bias": row for way in _DIRECTIONS},
        "norm.weight": row,
        "norm.bias": row,
    }
    return {
        "read.bias": row,
        **{
            f"layers.{layer}.{name}": shape
            for layer in range(layers)
            for name, shape in each.items()
        },
        "neck.weight": (width, 2 * width),
        "neck.bias": row,
        "head.weight": (heads, width),
        "head.bias": (heads,),
    }


def _layers(member: Arrays) -> int:
    return len({name.split(".")[2] for name in member if name.startswith("network.layers.")})


@dataclass(frozen=True)
class _Layer:
    """The nodes that differ after a layer of messages, and those before it.

    Attributes:
        node_C: one of each, a node's number.
        own_C: which of the nodes that differed before the layer it is.
        messages: the matrix (C, 2 C') that averages what the nodes before the layer send, along the
            edges and then against them.
        pool_MC: how often a graph has each of them.
    """

    node_C: np.ndarray
    own_C: np.ndarray
    messages: Any
    pool_MC: Any


def _refined(networks: Networks, layers: int) -> list[_Layer]:
    """The nodes that differ before the first layer, and after each."""
    from scipy.sparse import csr_matrix, hstack

    count = len(networks.node_NF)
    sides = [
        _neighbours(networks.source_E, networks.target_E, count),
        _neighbours(networks.target_E, networks.source_E, count),
    ]
    row_N = np.ascontiguousarray(networks.node_NF)
    row_N = row_N.view(np.dtype((np.void, row_N.dtype.itemsize * row_N.shape[1]))).ravel()
    # Two sets of neighbours are told apart by sums of random numbers of 64 bits.
    random = np.random.default_rng(0)
    found: list[_Layer] = []
    before_N = np.zeros(count, dtype=np.int64)
    for layer in range(layers + 1):
        if layer:
            number_C3 = random.integers(2**63, size=(before_N.max() + 1, 3), dtype=np.uint64)
            row_N = number_C3[before_N, 0] + sum(
                side.summed(number_C3[before_N, place]) for place, side in enumerate(sides, 1)
            )
        _, node_C, colour_N = np.unique(row_N, return_index=True, return_inverse=True)
        pool_MC = csr_matrix(
            (np.ones(count), (networks.graph_N, colour_N)),
            shape=(len(networks), len(node_C)),
        )
        messages = hstack([side.averaging(node_C, before_N) for side in sides], format="csr")
        found.append(_Layer(node_C, before_N[node_C], messages, pool_MC))
        before_N = colour_N
    return found


@dataclass(frozen=True)
class _Neighbours:
    """The neighbours of all nodes on one side, one node after the other; a node may count twice.

    Attributes:
        node_E: the neighbours.
        begin_N: where those of each node begin; one more number is the end of the last.
    """

    node_E: np.ndarray
    begin_N: np.ndarray

    def summed(self, number_N: np.ndarray) -> np.ndarray:
        """(N,) the sum over each node's neighbours, modulo 2 ** 64."""
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(number_N[self.node_E])])
        return running[self.begin_N[1:]] - running[self.begin_N[:-1]]

    def averaging(self, node_C: np.ndarray, before_N: np.ndarray) -> Any:
        """The matrix (C, C') whose product with states is the mean over each node's neighbours."""
        from scipy.sparse import csr_matrix

        degree_C = self.begin_N[node_C + 1] - self.begin_N[node_C]
        begin_C = np.concatenate([[0], np.cumsum(degree_C)])
        place_E = np.arange(begin_C[-1]) + np.repeat(self.begin_N[node_C] - begin_C[:-1], degree_C)
        share_E = np.repeat(1 / np.maximum(degree_C, 1), degree_C)
        return csr_matrix(
            (share_E, before_N[self.node_E[place_E]], begin_C),
            shape=(len(node_C), int(before_N.max()) + 1),
        )


def _neighbours(node_E: np.ndarray, of_E: np.ndarray, count: int) -> _Neighbours:
    """The neighbours `node_E` of the nodes `of_E`."""
    begin_N = np.concatenate([[0], np.cumsum(np.bincount(of_E, minlength=count))])
    return _Neighbours(node_E[np.argsort(of_E, kind="stable")], begin_N)


def _predict(member: Arrays, networks: Networks, layers: Sequence[_Layer]) -> np.ndarray:
    """(M, heads) the same as `encoder.Trained.predict`, in float64."""

    def weight(name: str) -> np.ndarray:
        return np.asarray(member[f"network.{name}"], np.float64)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weight(f"{name}.weight").T + weight(f"{name}.bias")

    used = layers[: _layers(member) + 1]
    state = _silu(linear(_inputs(member, networks.node_NF[used[0].node_C]), "read"))
    for place, layer in enumerate(used[1:]):
        name = f"layers.{place}"
        root_2HH = [weight(f"{name}.{way}.lin_root.weight") for way in _DIRECTIONS]
        sent = [state @ weight(f"{name}.{way}.lin_rel.weight").T for way in _DIRECTIONS]
        bias_2H = [weight(f"{name}.{way}.lin_rel.bias") for way in _DIRECTIONS]
        total = layer.messages @ np.concatenate(sent)
        total += (state @ np.sum(root_2HH, 0).T + np.sum(bias_2H, 0))[layer.own_C]
        total -= total.mean(1, keepdims=True)
        spread = np.sqrt(np.einsum("ch,ch->c", total, total) / total.shape[1] + _EPSILON)
        total /= spread[:, None]
        total *= weight(f"{name}.norm.weight")
        total += weight(f"{name}.norm.bias")
        state = state[layer.own_C] + _silu(total)
    pool_MC = used[-1].pool_MC
    mean_MH = (pool_MC @ state) / np.asarray(pool_MC.sum(1))
    sum_MH = pool_MC @ _softplus(state)
    pooled = np.concatenate([mean_MH, np.log1p(sum_MH) - 4], axis=1)
    return linear(_silu(linear(pooled, "neck")), "head")


def _inputs(member: Arrays, node_CF: np.ndarray) -> np.ndarray:
    """(C, X) see `encoder.Steps.read`."""
    rising = (node_CF[:, member["steps.feature_S"]] - member["steps.middle_S"]) / member[
        "steps.width_S"
    ] + 0.5
    return np.concatenate([node_CF[:, : len(KINDS)], np.clip(rising, 0, 1)], axis=1)


def _silu(x: np.ndarray) -> np.ndarray:
    """x times its logistic function."""
    # `exp` is vectorised; a large one makes 0, as it should.
    with np.errstate(over="ignore"):
        return x / (1 + np.exp(-x))


def _softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x))."""
    return np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x)))
