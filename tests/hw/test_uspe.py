"""A cell driven by hand-made control words, with IEEE words at its links."""

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from blocks import simulate
from sparsat.hw.array_op import ACC_LOOP
from sparsat.hw.config import SATConfig, preset
from sparsat.hw.edges import ColTop
from sparsat.hw.float.oracle import multiply_accumulate
from sparsat.hw.float.pack import StoreAccumulator
from sparsat.hw.float.unpack import ToRow
from sparsat.hw.uspe import USPE, col_link, control_layout, row_link

TINY = preset("tiny")
IR, IS, M = 2, 2, 8
AB_IN, C_IN, CTL_IN = 3, 1, 1  # cycles from the ports below to where the orders are obeyed
OUT = 3  # cycles from a sum's last stage to the port below
READ, WRITE = 3, 6  # stages of a summand and of its sum


class Cell(wiring.Component):
    """A cell whose `a`, `b`, `c` are operand and binary32 words, and so is what goes south."""

    def __init__(self, config: SATConfig):
        self.config = config
        operand = config.fmt.width
        super().__init__(
            {f"a{n}": In(operand) for n in range(config.a_link)}
            | {"b": In(operand), "index": In(config.index_bits), "c": In(32), "south": Out(32)}
            | {"ctl": In(control_layout(config))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell = cell = USPE(config=self.config)
        m.submodules.top = top = ColTop(config=self.config)
        m.submodules.store = store = StoreAccumulator()
        for n in range(self.config.a_link):
            m.submodules[f"row_{n}"] = row = ToRow(fmt=self.config.fmt)
            m.d.comb += [row.i.eq(getattr(self, f"a{n}")), cell.a[f"v{n}"].eq(row.o)]
        m.d.comb += [
            top.word.value.eq(self.b),
            top.word.index.eq(self.index),
            top.sum.eq(self.c),
            cell.b.eq(top.b),
            cell.c.eq(top.c),
            cell.ctl.eq(self.ctl),
            store.i.eq(cell.c_out),
            self.south.eq(store.o),
        ]
        return m


class Script:
    """Words and orders by cycle. An order given for cycle t is in the cell's stage 0 at t."""

    def __init__(self, config: SATConfig):
        self.config = config
        self.ports: dict[int, dict[str, int]] = defaultdict(dict)
        self.orders: dict[int, dict[str, int]] = defaultdict(lambda: {"fresh": 1})
        self.expected: dict[int, int] = {}

    def load_a(self, at: int, half: int, words: np.ndarray) -> None:
        """Store words from cycle `at` on, `a_link` in each."""
        link = self.config.a_link
        for n, pair in enumerate(words.reshape(-1, link)):
            self.ports[at + n - AB_IN] |= {f"a{v}": int(word) for v, word in enumerate(pair)}
            address = half * self.config.a_regs // link + n
            self.orders[at + n] |= {"a_we": 1, "a_waddr": address}

    def load_b(self, at: int, half: int, words: np.ndarray, indices: np.ndarray) -> None:
        for n, (word, index) in enumerate(zip(words.flat, indices.flat, strict=True)):
            self.ports[at + n - AB_IN] |= {"b": int(word), "index": int(index)}
            self.orders[at + n] |= {"b_we": 1, "b_waddr": half * self.config.b_regs + n}

    def load_x(self, at: int, address: int, word: int) -> None:
        self.ports[at - C_IN]["c"] = word
        self.orders[at] |= {"x_we": 1, "x_waddr": address}

    def multiply(self, at: int, a: int, b: int, j: int, start: int | None = None) -> None:
        """Add A[a | index] · B[b] to sum j, which starts from 0, or from x[start - 1]."""
        self.orders[at]["b_raddr"] = b
        self.orders[at + 1]["a_base"] = a
        if start is None:
            self.orders[at + READ] |= {"fresh": 0, "w_raddr": j}
        elif start:
            self.orders[at + READ] |= {"fresh": 0, "from_x": 1, "x_raddr": start - 1}
        self.orders[at + WRITE] |= {"w_we": 1, "w_waddr": j}

    def expect(self, at: int, word: int) -> None:
        """What goes south of the operation in stage 0 at cycle `at`."""
        self.expected[at + WRITE] = word

    def pass_south(self, at: int, address: int, word: int) -> None:
        self.orders[at] |= {"south_x": 1, "x_raddr": address}
        self.expected[at] = word

    def run(self) -> None:
        assert self.expected
        dut = Cell(self.config)
        south: dict[int, int] = {}
        first = min(self.ports)

        async def testbench(ctx):
            for cycle in range(first, max(self.expected) + OUT + 1):
                for name, word in self.ports[cycle].items():
                    ctx.set(getattr(dut, name), word)
                ctx.set(dut.ctl, self.orders[cycle + CTL_IN])
                south[cycle - OUT] = ctx.get(dut.south)
                await ctx.tick()

        simulate(dut, testbench)
        assert {cycle: south[cycle] for cycle in self.expected} == self.expected


def words(seed: int, *shape: int) -> np.ndarray:
    """FP16 words of moderate size."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16).view(np.uint16)


def add(sums: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sums after one more product each, by the independent model."""
    shape = np.broadcast_shapes(sums.shape, a.shape, b.shape)
    flat = [np.ascontiguousarray(np.broadcast_to(x, shape)).reshape(-1) for x in (a, b, sums)]
    return multiply_accumulate(TINY.fmt, *flat).reshape(shape)


def tile(script: Script, groups: int, n: int, *, start: np.ndarray | None = None) -> int:
    """Script `groups` k-groups of a micro-tile back to back; loads one while the last computes.

    Dense where n is M. Sums start from `start` [IR, IS], which enters through x, or from 0.
    Returns the cycle of the last multiplication.
    """
    rng = np.random.default_rng(n)
    sums = np.zeros((IR, IS), np.uint32) if start is None else start
    rows, columns = np.ogrid[:IR, :IS]
    if start is not None:
        for j, word in enumerate(start.flat):
            script.load_x(-IR * IS + j, j, int(word))
    slot = max(n * IR * IS, IR * M // script.config.a_link)
    issue = 0
    for group in range(groups):
        begin, half = group * slot, group % 2
        a, b = words(10 + group, IR, M), words(20 + group, IS, n)
        kept = np.sort([rng.permutation(M)[:n] for _ in range(IS)], -1)
        indices = np.zeros_like(kept) if n == M else kept
        script.load_a(begin - slot, half, a)
        script.load_b(begin - slot, half, b, indices)
        for k in range(n):
            sums = add(sums, a[rows, kept[columns, k]], b[columns, k])
            for j in range(IR * IS):
                ir, is_ = divmod(j, IS)
                issue = begin + k * IR * IS + j
                a_at = half * script.config.a_regs + ir * M + (k if n == M else 0)
                b_at = half * script.config.b_regs + is_ * n + k
                source = None if group or k else 0 if start is None else j + 1
                script.multiply(issue, a_at, b_at, j, source)
                script.expect(issue, int(sums[ir, is_]))
    return issue


@pytest.mark.parametrize("a_link", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 3, M], ids=lambda n: f"{n}of{M}")
def test_sums_of_a_micro_tile(n, a_link):
    """One multiplication per cycle, while the other buffers take the next group."""
    assert IR * IS == ACC_LOOP
    script = Script(TINY.with_(a_link=a_link))
    tile(script, 3, n)
    script.run()


@pytest.mark.parametrize("a_link", [1, 2])
def test_sums_resume_from_words_of_the_north(a_link):
    script = Script(TINY.with_(a_link=a_link))
    tile(script, 2, 2, start=np.array([[1.5, 0], [-1e6, 2.0**-40]], "f4").view(np.uint32))
    script.run()


def test_exchanged_sums_pass_south():
    """From both halves of the exchange memory, in any order."""
    script, rng = Script(TINY), random.Random(3)
    last = tile(script, 1, 4)
    depth = 2 * TINY.depth
    values = [rng.getrandbits(30) | 1 << 29 for _ in range(depth)]  # normal numbers
    for address, word in enumerate(values):
        script.load_x(1 + address, address, word)
    for n, address in enumerate(rng.sample(range(depth), depth)):
        script.pass_south(last + WRITE + 40 + n, address, values[address])
    script.run()


def test_a_sum_written_in_one_cycle_is_passed_on_in_the_next():
    script = Script(TINY)
    for n in range(10):
        script.load_x(n, 5, 0x3F80_0000 + n)
        script.pass_south(n + 1, 5, 0x3F80_0000 + n)
    script.run()


@pytest.mark.parametrize("apart", [ACC_LOOP - 1, ACC_LOOP])
def test_a_sum_can_be_read_again_after_the_adders_loop(apart):
    """And not one cycle earlier: then the value before is read, here a zero."""
    a, b = words(1, M), words(2, 1)
    zero = np.zeros(1, np.uint32)
    first = add(zero, a[:1], b)
    script = Script(TINY)
    script.load_a(0, 0, a)
    script.load_b(0, 0, b, np.zeros(1, int))
    script.load_a(M, 1, np.zeros(M, np.uint16))
    script.multiply(30, TINY.a_regs, 0, 0, 0)
    script.multiply(40, 0, 0, 0, 0)
    script.multiply(40 + apart, 1, 0, 0)
    second = add(first if apart == ACC_LOOP else zero, a[1:2], b)
    for issue, word in ((30, zero), (40, first), (40 + apart, second)):
        script.expect(issue, int(word[0]))
    script.run()


def test_links_take_one_cycle_per_hop():
    dut, rng = USPE(config=TINY), random.Random(1)
    layouts = {"a": row_link(TINY), "b": col_link(TINY), "ctl": control_layout(TINY)}

    async def testbench(ctx):
        for _ in range(30):
            sent: dict[str, Any] = {
                name: layout.from_bits(rng.getrandbits(layout.size))
                for name, layout in layouts.items()
            }
            for name, word in sent.items():
                ctx.set(getattr(dut, name), word)
            await ctx.tick()
            for name, word in sent.items():
                assert ctx.get(getattr(dut, f"{name}_out")) == word

    simulate(dut, testbench)
