import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instruction_cases import instructions
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    LoadA,
    LoadB,
    Mode,
    Opcode,
    Sem,
    Update,
    Vector,
)
from sparsat.hw.isa.text import assemble, disassemble

WAIT = 1 << Sem.STORE_TO_LOAD_B | 1 << Sem.VECTOR_TO_LOAD_B
PROGRAM = [
    LoadB(op=3, wait=WAIT, address=4096, lines=8, mode=Mode.PRUNE, inner_stride=-64),
    Exec(a_advance=Advance.EVERY, a_mn=1, ir=2),
    Update(rate=0x3DCCCCCD, decay=0x80000000, inverse_scale=0x7F800000),
    Halt(),
]
TEXT = """\
LOAD_B op=3 wait=STORE_TO_LOAD_B|VECTOR_TO_LOAD_B address=4096 inner_stride=-64 lines=8 mode=PRUNE
EXEC a_mn=1 ir=2 a_advance=EVERY
UPDATE rate=0.1 decay=-0.0 inverse_scale=inf
HALT
"""


@given(st.lists(instructions(), max_size=5))
def test_text_holds_the_program(program):
    assert assemble(disassemble(program)) == program


@given(st.integers(0, 2**32 - 1))
@example(0x7FC00000)
@example(0x7F800001)
@example(0xFFFFFFFF)
@example(1)
def test_every_binary32_comes_back(bits):
    program = [Update(rate=bits)]
    assert assemble(disassemble(program)) == program


def test_what_it_looks_like():
    assert disassemble(PROGRAM) == TEXT
    assert assemble(TEXT) == PROGRAM


def test_comments_empty_lines_and_other_ways_to_write_a_number():
    text = "; all there is\n\n  VECTOR read=0x10 ; lines\nUPDATE rate=1 decay=0x3f800000\nHALT;"
    assert assemble(text) == [Vector(read=16), Update(rate=0x3F800000, decay=0x3F800000), Halt()]


def test_bits_of_no_semaphore_and_of_no_mode_are_kept_as_numbers():
    text = disassemble([LoadB(signal=1 << 31 | 1, mode=3)])
    assert text == "LOAD_B signal=A_FULL|0x80000000 mode=3\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("JUMP", f"JUMP is no instruction, it must be one of {', '.join(Opcode.__members__)}"),
        ("HALT op", "op must be written as field=value"),
        ("HALT lines=2", "HALT has no field lines, it must be one of op, wait, signal"),
        ("LOAD_A lines=2 lines=2", "lines is given twice, it must be given once"),
        ("LOAD_A lines=two", "lines is 'two', it must be a whole number"),
        (
            "LOAD_A lines=-1",
            "LOAD_A: lines is -1, it must be an integer from 0 to 16777215",
        ),
        (
            "LOAD_B mode=FLIP",
            "mode is 'FLIP', it must be one of COPY, TRANSPOSE, PRUNE, or a number",
        ),
        (
            "HALT wait=A_FULL|B",
            f"wait is 'B', it must be one of {', '.join(Sem.__members__)}, or a number",
        ),
        *[
            (
                f"UPDATE rate={rate}",
                f"rate is '{rate}', it must be a number that binary32 holds, or its bits as 0x…",
            )
            for rate in ("fast", "1e39")
        ],
    ],
)
def test_an_error_names_its_line_and_what_would_be_right(line, message):
    with pytest.raises(ValueError, match=f"^{re.escape(f'line 3: {message}')}$"):
        assemble(f"HALT\n; next\n{line}\nHALT")


def test_defaults_are_left_out():
    assert disassemble([LoadA()]) == "LOAD_A\n"
