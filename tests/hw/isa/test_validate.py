import re
from dataclasses import replace

import pytest

from sparsat.hw.config import preset
from sparsat.hw.isa.instructions import (
    Advance,
    Exec,
    Halt,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
    Update,
    Vector,
)
from sparsat.hw.isa.validate import validate

TINY = preset("tiny").with_(a_scratch_kib=16, b_scratch_kib=16, c_scratch_kib=16)
"""4 × 4 cells, lines of 64 bytes; halves of 4096 values of A, 1024 rows of B, 512 rows of C."""
MEMORY = 1 << 16
LOAD_A = LoadA(
    address=64, outer=2, inner=2, inner_stride=64, segments=3, segment_stride=640, lines=8
)
LOAD_B = LoadB(address=64, lines=8, segments=2, segment_stride=512, inner=2, inner_stride=1024)
PACKED = replace(LOAD_B, index_address=8192, index_inner_stride=64, index_lines=2)
PRUNE = replace(LOAD_B, mode=Mode.PRUNE, n=2, log_m=2)
TRANSPOSE = replace(LOAD_B, mode=Mode.TRANSPOSE, tokens=4, channels=64)
EXEC = Exec(
    n=2, log_m=2, ir=2, is_=2, outer=2, p=30, tiles_p=4, q_blocks=3, tiles_q=2, groups=4, k=3,
    a_outer=512, r0_count=8, r1_count=4, r0_a=32, r1_a=256, k0_count=2, k1_count=2, k0_a=8,
    b_k0=4, b_k1=8, b_n=1, b_q0=12, q0_count=3, c_p=1, c_q=30,
)  # fmt: skip
DENSE = replace(EXEC, n=4, log_m=1, b_n=1)
STORE = Store(
    address=128, outer=2, outer_stride=4096, rows=8, c_base=16, d1_count=3, d1_c=8, d1_stride=64
)
UPDATE = Update(
    master=0, momentum=4096, gradient=8192, new_master=28672, new_momentum=32768,
    copies=1, n=2, log_m=2, taps=3, forward=12288, forward_index=16384,
    backward=20480, backward_index=24576,
)  # fmt: skip
SOUND = [
    LOAD_A,
    LOAD_B,
    PACKED,
    PRUNE,
    TRANSPOSE,
    EXEC,
    DENSE,
    STORE,
    UPDATE,
    Vector(read=3),
    Halt(),
]


def refused(instruction, message, config=TINY, memory_bytes=MEMORY):
    name = instruction.OPCODE.name
    with pytest.raises(ValueError, match=f"^{re.escape(f'instruction 1, {name}: {message}')}$"):
        validate(config, [Vector(), instruction, Halt()], memory_bytes)


def test_sound_programs():
    validate(TINY, SOUND, MEMORY)
    validate(TINY, SOUND)


def bad(field, value, message, base, **others):
    return replace(base, **{field: value}, **others), f"{field} is {value!r}, it must be {message}"


