"""A program as arrays: what the engines need of each instruction, worked out once.

`Decoded.rows` has a row for each instruction; its `row` is the instruction's place in the table of
its kind.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from sparsat.hw.array_op import ArrayOp, Dataflow, Order
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.copies import column_rows
from sparsat.hw.isa.instructions import (
    Exec,
    Halt,
    Instruction,
    LoadA,
    LoadB,
    Mode,
    Opcode,
    Store,
    Update,
)
from sparsat.hw.timing import (
    SORE_LATENCY,
    TRANSPOSE,
    Pace,
    array_pace,
    array_release,
    array_tail,
    sums_return,
    update_latencies,
)
from sparsat.sim.records import record


class Engine(IntEnum):
    """Who runs an instruction; memory serves them in turns in this order. FETCH takes HALT."""

    FETCH = 0
    LOAD_A = 1
    LOAD_B = 2
    EXEC = 3
    STORE = 4
    UPDATE = 5
    VECTOR = 6


ENGINE = {
    Opcode.HALT: Engine.FETCH,
    Opcode.LOAD_A: Engine.LOAD_A,
    Opcode.LOAD_B: Engine.LOAD_B,
    Opcode.EXEC: Engine.EXEC,
    Opcode.STORE: Engine.STORE,
    Opcode.UPDATE: Engine.UPDATE,
    Opcode.VECTOR: Engine.VECTOR,
}

Fields = dict[str, Any]


ROW = record("engine row wait signal")
CHUNKS = "outer inner "
LOAD = record(
    CHUNKS + "address outer_stride inner_stride segments segment_stride lines index_address "
    "index_outer_stride index_inner_stride index_segment_stride index_lines cost fill tail"
)
"""Addresses and strides in lines; `cost` cycles of SORE or the transposer per line of values,
`fill` more, or less, at the end of each segment, `tail` until what they leave of a chunk is in the
scratchpad. All are 0 where lines go straight there."""
STORE_TABLE = record(
    CHUNKS + "address outer_stride inner_stride row_bytes rows "
    "d1_count d1_stride d2_count d2_stride d3_count d3_stride"
)
UPDATE_TABLE = record(
    "master momentum gradient new_master new_momentum natural natural_index turned turned_index "
    "copies index taps down across squares square_bytes parts kept natural_rows turned_rows "
    "row_bytes index_bytes elements computed copied"
)
"""`squares` of `square_bytes`: `down` · `taps` · `across`. Copies `natural`, with groups along the
columns of memory's order, and `turned`: `kept` rows of each of the `parts` of a square, of
`row_bytes`, out of `natural_rows` or `turned_rows` of all squares, and `index_bytes` where there is
an `index`. `elements`: cycles for a square to pass; `computed` and `copied`: from the end of that
until its new weights, its copies can be written."""
VECTOR_TABLE = record("read write")
EXECUTE = record(
    CHUNKS + "a_advance b_advance c_advance a_held a_keep b_held b_keep c_held c_keep "
    "ws chain resume fresh_goes_on resumed_goes_on passes tiles slots feed release tail",
    fresh=len(Pace._fields),
    resumed=len(Pace._fields),
)
"""`fresh_goes_on`, `resumed_goes_on`: whether the array's operation goes on with the next chunk,
after one whose sums start from 0, and after a resumed one with which the half of C does not end.
`tiles` and `slots` of a chunk (weight-stationary: of a pass), `feed` cycles that a feeder takes for
a first slot, `release` cycles until halves are given back, `tail` from an operation's end until the
array is idle; the `Pace` of operations that start from 0, and of resumed ones."""


class Decoded(NamedTuple):
    """The tables, and the instructions' numbers by engine: those of engine e from
    `queue[queue_start[e]]` on, in order."""

    rows: np.ndarray
    queue: np.ndarray
    queue_start: np.ndarray
    load: np.ndarray
    execute: np.ndarray
    store: np.ndarray
    update: np.ndarray
    vector: np.ndarray


LOOPS = (
    *("outer", "inner", "segments", "lines", "rows", "d1_count", "d2_count", "d3_count"),
    *("tiles_p", "tiles_q", "products0", "products1", "passes"),
    *("taps", "in_blocks", "out_blocks"),
)
"""Counts of loops: none may be 0."""


def decode(config: SATConfig, program: list[Instruction]) -> Decoded:
    """The tables of a program that `validate` would pass.

    ValueError where it does not end with its only HALT, an EXEC does not fit the array, or a loop
    has no turn.
    """
    halts = [index for index, each in enumerate(program) if isinstance(each, Halt)]
    if halts != [len(program) - 1]:
        raise ValueError(f"HALT stands at {halts}, it must be the last instruction and only that")
    rows: list[tuple[int, ...]] = []
    kinds: dict[str, list[Fields]] = {name: [] for name in ("load", "execute", *_OTHERS)}
    for number, each in enumerate(program):
        _need_turns(number, each)
        name, fields = _KINDS[each.OPCODE](config, each)
        rows.append((ENGINE[each.OPCODE], len(kinds.get(name, ())), each.wait, each.signal))
        if name in kinds:
            kinds[name].append(fields)
    tables = {name: _rows(_DTYPES[name], kinds[name]) for name in kinds}
    table = np.array(rows, ROW)
    queue = np.argsort(table["engine"], kind="stable")
    queue_start = np.searchsorted(table["engine"][queue], np.arange(len(Engine)))
    return Decoded(rows=table, queue=queue, queue_start=queue_start, **tables)


def _need_turns(number: int, each: Instruction) -> None:
    for name in LOOPS:
        if getattr(each, name, 1) < 1:
            where = f"instruction {number} ({each.OPCODE.name})"
            raise ValueError(f"{where}: {name} is {getattr(each, name)}, it must be at least 1")


def _rows(dtype: np.dtype, fields: list[Fields]) -> np.ndarray:
    names = dtype.names or ()
    return np.array([tuple(each[name] for name in names) for each in fields], dtype)


def array_op(each: Exec, *, resumed: bool) -> ArrayOp:
    """One operation of an EXEC: a chunk, or a pass of it where it is weight-stationary."""
    return ArrayOp(
        dataflow=Dataflow.WS if each.ws else Dataflow.OS,
        n=each.n,
        m=each.m,
        ir=each.ir,
        is_=each.is_,
        groups=each.groups,
        tiles=_tiles(each),
        a_order=Order(each.a_mn),
        b_order=Order(each.b_mn),
        resume=resumed,
        least_period=each.least_period,
    )


def _tiles(each: Exec) -> int:
    tiles = each.products0 * each.products1 * each.tiles_q
    return tiles if each.ws else tiles * each.tiles_p


@lru_cache(maxsize=4096)
def _array(config: SATConfig, op: ArrayOp) -> tuple[Pace, int, int]:
    op.validate(config)
    release, tail = array_release(config, op), array_tail(config, op)
    return array_pace(config, op), release, tail


def _execute(config: SATConfig, each: Exec) -> tuple[str, Fields]:
    op = array_op(each, resumed=False)
    fresh, release, tail = _array(config, op)
    again = array_op(each, resumed=True)
    tiles = _tiles(each)
    derived = {
        "fresh_goes_on": not (each.ws or each.chain or each.resume),
        "resumed_goes_on": sums_return(config, again),
        "tiles": tiles,
        "slots": tiles * each.groups,
        "feed": op.feed(config, bool(each.a_shared)),
        "release": release,
        "tail": tail,
        "fresh": fresh,
        "resumed": _array(config, again)[0],
    }
    return "execute", vars(each) | derived


def _load_a(config: SATConfig, each: LoadA) -> tuple[str, Fields]:
    line = config.line_bytes
    values = ("address", "outer_stride", "inner_stride", "segment_stride")
    fields = dict.fromkeys(LOAD.names or (), 0) | vars(each)
    return "load", fields | {name: getattr(each, name) // line for name in values}


def _load_b(config: SATConfig, each: LoadB) -> tuple[str, Fields]:
    line, values = config.line_bytes, config.line_bytes // 2
    fields = _load_a(config, each)[1]
    for name in ("index_address", "index_outer_stride", "index_inner_stride"):
        fields[name] //= line
    fields["index_segment_stride"] //= line
    if each.mode == Mode.PRUNE:
        fields["cost"] = values // config.sore_lanes
        fields["tail"] = each.n * config.cols // config.sore_lanes + SORE_LATENCY
    if each.mode == Mode.TRANSPOSE:
        rows = -(-each.tokens // config.cols) * each.channels
        fields["cost"] = values // config.cols
        fields["fill"] = rows - each.lines * fields["cost"]
        fields["tail"] = each.channels + TRANSPOSE
    return "load", fields


def _store(config: SATConfig, each: Store) -> tuple[str, Fields]:
    return "store", vars(each) | {"row_bytes": config.cols * (4 if each.wide else 2)}


def _update(config: SATConfig, each: Update) -> tuple[str, Fields]:
    block, m, columns = config.block, each.m, config.cols
    natural, turned = "forward", "backward"
    down, across = each.in_blocks, each.out_blocks
    if each.transposed:
        natural, turned, down, across = turned, natural, across, down
    sparse = each.n < m
    computed, copied = update_latencies(
        config, each.n, m, pruned=bool(each.copies) and sparse, transposed=bool(each.transposed)
    )
    derived = {
        "natural": getattr(each, natural),
        "natural_index": getattr(each, f"{natural}_index"),
        "turned": getattr(each, turned),
        "turned_index": getattr(each, f"{turned}_index"),
        "index": int(sparse),
        "down": down,
        "across": across,
        "squares": down * each.taps * across,
        "square_bytes": block * block * 4,
        "parts": block // columns,
        "kept": block * each.n // m,
        "natural_rows": column_rows(config, each.taps * down * block, each.n, m),
        "turned_rows": column_rows(config, each.taps * across * block, each.n, m),
        "row_bytes": columns * 2,
        "index_bytes": columns // 2,
        "elements": block * block // config.wuve_lanes,
        "computed": computed,
        "copied": copied,
    }
    return "update", vars(each) | derived


_KINDS: dict[Opcode, Callable[..., tuple[str, Fields]]] = {
    Opcode.HALT: lambda config, each: ("halt", {}),
    Opcode.LOAD_A: _load_a,
    Opcode.LOAD_B: _load_b,
    Opcode.EXEC: _execute,
    Opcode.STORE: _store,
    Opcode.UPDATE: _update,
    Opcode.VECTOR: lambda config, each: ("vector", dict(vars(each))),
}
_OTHERS = ("store", "update", "vector")
_DTYPES = {
    "load": LOAD,
    "execute": EXECUTE,
    "store": STORE_TABLE,
    "update": UPDATE_TABLE,
    "vector": VECTOR_TABLE,
}
