"""Both ends of a stream in Amaranth's simulator, each with its own stalls."""

import random
from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Value

from blocks import Testbench


def put(port, payloads: Iterable[Any], rng: random.Random, stall: float) -> Testbench:
    """A testbench that offers `payloads`; a payload is offered until taken."""

    async def testbench(ctx):
        for payload in payloads:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(port.valid, 1)
            ctx.set(port.payload, payload)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)
            ctx.set(Value.cast(port.payload), rng.getrandbits(len(Value.cast(port.payload))))

    return testbench


def get(
    port, count: int, rng: random.Random, stall: float, into: list[Any], patience: int = 10_000
) -> Testbench:
    """A testbench that takes `count` payloads; AssertionError if one takes too many cycles.

    Also where a payload changes, or is withdrawn, before it was taken.
    """

    async def testbench(ctx):
        offered = None
        waited = 0
        while len(into) < count:
            ready = rng.random() >= stall
            ctx.set(port.ready, ready)
            valid, payload = ctx.get(port.valid), ctx.get(port.payload)
            assert offered is None or (valid and payload == offered)
            if valid and ready:
                into.append(payload)
            offered = payload if valid and not ready else None
            waited = 0 if valid else waited + 1
            assert waited < patience, f"{len(into)} of {count} payloads came"
            await ctx.tick()
        ctx.set(port.ready, 0)

    return testbench


def join(words: Iterable[int], width: int) -> int:
    """Words side by side as one payload, the first lowest."""
    return sum(word << n * width for n, word in enumerate(words))


def split(payload: int, width: int, count: int) -> list[int]:
    """The words that `join` made a payload of."""
    return [payload >> n * width & (1 << width) - 1 for n in range(count)]
