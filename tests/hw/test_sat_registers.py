"""Registers while a program runs, and after an error."""

import pytest

from sat_bed import BLOCK, Bed
from sparsat.hw.instruction import Error
from sparsat.hw.isa.encoding import encode_program
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Exec, Halt, LoadA
from sparsat.hw.register_map import State

OTHER = {"PROGRAM": 7 * BLOCK, "INSTRUCTIONS": 1, "MEMORY_BYTES": BLOCK, "MEMORY_BASE_0": 1 << 20}


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_what_is_written_while_a_program_runs_is_for_the_next_one(name, stall):
    bed = Bed(stall=stall)
    with bed.card as card:
        card.begin(bed.program, at=bed.at)
        card.idle(100)
        assert card.state() is State.RUNNING
        card.write(name, OTHER[name])
        assert card.wait(20_000_000)
        assert (card.state(), card.read("ERROR")) == (State.DONE, 0)
        assert bed.memory[: len(bed.after)].tobytes() == bed.after.tobytes()
        assert card.read(name) == OTHER[name]
        bed.works(limit=20_000_000)


def test_an_error_has_the_address_of_its_instruction():
    wrong = [LoadA(lines=1), LoadA(lines=1), Exec(n=5, log_m=1, groups=1, k=1), Halt()]
    bed = Bed()
    with bed.card as card:
        assert bed.fails(encode_program(wrong)) == (Error.FIELD, 2)
        at = bed.at * bed.card.config.line_bytes + 2 * INSTRUCTION_BYTES
        assert card.read("ERROR_ADDRESS") == at
        bed.works()
        assert card.read("ERROR_ADDRESS") == 0
