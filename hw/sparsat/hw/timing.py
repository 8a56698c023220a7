"""What happens in which cycle: the machine's constants, and the array's time in closed form.

An operation of the array is a row of slots. Slot s is *issued* in the cycle in which the array
takes its operands (`step_valid` and `step_ready`): row 0 loads them from then on, and multiplies
from the issue of slot s + 1, or after the last slot from the operation's *end*. So operands that
are late for one slot also hold back the multiplications of the slot before.

Slots may come in *chunks* of whole tiles whose operands arrive together: a chunk's first slot is
not issued before the cycle `ready`, and its others are never late. A chunk is a pair: the issue of
its first slot, and the earliest issue of the slot after its first tile. The functions of chunks
take a few integers and may be called from numba's `njit`. Only output-stationary operations have
more than one chunk. Those of one that resumes may go on with each other's sums: see `sums_return`.
"""

from typing import NamedTuple

from numba.extending import register_jitable

from sparsat.hw.array_op import ArrayOp, Dataflow, cycles_between_uses
from sparsat.hw.config import SATConfig

BURST = 64
"""Lines that an engine moves at most before it is the next one's turn."""
FEED = 20
"""From a feeder's last word of a chunk's first slot to the issue of that slot."""
FEED_AHEAD = 3
"""Slots that a feeder works ahead of the array."""
RELEASE = 4
"""From the last read of a chunk's operands to giving back its halves of A and B."""
DECODE = 32
"""From the last slot of an EXEC to decoding the next one."""
OPEN = 8
"""From taking a chunk's tokens to asking the array for its operation: by then it is known where its
first sums are."""
SETUP = 4
"""From taking a LOAD's token to asking for its first burst."""
QUEUE = 8
"""Instructions that wait for an engine at most."""
DISPATCH = 4
"""From an instruction's arrival from memory to its arrival in a queue."""
FETCH_BURSTS = 2
"""Bursts of instructions that FETCH holds."""
ROOM = 4
"""Bursts between memory and SORE or the transposer, and between C and memory."""
BUFFER = 2
"""From a line's arrival before SORE or the transposer to its first cycle there."""
SORE_LATENCY = 5
"""From the last word of a group, in SORE, to the first one that is kept."""
TRANSPOSER_LATENCY = 3
"""From the last row of a block, in the transposer, to its first column, ..."""
TRANSPOSE = TRANSPOSER_LATENCY + 1
"""... and from the last line of one, before it."""
UPDATE_AHEAD = 7
"""Squares that UPDATE reads ahead of its writes."""
UPDATE_MASK = SORE_LATENCY + 5
"""From the last word of a square that UPDATE prunes to the first one that it updates, as far as
that does not depend on the pattern, ..."""
UPDATE_COMPUTED = 36
"""... from the last word of a square that it updates to its lines being ready to be written, ..."""
UPDATE_COPIED = UPDATE_COMPUTED + TRANSPOSER_LATENCY + SORE_LATENCY + 3
"""... and to those of its copies, as far as that does not depend on the pattern."""

BANKS = 16
PAGE_BYTES = 8192
"""Of the DDR4 behind a port: its banks, and bytes of an open page, here of 512 bytes in each of 16
chips of 4 bits. Page after page an address goes through all banks."""

START = 6
"""From taking an operation to its first slot."""
ISSUE_TO_SUM = 9
"""From a slot's arrival at a row to the last pipeline stage of its first multiplication."""
LEAVE = 4
"""From the last sum's departure in column 0 to that column's output register, and idle again."""
C_TURN = 8
"""From a sum's arrival at a column's output register until C can give it back as an initial one."""


class Pace(NamedTuple):
    """Constants of an operation, in cycles (`groups`: slots)."""

    groups: int
    """Slots of a tile."""
    period: int
    """From one slot to the next."""
    spacing: int
    """From the first slot of a tile to that of the next."""
    start: int
    """From taking the operation to its first slot."""
    opening: int
    """`spacing` of the first tile, which need not wait for sums of another."""
    settled: int
    """From taking the operation to the slot after its first tile, at the least."""
    spare: int
    """By how much the operation ends before another tile could begin."""


def array_pace(config: SATConfig, op: ArrayOp) -> Pace:
    """The operation's constants."""
    os = op.dataflow is Dataflow.OS
    return pace_of(config.rows, os, op.groups, op.period(config), op.interleave, op.resume)


@register_jitable
def pace_of(rows: int, os: bool, groups: int, period: int, interleave: int, resume: bool) -> Pace:
    """The constants of an operation of so many `groups` per tile."""
    tile = groups * period
    if not os:
        # A set of weights takes `rows` periods to come down the columns.
        spacing = max(groups, rows) * period
        return Pace(groups, period, spacing, START, spacing, 0, spacing - tile)
    # A tile may end when the sums of the previous one have left.
    drain = (rows + int(resume)) * interleave
    spacing = max(tile, drain)
    if not resume:
        return Pace(groups, period, spacing, START, tile, 0, 0)
    # Two passes of initial sums come first; the first tile ends after the second.
    return Pace(groups, period, spacing, START + 1 + drain, tile, START - 1 + 2 * drain, 0)