LINE, STORED_ROW = "a multiple of a line, 64 bytes", "a multiple of a row, 8 bytes"
B_ROWS = "1024 are the rows of half of B"
INDEX_ROWS = "1024 are the rows of indices of half of B"
ONE_HALF = "0 where sums are resumed: all are in the half held"
RESUMED = replace(EXEC, resume=1, c_held=1)
COUNTS = [
    *[(LOAD_A, field) for field in ("outer", "inner", "segments", "lines")],
    *[(STORE, field) for field in ("outer", "inner", "rows", "d1_count", "d2_count", "d3_count")],
    *[(UPDATE, field) for field in ("taps", "in_blocks", "out_blocks")],
    *[
        (EXEC, field)
        for field in ("outer", "inner", "p", "tiles_p", "q_blocks", "tiles_q", "groups")
    ],
    *[(EXEC, field) for field in ("passes", "products0", "products1", "height", "width")],
    *[(EXEC, field) for field in ("r0_count", "r1_count", "k0_count", "k1_count")],
    *[(EXEC, field) for field in ("q0_count", "q1_count", "b_height", "b_width")],
]
FIELDS = [
    *[bad(field, 0, "at least 1", base) for base, field in COUNTS],
    bad("lines", 1 << 24, "an integer from 0 to 16777215", LOAD_A),
    # LOAD
    *[bad(field, 32, LINE, LOAD_A) for field in ("address", "outer_stride", "inner_stride")],
    *[bad(field, -32, LINE, LOAD_A) for field in ("segment_stride", "inner_stride")],
    bad("lines", 43, "less: a chunk has 4128, 4096 are the values of half of A", LOAD_A),
    bad("mode", 3, "from 0 to 2", LOAD_B),
    bad("lines", 65, f"less: a chunk has 1040, {B_ROWS}", LOAD_B),
    bad("index_address", 32, LINE, PACKED),
    bad("index_segment_stride", 32, LINE, PACKED),
    bad("index_lines", 17, f"less: a chunk has 1088, {INDEX_ROWS}", PACKED),
    bad("index_lines", 1, "0 unless the mode is COPY", PRUNE),
    bad("index_lines", 1, "0 unless the mode is COPY", TRANSPOSE),
    bad("log_m", 0, "from 1 to 3", PRUNE),
    bad("n", 0, "from 1 to m, 8", PRUNE),
    bad("n", 9, "from 1 to m, 8", PRUNE),
    bad("lines", 257, f"less: a chunk has 1028, {B_ROWS}", PRUNE),
    bad("lines", 1, "whole groups: a chunk has 8 rows, m is 16", PRUNE, segments=1, log_m=3),
    bad("tokens", 0, "at least 1", TRANSPOSE),
    bad("channels", 0, "at least 1", TRANSPOSE),
    bad("channels", 24, "a multiple of a block, 16", TRANSPOSE),
    bad("channels", 1040, "at most 1024, the transposer has no more room", TRANSPOSE),
    bad("lines", 9, "8, so many take 4 tokens of 64 values", TRANSPOSE),
    bad("lines", 7, "8, so many take 4 tokens of 64 values", TRANSPOSE),
    bad("lines", 8, "3, so many take 5 tokens of 16 values", TRANSPOSE, tokens=5, channels=16),
    bad("lines", 66, f"less: a chunk has 1152, {B_ROWS}", TRANSPOSE, tokens=33),
    # EXEC
    *[bad(f"{half}_advance", 3, "from 0 to 2", EXEC) for half in "abc"],
    bad("n", 0, "from 1 to m=8", EXEC),
    bad("n", 9, "from 1 to m=8", EXEC),
    bad("ir", 5, "at most 4 at m=8", EXEC),
    *[bad(f"{operand}_mn", 1, "0, since 2:8 is sparse", EXEC) for operand in "ab"],
    bad("ir", 3, "a power of two up to 16 with r-words of A", DENSE, a_mn=1),
    bad("b_n", 1, "0 with r-words of A, where K counts the values of k", DENSE, a_mn=1),
    bad("c_held", 0, "1 where sums are resumed", EXEC, resume=1),
    *[bad("c_advance", to, ONE_HALF, RESUMED) for to in (Advance.OUTER, Advance.EVERY)],
    # STORE
    *[bad(field, 4, STORED_ROW, STORE) for field in ("address", "outer_stride", "inner_stride")],
    *[bad(f"d{d}_stride", 20, STORED_ROW, STORE) for d in (1, 2, 3)],
    bad("d1_stride", 8, "a multiple of a row, 16 bytes", STORE, wide=1),
    # UPDATE
    *[bad(field, 32, LINE, UPDATE) for field in ("master", "momentum", "gradient", "new_master")],
    *[bad(field, 32, LINE, UPDATE) for field in ("new_momentum", "forward", "forward_index")],
    *[bad(field, 32, LINE, UPDATE) for field in ("backward", "backward_index")],
    bad("n", 0, "from 1 to m, 8", UPDATE),
    bad("log_m", 0, "from 1 to 3", UPDATE),
]  # fmt: skip


@pytest.mark.parametrize(("instruction", "message"), FIELDS)
def test_a_wrong_field(instruction, message):
    refused(instruction, message)


def test_the_interleave_is_at_most_the_depth():
    allowed = "it must be at most the interleave depth 16"
    refused(replace(EXEC, n=1, ir=4, is_=5), f"ir·is_ is 4·5 = 20, {allowed}")


def test_groups_are_those_the_array_was_made_for():
    small = TINY.with_(m_max=4)
    refused(EXEC, "m is 8, it must be 4, 8 or 16, up to 4", small)
    refused(PRUNE, "log_m is 2, it must be from 1 to 1", small)
    refused(replace(EXEC, n=1, log_m=0), "m is 2, it must be 4, 8 or 16, up to 16")
    validate(TINY, [replace(DENSE, n=2, log_m=0), Halt()])


def reach(field, instruction, low, high, last, what):
    value = getattr(instruction, field)
    return (
        instruction,
        f"{field} is {value}, with its steps it reaches {low} to {high}, "
        f"it must stay within 0 to {last}, {what}",
    )


