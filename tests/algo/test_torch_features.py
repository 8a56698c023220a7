"""A prepared model under the rest of PyTorch: compile, autocast, accumulation, attention, DDP."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sparsat.algo import NMConfig, prepare

EVERYWHERE: Any = ()  # nothing excluded


def mlp() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))


def batch(rows: int = 8) -> Tensor:
    return torch.randn(rows, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # PyTorch's own tracing does
@pytest.mark.parametrize("method", ["bdwp", "sdgp", "maskllm"])
def test_compiled_step_equals_eager(method: str) -> None:
    def two_steps(compiled: bool) -> list[Tensor]:
        model = mlp()
        handle = prepare(model, NMConfig(method, exclude=EVERYWHERE, total_steps=4))
        optimizer = torch.optim.SGD(handle.parameters(), lr=0.1)
        run: Any = model
        if compiled:
            run = torch.compile(model, backend="aot_eager", fullgraph=True)
        run.eval() if method == "maskllm" else run.train()
        for _ in range(2):
            optimizer.zero_grad()
            loss = run(batch()).square().mean()
            if loss.requires_grad:
                loss.backward()
            optimizer.step()
            handle.step()
        return [run(batch()), *(p.detach() for p in model.parameters())]

    torch.testing.assert_close(two_steps(True), two_steps(False))


def test_decay_is_added_once_under_accumulation_and_scaling() -> None:
    """Whatever the loss scale and the number of backwards, the optimizer sees dw + λ·(w - wf)."""
    torch.manual_seed(0)
    layer: Any = nn.Linear(16, 16, bias=False)
    handle = prepare(nn.Sequential(layer), NMConfig("sr-ste", exclude=EVERYWHERE, decay=0.5))
    w = layer.weight.detach().clone()
    pruned = w - handle.sites[0].held("ff")
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for part in batch().chunk(4):
        scaler.scale(layer(part).sum()).backward()
    scaler.step(optimizer)
    dw = batch().sum(0).expand(16, 16)
    torch.testing.assert_close(layer.weight.detach(), w - dw - 0.5 * pruned)


def test_an_optimizer_with_a_closure_is_refused() -> None:
    """Its gradients would come after the decay."""
    model = mlp()
    handle = prepare(model, NMConfig("sr-ste", exclude=EVERYWHERE))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure() -> Tensor:
        loss = model(batch()).sum()
        loss.backward()
        return loss

    for call in (lambda: optimizer.step(closure), lambda: optimizer.step(closure=closure)):
        with pytest.raises(RuntimeError, match=r"optimizer\.step\(closure\) computes gradients"):
            call()
    handle.finalize()
    optimizer.step(closure)


def test_accumulated_gradients_equal_one_batch() -> None:
    grads = []
    for parts in (1, 4):
        model = mlp()
        prepare(model, NMConfig("bdwp", exclude=EVERYWHERE))
        for part in batch().chunk(parts):
            model(part).sum().backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("method", ["bdwp", "sdwp", "sdgp", "mvue", "pdp"])
def test_autocast_computes_in_low_precision_and_trains_in_fp32(method: str) -> None:
    model = mlp()
    prepare(model, NMConfig(method, exclude=EVERYWHERE, total_steps=4))
    x = batch().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
    torch.testing.assert_close(y.float(), model(x), atol=0.05, rtol=0.05)


def attention_inputs(batch_first: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, 5, 16, generator=generator)
    memory = torch.randn(3, 7, 16, generator=generator)
    return (x, memory) if batch_first else (x.transpose(0, 1), memory.transpose(0, 1))


def pruned_attention(module: Any) -> Any:
    """A plain copy whose projections hold the forward-pruned weights."""
    plain = copy.deepcopy(module)
    prepare(plain, NMConfig("ste", exclude=EVERYWHERE)).finalize()
    return plain


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_equals_torch_with_pruned_weights(batch_first: bool, need_weights: bool) -> None:
    torch.manual_seed(3)
    module: Any = nn.MultiheadAttention(16, 4, batch_first=batch_first)
    plain = pruned_attention(module)
    prepare(module, NMConfig("ste", exclude=EVERYWHERE))
    x, memory = attention_inputs(batch_first)
    causal = torch.ones(5, 5).triu(1).bool()
    padding = torch.zeros(3, 7).bool()
    padding[1, 4:] = True
    for args, kwargs in (
        ((x, x, x), {}),
        ((x, x, x), dict(attn_mask=causal, is_causal=True)),
        ((x, x, x), dict(attn_mask=torch.randn(12, 5, 5))),
        ((x, memory, memory), dict(key_padding_mask=padding)),
        ((x, x, x), dict(attn_mask=causal, key_padding_mask=padding[:, :5])),
        ((x, memory, memory), dict(average_attn_weights=False)),
    ):
        got = module(*args, need_weights=need_weights, **kwargs)
        expected = plain(*args, need_weights=need_weights, **kwargs)
        torch.testing.assert_close(got, expected)
    one = x[0] if batch_first else x[:, 0]
    torch.testing.assert_close(module(one, one, one), plain(one, one, one))


def test_attention_with_other_key_and_value_sizes() -> None:
    torch.manual_seed(3)
    module: Any = nn.MultiheadAttention(16, 4, kdim=8, vdim=24, batch_first=True)
    plain = pruned_attention(module)
    handle = prepare(module, NMConfig("bdwp", exclude=EVERYWHERE))
    assert [s.name for s in handle.report.sparse] == [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "out_proj.weight",
    ]
    args = (torch.randn(2, 5, 16), torch.randn(2, 6, 8), torch.randn(2, 6, 24))
    torch.testing.assert_close(module(*args), plain(*args))


def test_attention_backward_uses_the_backward_weight_in_every_projection() -> None:
    torch.manual_seed(4)
    module: Any = nn.MultiheadAttention(16, 4, batch_first=True).double()
    split = copy.deepcopy(module)
    for m in (module, split):
        prepare(m, NMConfig("bdwp", exclude=EVERYWHERE))
    x = torch.randn(2, 5, 16, dtype=torch.double)
    a, b = (x.clone().requires_grad_() for _ in range(2))
    module(a, a, a)[0].sum().backward()  # one GEMM for the three projections
    split(b, b.clone(), b.clone())[0].sum().backward()  # three
    torch.testing.assert_close(a.grad, b.grad)
    grads = [[p.grad for p in m.parameters()] for m in (module, split)]
    torch.testing.assert_close(grads[0], grads[1])


def test_attention_with_one_indivisible_part_keeps_it_dense() -> None:
    module = nn.MultiheadAttention(16, 4, kdim=12, batch_first=True)
    report = prepare(module, NMConfig("bdwp", exclude=EVERYWHERE)).report
    assert [(s.name, s.reason) for s in report.skipped] == [
        ("k_proj_weight", "input features 12 is not a multiple of 8")
    ]
    module(torch.randn(2, 5, 16), torch.randn(2, 5, 12), torch.randn(2, 5, 16))


def test_transformer_encoder_uses_sparse_weights_in_eval() -> None:
    """PyTorch's fused inference path would read the dense weights."""
    torch.manual_seed(5)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, dropout=0.0)
    model: Any = nn.TransformerEncoder(layer, 2)
    handle = prepare(model, NMConfig("bdwp", exclude=EVERYWHERE))
    x, _ = attention_inputs(True)
    padding = torch.zeros(3, 5).bool()
    padding[1, 3:] = True
    trained = model(x), model(x, src_key_padding_mask=padding)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x), trained[0])
        torch.testing.assert_close(model(x, src_key_padding_mask=padding), trained[1])
        handle.finalize()
        torch.testing.assert_close(model(x), trained[0])


@pytest.fixture
def process_group(tmp_path: Any) -> Iterator[None]:
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


def test_ddp_trains_as_without(process_group: None) -> None:
    results = []
    for wrap in (True, False):
        model = mlp()
        handle = prepare(model, NMConfig("bdwp", exclude=EVERYWHERE))
        run = nn.parallel.DistributedDataParallel(model) if wrap else model
        optimizer = torch.optim.SGD(run.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            run(batch()).square().mean().backward()
            optimizer.step()
            handle.step()
        assert handle.verify() == []
        results.append([p.detach() for p in model.parameters()])
        assert len(run.state_dict()) == 4
    torch.testing.assert_close(results[0], results[1])
