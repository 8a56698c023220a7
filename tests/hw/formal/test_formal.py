"""Whatever comes in: see the properties beside this file. `make formal` looks further ahead."""

import os

import pytest

from smt import FOLLOWS, HAPPENS, HOLDS, prove
from sparsat.hw import bursts
from sparsat.hw.axi_lite import AxiLiteSlave
from sparsat.hw.bursts import Bursts
from sparsat.hw.config import preset
from sparsat.hw.fifo import Queue

CYCLES = int(os.environ.get("CYCLES", "13"))
"""So far are runs followed where no proof is for ever."""


def test_registers_answer_by_the_rules_for_ever():
    """AXI4-Lite: answers stay, come once for each request, in time; each word is written once."""
    slave = AxiLiteSlave(address_bits=8)
    prove(slave, "axi_lite", HOLDS.format(6), FOLLOWS.format(6), HAPPENS.format(6))


@pytest.mark.parametrize("refill", [False, True])
def test_a_queue_keeps_words_and_their_order(refill):
    queue = Queue(shape=8, depth=4, refill=refill)
    prove(queue, "queue", HOLDS.format(CYCLES), HAPPENS.format(13), REFILL=int(refill))


def test_bursts_are_legal_and_answers_find_their_way(monkeypatch):
    """AXI4 at the memory port, for all orders of requests, lines and answers; with shorter queues
    than in hardware, which fill sooner."""
    monkeypatch.setattr(bursts, "OPEN", 4)
    monkeypatch.setattr(bursts, "WRITES", 4)
    prove(Bursts(config=preset("tiny")), "bursts", HAPPENS.format(13), HOLDS.format(CYCLES))


def test_a_wrong_claim_is_refuted():
    """A queue that takes a word when it is full is not one that does not."""
    with pytest.raises(AssertionError, match="Assert failed"):
        prove(Queue(shape=8, depth=4, refill=True), "queue", HOLDS.format(13), REFILL=0)
