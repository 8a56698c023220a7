"""Whether the machine can run a program: what it stops for as FIELD or RANGE (docs/isa.md).

Not whether what the program computes makes sense, and not its tokens: see `check_semaphores`.
"""

from collections.abc import Sequence

from sparsat.hw.array_op import log_m_of
from sparsat.hw.config import GROUP_SIZES, SATConfig
from sparsat.hw.isa.copies import column_rows
from sparsat.hw.isa.encoding import check_widths
from sparsat.hw.isa.exec_rules import check_exec
from sparsat.hw.isa.instructions import (
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Sem,
    Store,
    Update,
)
from sparsat.hw.isa.nest import Dim, span
from sparsat.hw.isa.semaphores import GIVEN_BY, TAKEN_BY
from sparsat.hw.isa.site import Site, half_rows_b, half_rows_c, half_values_a, most_channels

ADDRESS_SPACE = 1 << 40


def validate(
    config: SATConfig, program: Sequence[Instruction], memory_bytes: int | None = None
) -> None:
    """Raise ValueError if the machine `config` would refuse `program`.

    The message names the instruction's index, the field, its value and what is allowed. Memory is
    taken to be as large as addresses reach where `memory_bytes` is None.
    """
    check_machine(config)
    before = Exec()
    memory_bytes = ADDRESS_SPACE if memory_bytes is None else memory_bytes
    for index, instruction in enumerate(program):
        site = Site(index, instruction)
        try:
            check_widths(instruction)
        except ValueError as error:
            raise ValueError(f"instruction {index}, {error}") from None
        _check_mask(site, "wait", TAKEN_BY[instruction.OPCODE])
        _check_mask(site, "signal", GIVEN_BY[instruction.OPCODE])
        _check(config, site, memory_bytes)
        if isinstance(instruction, Exec):
            _check_held(site, instruction, before)
            before = instruction
        if isinstance(instruction, Halt) and index + 1 < len(program):
            raise site.error(f"{len(program) - index - 1} more follow, HALT must be the last")
    if not program or not isinstance(program[-1], Halt):
        raise ValueError(f"the program of {len(program)} instructions must end with HALT")


def check_machine(config: SATConfig) -> None:
    """Raise ValueError unless a whole machine can be built, not only its array."""
    cols = config.cols
    if cols < 4 or cols & (cols - 1):
        where = f"SATConfig {config.name!r}"
        raise ValueError(f"{where}: cols is {cols}, the machine needs a power of two from 4")


def _check_mask(site: Site, field: str, allowed: Sequence[Sem]) -> None:
    extra = getattr(site.instruction, field) & ~sum(1 << sem for sem in allowed)
    if extra:
        bit = (extra & -extra).bit_length() - 1
        name = Sem(bit).name if bit in list(Sem) else f"bit {bit}, which is no semaphore"
        names = ", ".join(sem.name for sem in allowed) or "none"
        raise site.error(f"{field} names {name}, it may name {names}")


def _check_held(site: Site, e: Exec, before: Exec) -> None:
    """What the EXEC `before` keeps, and nothing else, is held."""
    for half in "abc":
        kept = getattr(before, f"{half}_keep")
        holds = getattr(e, f"{half}_held") == kept
        site.need(f"{half}_held", holds, f"{kept}, the {half}_keep of the EXEC before")


def _check(config: SATConfig, site: Site, memory_bytes: int) -> None:
    instruction = site.instruction
    if isinstance(instruction, LoadA):
        _check_load(config, site, instruction, memory_bytes)
    if isinstance(instruction, LoadB):
        _check_load_b(config, site, instruction, memory_bytes)
    elif isinstance(instruction, LoadA):
        values = instruction.segments * instruction.lines * config.line_bytes // 2
        site.need_room("lines", values, half_values_a(config), "the values of half of A")
    elif isinstance(instruction, Exec):
        check_exec(config, site, instruction)
    elif isinstance(instruction, Store):
        _check_store(config, site, instruction, memory_bytes)
    elif isinstance(instruction, Update):
        _check_update(config, site, instruction, memory_bytes)


def _check_load(config: SATConfig, site: Site, load: LoadA, memory_bytes: int) -> None:
    site.need_counts("outer", "inner", "segments", "lines")
    line = config.line_bytes
    site.need_multiples(line, "a line", "address", "outer_stride", "inner_stride", "segment_stride")
    dims = (
        Dim(load.outer, load.outer_stride),
        Dim(load.inner, load.inner_stride),
        Dim(load.segments, load.segment_stride),
    )
    site.need_memory("address", dims, load.lines * line, memory_bytes)