@register_jitable
def first_chunk(pace: Pace, taken: int, ready: int) -> tuple[int, int]:
    """The first chunk of an operation that is taken in cycle `taken`."""
    first = max(taken + pace.start, ready)
    return first, max(first + pace.opening, taken + pace.settled)


@register_jitable
def next_chunk(pace: Pace, free: int, ready: int) -> tuple[int, int]:
    """The chunk after one of `tiles` tiles, with `free = issue(pace, chunk, tiles * groups)`."""
    first = max(free, ready)
    return first, first + pace.spacing


@register_jitable
def issue(pace: Pace, chunk: tuple[int, int], slot: int) -> int:
    """Cycle in which slot number `slot` of a chunk is issued.

    One number too many gives the earliest issue of the next chunk's first slot.
    """
    first, second = chunk
    tile, group = slot // pace.groups, slot % pace.groups
    begin = first if tile == 0 else second + (tile - 1) * pace.spacing
    return begin + group * pace.period


@register_jitable
def end(pace: Pace, chunk: tuple[int, int], tiles: int) -> int:
    """Cycle in which the operation ends whose last chunk this is, of `tiles` tiles.

    The array is idle `array_tail` cycles later.
    """
    return issue(pace, chunk, tiles * pace.groups) - pace.spare


def array_tail(config: SATConfig, op: ArrayOp) -> int:
    """Cycles from an operation's end until its sums have left and the array is idle.

    The sums of a chunk leave as long after the issue of the next chunk's first slot.
    """
    os = op.dataflow is Dataflow.OS
    return tail_of(config.rows, config.cols, os, op.n, op.period(config), op.interleave)


@register_jitable
def tail_of(rows: int, cols: int, os: bool, n: int, period: int, interleave: int) -> int:
    """`array_tail`: the last slot's way to the last row, its multiplications, the sums' way out."""
    hop = 1 if os else period + 1
    to_last_row = (rows - 1) * hop
    multiply = (n - 1) * cycles_between_uses(interleave) + interleave - 1
    sums_above = (rows - 1) * interleave if os else 0
    return to_last_row + ISSUE_TO_SUM + multiply + sums_above + cols + LEAVE


def return_time(config: SATConfig, op: ArrayOp) -> int:
    """Cycles, at least, from a sum's arrival at a column's output register until it is wanted as an
    initial one, where chunks of `op.tiles` tiles go on with each other's sums in one operation.

    Output-stationary, of two tiles or more.
    """
    return return_of(config.rows, op.interleave, array_pace(config, op).spacing, op.tiles)


@register_jitable
def return_of(rows: int, interleave: int, spacing: int, tiles: int) -> int:
    """`return_time`: initial sums of a tile enter while those of the second tile before it leave;
    tiles are `spacing` apart. A sum leaves `rows - 1 + LEAVE` cycles after its like has entered,
    and a round of the interleave later where it waited for a summand.
    """
    return (tiles - 2) * spacing - (rows - 1 + LEAVE + interleave)


def sums_return(config: SATConfig, op: ArrayOp) -> bool:
    """Whether resumed chunks of `op.tiles` tiles may be one operation, see `return_time`."""
    return op.dataflow is Dataflow.OS and return_time(config, op) >= C_TURN


def array_release(config: SATConfig, op: ArrayOp) -> int:
    """Cycles from the issue of a chunk's last slot until its halves of A and B are given back.

    The last column reads the last value of B `cols` cycles after the first one, the last row its
    values of A `rows` cycles.
    """
    return op.load_b + max(config.rows, config.cols) + RELEASE


def array_cycles(config: SATConfig, op: ArrayOp) -> int:
    """Cycles from the one in which the operation is taken to the one in which the next can be.

    Holds where the operands of every slot are at hand in time.
    """
    pace = array_pace(config, op)
    return end(pace, first_chunk(pace, 0, 0), op.tiles) + array_tail(config, op)


def update_latencies(
    config: SATConfig, n: int, m: int, *, pruned: bool, transposed: bool
) -> tuple[int, int]:
    """Cycles from the last word of a square that enters UPDATE to asking, at the earliest, for the
    bursts of its new weights, and of its copies.

    The first stage prunes the old weights, if that is due, the second one updates them, the third
    one prunes the new ones. Turning a square over, in the first stage if it is `transposed` and
    always in the third, takes a block of `cols` rows.
    """
    words = config.cols // config.wuve_lanes
    square, block = config.block**2 // config.wuve_lanes, config.cols * words
    mask = 0
    if pruned:
        mask = UPDATE_MASK + m * words + square
        mask += 2 * transposed * (TRANSPOSER_LATENCY + block)
    return mask + UPDATE_COMPUTED, mask + UPDATE_COPIED + square + block + n * words
