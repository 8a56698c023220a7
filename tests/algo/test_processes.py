"""Two processes that start from other weights and see other data train one model."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparsat.algo import NMConfig, prepare

METHODS = {"transposable": {"refresh_every": 1}, "bi-mask": {"search_every": 1}, "wanda": {}}


def test_processes_agree_on_weights_and_masks(tmp_path: Path) -> None:
    mp.spawn(_work, (str(tmp_path / "rendezvous"),), nprocs=2)  # type: ignore[no-untyped-call]


def _work(rank: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    for method, options in METHODS.items():
        torch.manual_seed(rank)
        model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Linear(32, 16))
        handle = prepare(model, NMConfig(method, exclude=(), options=options))
        handle.calibrate([torch.randn(32, 16)])
        _check_equal(method, model, handle)
        _train(model, handle)
        _check_equal(method, model, handle)
    with pytest.raises(ValueError, match="maskllm trains parameters that no other process sees"):
        prepare(nn.Sequential(nn.Linear(16, 16)), NMConfig("maskllm", exclude=(), total_steps=2))
    dist.destroy_process_group()


def _train(model: nn.Module, handle: Any) -> None:
    run = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(run.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        run(torch.randn(8, 16)).square().mean().backward()
        optimizer.step()
        handle.step()
    assert handle.verify() == []


def _state(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and what is derived from them; a batch norm's statistics are each process's."""
    return [(n, t) for n, t in [*model.named_parameters(), *model.named_buffers()] if "1." not in n]


def _check_equal(method: str, model: nn.Module, handle: Any) -> None:
    for name, tensor in [*_state(model), *handle.export_masks().items()]:
        mine = tensor.detach().float().contiguous()
        both = [torch.empty_like(mine) for _ in range(2)]
        dist.all_gather(both, mine)
        assert torch.equal(*both), f"{method}: {name}"