def _check_load_b(config: SATConfig, site: Site, load: LoadB, memory_bytes: int) -> None:
    site.need("mode", load.mode in list(Mode), f"from 0 to {max(Mode)}")
    line = config.line_bytes
    rows = load.segments * load.lines * line // (2 * config.cols)
    if load.mode == Mode.PRUNE:
        _check_pattern(config, site, load)
        m = load.m
        site.need("lines", rows % m == 0, f"whole groups: a chunk has {rows} rows, m is {m}")
        rows = rows // m * load.n
    if load.mode == Mode.TRANSPOSE:
        _check_tokens(config, site, load)
        rows = load.segments * -(-load.tokens // config.cols) * load.channels
    site.need_room("lines", rows, half_rows_b(config), "the rows of half of B")
    if load.mode == Mode.COPY and load.index_lines:
        _check_indices(config, site, load, memory_bytes)
    else:
        site.need("index_lines", load.index_lines == 0, "0 unless the mode is COPY")


def _check_tokens(config: SATConfig, site: Site, load: LoadB) -> None:
    """A segment is whole tokens, and what is left of its last line."""
    site.need_counts("tokens", "channels")
    block, most, tokens = config.block, most_channels(config), load.tokens
    site.need("channels", load.channels % block == 0, f"a multiple of a block, {block}")
    site.need("channels", load.channels <= most, f"at most {most}, the transposer has no more room")
    lines = -(-tokens * load.channels * 2 // config.line_bytes)
    taken = f"{lines}, so many take {tokens} tokens of {load.channels} values"
    site.need("lines", load.lines == lines, taken)


def _check_indices(config: SATConfig, site: Site, load: LoadB, memory_bytes: int) -> None:
    line = config.line_bytes
    strides = ("index_outer_stride", "index_inner_stride", "index_segment_stride")
    site.need_multiples(line, "a line", "index_address", *strides)
    counts = (load.outer, load.inner, load.segments)
    dims = [Dim(n, getattr(load, stride)) for n, stride in zip(counts, strides, strict=True)]
    site.need_memory("index_address", dims, load.index_lines * line, memory_bytes)
    rows = load.segments * load.index_lines * line // (config.cols // 2)
    site.need_room("index_lines", rows, half_rows_b(config), "the rows of indices of half of B")


def _check_store(config: SATConfig, site: Site, store: Store, memory_bytes: int) -> None:
    site.need_counts("outer", "inner", "rows", "d1_count", "d2_count", "d3_count")
    row = config.cols * (4 if store.wide else 2)
    strides = ("outer_stride", "inner_stride", "d1_stride", "d2_stride", "d3_stride")
    site.need_multiples(row, "a row", "address", *strides)
    counts = (store.outer, store.inner, store.d1_count, store.d2_count, store.d3_count)
    dims = [Dim(n, getattr(store, stride)) for n, stride in zip(counts, strides, strict=True)]
    site.need_memory("address", dims, store.rows * row, memory_bytes)
    of_c = (
        Dim(store.rows, store.c_row),
        Dim(store.d1_count, store.d1_c),
        Dim(store.d2_count, store.d2_c),
        Dim(store.d3_count, store.d3_c),
    )
    reached = span(store.c_base, of_c)
    site.need_inside("c_base", reached, half_rows_c(config), "the rows of half of C")


def _check_update(config: SATConfig, site: Site, update: Update, memory_bytes: int) -> None:
    site.need_counts("taps", "in_blocks", "out_blocks")
    elements = update.taps * update.in_blocks * update.out_blocks * config.block**2
    wide = ("master", "momentum", "gradient", "new_master", "new_momentum")
    sizes = dict.fromkeys(wide, 4 * elements)
    if update.copies:
        _check_pattern(config, site, update)
        for side, reduced, across in (
            ("forward", update.in_blocks, update.out_blocks),
            ("backward", update.out_blocks, update.in_blocks),
        ):
            n, m = update.n, update.m
            rows = column_rows(config, update.taps * reduced * config.block, n, m)
            values = rows * across * config.block
            sizes[side] = 2 * values
            if n < m:
                sizes[f"{side}_index"] = values // 2
    site.need_multiples(config.line_bytes, "a line", *sizes)
    for field, size in sizes.items():
        site.need_memory(field, (), size, memory_bytes)


def _check_pattern(config: SATConfig, site: Site, pruned: LoadB | Update) -> None:
    """`n` of `m`, a size in which SORE prunes."""
    least, most = log_m_of(min(GROUP_SIZES)), log_m_of(config.m_max)
    site.need("log_m", least <= pruned.log_m <= most, f"from {least} to {most}")
    site.need("n", 1 <= pruned.n <= pruned.m, f"from 1 to m, {pruned.m}")
