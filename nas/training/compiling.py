"""Compiles a network for its training with torch.compile, or says why that cannot be done."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nas.training.checkpoint import TrainingState


def compiled(state: TrainingState, try_out: Callable[[nn.Module], object]) -> tuple[nn.Module, str]:
    """The network compiled, which shares the weights of the module, and an empty text.

    If compiling fails, it is the module itself, and a sentence that says why. A network is compiled
    when it is first used, so it is tried out; afterwards the training's state is as before.

    Args:
        state: of the training, whose module is compiled.
        try_out: makes one step with the network that it is given.
    """
    before = state.pause(())
    try:
        network = torch.compile(state.module)
        try_out(network)  # type: ignore[arg-type]
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # The compiler may fail in any way, and the training goes on.
        # The text goes on with advice for who debugs the compiler.
        cause = (str(error).strip().splitlines() or ["it gives no reason"])[0]
        reason = f"torch.compile failed ({type(error).__name__}: {cause}): it trains uncompiled"
        return state.module, reason
    finally:
        state.resume(before)
        state.optimizer.zero_grad(set_to_none=True)
    return network, ""  # type: ignore[return-value]
