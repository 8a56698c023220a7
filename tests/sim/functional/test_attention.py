"""Attention's two products with heads as EXEC's products, against golden GEMMs head by head."""

import numpy as np
import pytest
import torch

from machine_layout import Image, activations, image_bytes, read_activations, up
from machine_programs import Machine
from sparsat.algo.golden import gemm
from sparsat.algo.patterns import NMPattern
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Store,
)
from sparsat.sim.functional import run

IMAGES, HEADS, DEPTH = 2, 2, 16
TINY, SMALL = (preset(name).with_(c_scratch_kib=64) for name in ("tiny", "small"))
CARD = preset("vcu1525")


def scores_program(machine: Machine, tokens: int, q: int, k: int, s: int) -> list[Instruction]:
    """S [image, head · token, token] = Q·Kᵀ, one image a chunk; K is transposed on its way in."""
    config, m = machine.config, machine.pattern.m
    channels, blocks = HEADS * DEPTH, -(-tokens // config.cols)
    shape = (IMAGES, tokens, channels)
    padded = up(tokens, config.block)
    row_bytes = padded * 2
    return [
        LoadA(**machine.load_images(q, shape, 1)),
        LoadB(
            **machine.load_images(k, shape, 1),
            mode=Mode.TRANSPOSE,
            tokens=tokens,
            channels=channels,
        ),
        Exec(
            **machine.array(),
            **machine.tiles(tokens, blocks, DEPTH // m),
            inner=IMAGES,
            a_advance=Advance.EVERY,
            b_advance=Advance.EVERY,
            c_advance=Advance.EVERY,
            products0=HEADS,
            r0_count=tokens,
            r0_a=channels,
            r0_x=1,
            width=tokens,
            k0_count=DEPTH // m,
            k0_a=m,
            a_product0=DEPTH,
            b_n=1,
            b_k0=m,
            q0_count=4096,
            b_q0=channels,
            b_product0=DEPTH,
            c_p=blocks,
            c_q=1,
            c_product0=tokens * blocks,
        ),
        Store(
            address=s,
            inner=IMAGES,
            inner_stride=image_bytes(config, (HEADS * tokens, tokens)),
            rows=blocks,
            d1_count=HEADS * tokens,
            d1_c=blocks,
            d1_stride=row_bytes,
        ),
        Halt(),
    ]


def context_program(machine: Machine, tokens: int, s: int, v: int, y: int) -> list[Instruction]:
    """Y [image, token, head · depth] = S·V, s-words of V; the heads' columns lie side by side."""
    config, m = machine.config, machine.pattern.m
    channels, padded = HEADS * DEPTH, up(tokens, config.block)
    rows, blocks = channels // config.cols, DEPTH // config.cols
    return [
        LoadA(**machine.load_images(s, (IMAGES, HEADS * tokens, tokens), 1)),
        LoadB(**machine.load_images(v, (IMAGES, tokens, channels), 1)),
        Exec(
            **machine.array(b_mn=1),
            **machine.tiles(tokens, blocks, tokens // m),
            inner=IMAGES,
            a_advance=Advance.EVERY,
            b_advance=Advance.EVERY,
            c_advance=Advance.EVERY,
            products1=HEADS,
            r0_count=tokens,
            r0_a=padded,
            k0_count=tokens // m,
            k0_a=m,
            a_product1=tokens * padded,
            b_n=rows,
            b_k0=m * rows,
            q0_count=4096,
            b_q0=1,
            b_product1=blocks,
            c_p=rows,
            c_q=1,
            c_product1=blocks,
        ),
        Store(
            address=y,
            inner=IMAGES,
            inner_stride=image_bytes(config, (tokens, channels)),
            rows=tokens * rows,
        ),
        Halt(),
    ]


def tokens_of(count: int, width: int) -> torch.Tensor:
    return torch.randn(IMAGES, count, width).half()


@pytest.mark.parametrize(("config", "tokens"), [(TINY, 10), (TINY, 16), (SMALL, 13), (CARD, 13)])
def test_scores(config: SATConfig, tokens: int) -> None:
    torch.manual_seed(3)
    q, k = tokens_of(tokens, HEADS * DEPTH), tokens_of(tokens, HEADS * DEPTH)
    image = Image(config)
    q_at, k_at = image.put(activations(config, q)), image.put(activations(config, k))
    shape = (IMAGES, HEADS * tokens, tokens)
    s_at = image.room(IMAGES * image_bytes(config, shape[1:]))
    memory = image.memory()
    machine = Machine(config, NMPattern(8, 8), ir=3, is_=2)
    run(config, scores_program(machine, tokens, q_at, k_at, s_at), memory)
    got = read_activations(config, memory, s_at, shape).reshape(IMAGES, HEADS, tokens, tokens)
    for n, h in np.ndindex(IMAGES, HEADS):
        own = slice(h * DEPTH, (h + 1) * DEPTH)
        expected = gemm(q[n, :, own], k[n, :, own].t())
        assert torch.equal(got[n, h], expected.half())


@pytest.mark.parametrize(("config", "tokens"), [(TINY, 12), (TINY, 16), (SMALL, 20)])
def test_context(config: SATConfig, tokens: int) -> None:
    torch.manual_seed(4)
    s, v = tokens_of(HEADS * tokens, tokens), tokens_of(tokens, HEADS * DEPTH)
    image = Image(config)
    s_at, v_at = image.put(activations(config, s)), image.put(activations(config, v))
    shape = (IMAGES, tokens, HEADS * DEPTH)
    y_at = image.room(IMAGES * image_bytes(config, shape[1:]))
    memory = image.memory()
    machine = Machine(config, NMPattern(4, 4), ir=2, is_=3)
    run(config, context_program(machine, tokens, s_at, v_at, y_at), memory)
    got = read_activations(config, memory, y_at, shape)
    for n, h in np.ndindex(IMAGES, HEADS):
        own = slice(h * DEPTH, (h + 1) * DEPTH)
        expected = gemm(s[n, h * tokens : (h + 1) * tokens], v[n, :, own])
        assert torch.equal(got[n, :, own], expected.half())
