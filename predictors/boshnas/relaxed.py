"""Gradient ascent on the operations of graphs, relaxed to mixtures, through the graph network.

The operation of a node becomes a mixture of all operations, as in DARTS (Liu et al. 2019), but as
the input of a surrogate and not in a trained supernet. The edges stay fixed. The result is not an
architecture, so it is compared with architectures by the graph features that the network computes.

Shapes: M graphs, P padded node positions, O operations of the encoding, A of them that an inner
node may have, K members, H features of a graph, D = P A logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from predictors.boshnas.gobi import Ascent, climb
from predictors.network.ensemble import CHUNK, Networks
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from predictors.reading.node_columns import UNKNOWN
from spaces.graph import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch import Tensor

# The initial logit of a node's own operation, where the other operations have 0, and the bound of
# all logits.
OWN, FURTHEST = 2.0, 4.0


def climb_operations(
    model: Networks,
    encoding: Encoding,
    encoded: Encoded,
    weights: tuple[float, float],
    ascent: Ascent,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The features of the graphs after the ascent (M, K H), and their mixtures (M, P, O).

    The ascent maximises mean + weights[0] aleatoric + weights[1] epistemic, in normal scores, over
    the logits of the mixtures. Input and output nodes stay fixed, and so do the attributes and
    degrees of all nodes.

    Args:
        model: the trained ensemble.
        encoding, encoded: the encoding, and the M graphs from which the ascent starts.
        weights: the weights of the two uncertainties.
        ascent, seed: see `climb`.
    """
    import torch

    from predictors.network.layers import one_thread, to_tensors

    tensors = to_tensors(encoded, model.network.device)
    inner_ops = [
        number
        for number, op in enumerate(encoding.nodes.ops)
        if number != UNKNOWN and op not in (INPUT.op, OUTPUT.op)
    ]
    able_A = torch.tensor(inner_ops)
    device = model.network.device
    own_MPO = torch.nn.functional.one_hot(tensors.op_MP, encoding.num_ops).float()
    free_MP = tensors.present_MP & torch.isin(tensors.op_MP, able_A.to(device))

    def shares(x_MD: Tensor) -> Tensor:
        logit_MPA = x_MD.to(device).unflatten(1, (own_MPO.shape[1], len(able_A)))
        mixed_MPO = torch.zeros_like(own_MPO).index_copy(
            2, able_A.to(device), logit_MPA.softmax(-1)
        )
        return torch.where(free_MP[..., None], mixed_MPO, own_MPO)

    def read(x_MD: Tensor) -> Tensor:
        op_KMPH = torch.einsum("mpo,koh->kmph", shares(x_MD), model.network.op)
        return model.network.read_graphs(tensors, op_KMPH)

    def bound(x_MD: Tensor) -> Tensor:
        mean_MK = model.network.head(read(x_MD))
        # The root has no derivative at 0, where all members agree.
        epistemic_M = (mean_MK.var(1) + 1e-8).sqrt()
        bound_M = mean_MK.mean(1) + weights[0] * model.aleatoric + weights[1] * epistemic_M
        return bound_M.cpu()

    start_MD = OWN * own_MPO[..., able_A].flatten(1).cpu().numpy()
    far_D = np.full(start_MD.shape[1], FURTHEST)
    end_MD, _ = climb(bound, start_MD, -far_D, far_D, ascent, seed)
    with torch.no_grad(), one_thread():
        end = torch.from_numpy(end_MD.astype(np.float32))
        return _flat(read(end)), shares(end).cpu().numpy()


def graph_features(model: Networks, encoded: Encoded) -> np.ndarray:
    """(M, K H) the features of graphs that have their own operations."""
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
