"""What all engines that run a queue of instructions look like from outside."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparsat.hw.instruction import Error, queued_layout
from sparsat.hw.isa.instructions import Opcode
from sparsat.hw.semaphores import TOKENS


def engine_ports(opcode: Opcode) -> dict[str, wiring.Member]:
    """Instructions and semaphores; when one has its semaphores, has ended; whether none is under
    way; the error at which the engine has stopped, and its instruction."""
    queued = queued_layout(opcode)
    return {
        "i": In(stream.Signature(queued)),
        "tokens": Out(TOKENS),
        "started": Out(1),
        "ended": Out(1),
        "idle": Out(1),
        "error": Out(Error),
        "error_number": Out(queued["number"].shape),
    }