BYTES = (MEMORY - 1, "the bytes of memory")
RANGES = [
    reach("address", replace(LOAD_A, outer_stride=-128), -64, 1919, *BYTES),
    reach("address", replace(LOAD_A, address=MEMORY - 1792), 63744, 65599, *BYTES),
    reach("index_address", replace(PACKED, index_segment_stride=-64 * 129), -64, 8383, *BYTES),
    reach("address", replace(STORE, d3_count=2, d3_stride=-136), -8, 4415, *BYTES),
    reach("address", replace(STORE, address=MEMORY - 4280), 61256, 65543, *BYTES),
    reach("c_base", replace(STORE, c_row=-3), -5, 32, 511, "the rows of half of C"),
    reach("c_base", replace(STORE, d2_count=2, d2_c=473), 16, 512, 511, "the rows of half of C"),
    reach("master", replace(UPDATE, master=MEMORY - 3008), 62528, 65599, *BYTES),
    reach("new_momentum", replace(UPDATE, new_momentum=MEMORY - 3008), 62528, 65599, *BYTES),
    reach("forward_index", replace(UPDATE, forward_index=MEMORY - 64), 65472, 65727, *BYTES),
    reach("a_base", replace(EXEC, a_base=2816), 2816, 4271, 4095, "the values of half of A"),
    reach("b_base", replace(EXEC, b_k1=1000), 0, 1025, 1023, "the rows of half of B"),
    reach("c_base", replace(EXEC, c_q=-30, c_base=59), -1, 88, 511, "the rows of half of C"),
]


@pytest.mark.parametrize(("instruction", "message"), RANGES)
def test_an_address_out_of_range(instruction, message):
    refused(instruction, message)


def test_memory_ends_where_addresses_do_if_nothing_is_said():
    load = LoadA(address=(1 << 40) - 64, lines=2)
    message = reach("address", load, (1 << 40) - 64, (1 << 40) + 63, (1 << 40) - 1, BYTES[1])[1]
    refused(load, message, memory_bytes=None)


def test_a_word_of_a_does_not_straddle():
    refused(
        replace(EXEC, r0_a=12),
        "a_base is 0, with the steps of A a word of 8 values begins at 12 of 16 aligned ones, "
        "it must lie within them",
    )


def test_padding_with_too_many_combinations_is_not_checked():
    rows = {"p": 2048, "tiles_p": 256, "r0_count": 1, "r1_count": 2048, "r1_x": 1, "r1_y": 1}
    depth = {"k": 1024, "groups": 1024, "k0_count": 1, "k1_count": 1024, "k1_x": 1, "k1_y": 1}
    refused(
        replace(EXEC, **rows, **depth),
        "the steps of a_base have 2097152 combinations of y and x, at most 1048576 are checked",
    )


@pytest.mark.parametrize("half", ["a", "b", "c"])
def test_what_one_exec_keeps_the_next_one_holds(half):
    keeps, holds = replace(EXEC, **{f"{half}_keep": 1}), replace(EXEC, **{f"{half}_held": 1})
    validate(TINY, [keeps, Vector(), holds, EXEC, Halt()])
    for first, second, held, kept in ((EXEC, holds, 1, 0), (keeps, EXEC, 0, 1)):
        message = f"instruction 1, EXEC: {half}_held is {held}, it must be {kept}, the {half}_keep"
        with pytest.raises(ValueError, match=f"^{message} of the EXEC before$"):
            validate(TINY, [first, second, Halt()])


def test_dense_copies_have_no_indices():
    validate(TINY, [replace(UPDATE, n=8, forward_index=1, backward_index=1), Halt()], MEMORY)
    validate(TINY, [replace(UPDATE, copies=0, n=0, forward=1, backward=1), Halt()], MEMORY)


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (
            LoadA(lines=1, wait=1 << Sem.STORE_TO_LOAD_B),
            "wait names STORE_TO_LOAD_B, it may name STORE_TO_LOAD_A, VECTOR_TO_LOAD_A",
        ),
        (
            Store(rows=1, signal=1 << Sem.C_FREE | 1 << Sem.STORE_TO_LOAD_A),
            "signal names C_FREE, it may name "
            "STORE_TO_LOAD_A, STORE_TO_LOAD_B, STORE_TO_UPDATE, STORE_TO_VECTOR",
        ),
        (Exec(wait=1 << 31), "wait names bit 31, which is no semaphore, it may name none"),
    ],
)
def test_masks_name_an_engines_own_semaphores(instruction, message):
    refused(instruction, message)


def test_halt_stands_at_the_end_and_only_there():
    refused(Halt(), "1 more follow, HALT must be the last")
    for program in [], [Vector()]:
        message = f"the program of {len(program)} instructions must end with HALT"
        with pytest.raises(ValueError, match=f"^{message}$"):
            validate(TINY, program)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cols": 2, "sore_lanes": 1, "wuve_lanes": 2},
            "cols is 2, the machine needs a power of two from 4",
        ),
        ({"cols": 12}, "cols is 12, the machine needs a power of two from 4"),
    ],
)
def test_a_machine_that_cannot_be_built(changes, message):
    with pytest.raises(ValueError, match=f"^SATConfig 'tiny': {re.escape(message)}$"):
        validate(TINY.with_(**changes), SOUND)
