"""Graphs whose operations are mixtures: through a graph network they climb as places in an
embedding do.

A node that is one of O operations becomes a share of each, as in DARTS (Liu et al. 2019), but under
a surrogate and not in a network that is trained. The edges stay. What comes out is no architecture,
so it is compared with some: by what the network reads in it.

Shapes: M graphs, P places for a graph's nodes, O operations of the encoding, A of them that a node
may be, K members, H features of a graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from predictors.boshnas.gobi import Ascent, climb
from predictors.network.ensemble import CHUNK, Networks
from predictors.reading.batch import UNKNOWN, Encoded
from predictors.reading.features import Encoding
from spaces.graph import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch import Tensor

# A node's own operation starts with this logit, the others with 0; none goes beyond the second
# number.
OWN, FURTHEST = 2.0, 4.0


def climb_operations(
    model: Networks,
    encoding: Encoding,
    encoded: Encoded,
    weights: tuple[float, float],
    ascent: Ascent,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """What the network reads (M, K H) where the graphs' operations end, and the shares of the
    operations there (M, P, O).

    What climbs is mean + weights[0] aleatoric + weights[1] epistemic, in normal scores, along the
    shares' logits. Inputs and outputs stay what they are, and so do the nodes' attributes and
    degrees.
    """
    import torch

    from predictors.network.layers import one_thread, to_tensors

    tensors = to_tensors(encoded, model.network.device)
    able_A = torch.tensor(
        [
            number
            for number, op in enumerate(encoding.nodes.ops)
            if number != UNKNOWN and op not in (INPUT.op, OUTPUT.op)
        ]
    )
    own_MPO = torch.nn.functional.one_hot(tensors.op_MP, encoding.num_ops).float()
    free_MP = tensors.present_MP & torch.isin(tensors.op_MP, able_A.to(tensors.op_MP.device))

    def shares(x_MD: Tensor) -> Tensor:
        mixed_MPA = (
            x_MD.to(own_MPO.device).unflatten(1, (own_MPO.shape[1], len(able_A))).softmax(-1)
        )
        mixed_MPO = torch.zeros_like(own_MPO).index_copy(2, able_A.to(own_MPO.device), mixed_MPA)
        return torch.where(free_MP[..., None], mixed_MPO, own_MPO)

    def read(x_MD: Tensor) -> Tensor:
        return model.network.read_graphs(
            tensors, torch.einsum("mpo,koh->kmph", shares(x_MD), model.network.op)
        )

    def bound(x_MD: Tensor) -> Tensor:
        mean_MK = model.network.judge(read(x_MD))
        # Where members agree exactly, a root has no slope.
        return (
            mean_MK.mean(1)
            + weights[0] * model.aleatoric
            + weights[1] * (mean_MK.var(1) + 1e-8).sqrt()
        ).cpu()

    start_MD = OWN * own_MPO[..., able_A].flatten(1).cpu().numpy()
    far_D = np.full(start_MD.shape[1], FURTHEST)
    end_MD, _ = climb(bound, start_MD, -far_D, far_D, ascent, seed)
    with torch.no_grad(), one_thread():
        end = torch.from_numpy(end_MD.astype(np.float32))
        return _flat(read(end)), shares(end).cpu().numpy()


def graph_features(model: Networks, encoded: Encoded) -> np.ndarray:
    """(M, K H) what the network reads in graphs as they are."""
    import torch

    from predictors.network.layers import one_thread, to_tensors

    network = model.network
    with torch.inference_mode(), one_thread():
        chunks = [to_tensors(chunk, network.device) for chunk in encoded.chunks(CHUNK)]
        return np.concatenate(
            [_flat(network.read_graphs(chunk, network.op[:, chunk.op_MP])) for chunk in chunks]
        )


def _flat(graph_KMH: Tensor) -> np.ndarray:
    return graph_KMH.transpose(0, 1).flatten(1).cpu().numpy()
