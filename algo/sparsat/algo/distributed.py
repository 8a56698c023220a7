"""Several processes that train one model: what the first holds, all hold."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    """How many processes train together, 1 where `torch.distributed` is not set up."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def broadcast(tensors: Iterable[Tensor]) -> None:
    """Give the values of process 0 to all; every process calls this with the same shapes."""
    if processes() == 1:
        return
    for tensor in tensors:
        sent = tensor.contiguous()
        dist.broadcast(sent, 0)
        tensor.copy_(sent)
