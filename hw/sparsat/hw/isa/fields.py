"""The bits and the meaning of every field, as Markdown: `make isa-fields`."""

from sparsat.hw.isa.encoding import OPCODE_BITS, PLACES, Place
from sparsat.hw.isa.instructions import INSTRUCTION_BYTES, Opcode

MEANING = {
    "op": "number for profiles",
    "wait": "mask of semaphores to take first",
    "signal": "mask of semaphores to give at the end",
    "address": "first byte in memory",
    "outer": "outer chunks",
    "outer_stride": "bytes",
    "inner": "inner chunks",
    "inner_stride": "bytes",
    "segments": "segments of a chunk",
    "segment_stride": "bytes",
    "lines": "lines of a segment",
    "mode": "0 COPY, 1 TRANSPOSE, 2 PRUNE",
    "n": "kept values of a group; n = m is dense",
    "log_m": "m = 2 << log_m",
    "tokens": "tokens of a segment (TRANSPOSE)",
    "channels": "values of a token (TRANSPOSE)",
    "index_address": "first byte of the indices",
    "index_outer_stride": "bytes",
    "index_inner_stride": "bytes",
    "index_segment_stride": "bytes",
    "index_lines": "lines of indices of a segment, 0 if nothing is packed",
    "ws": "weight-stationary, else output-stationary",
    "a_mn": "A in r-words, else k-words",
    "b_mn": "B in s-words, else k-words",
    "ir": "rows of A per cell",
    "is_": "columns of B per cell",
    "a_shared": "neighbours share the words of A that a feeder reads",
    "least_period": "least cycles of a slot",
    "a_advance": "next half of A: 0 ONCE, 1 OUTER, 2 EVERY chunk",
    "b_advance": "next half of B",
    "c_advance": "next half of C",
    "a_held": "begins with the half of A in use, no token is taken",
    "a_keep": "ends with the half of A in use, no token is given",
    "b_held": "as a_held",
    "b_keep": "as a_keep",
    "c_held": "as a_held",
    "c_keep": "as a_keep",
    "chain": "chunks go on with the sums of the one before in the same half of C",
    "resume": "sums begin with those in C",
    "p": "rows of the output",
    "tiles_p": "tiles along the rows",
    "q_blocks": "blocks of `cols` columns of the output",
    "tiles_q": "tiles, or sets of weights, along the columns",
    "groups": "slots of a tile, or of a set of weights",
    "passes": "passes over k (weight-stationary)",
    "k": "entries of the reduction",
    "products0": "independent products, inner loop",
    "products1": "independent products, outer loop",
    "a_base": "values into the half of A",
    "a_outer": "values per outer chunk",
    "a_inner": "values per inner chunk",
    "a_product0": "values per product, inner loop",
    "a_product1": "values per product, outer loop",
    **{f"{x}{d}_count": f"size of {x.upper()}.d{d}" for x in "rk" for d in range(2)},
    **{f"{x}{d}_a": f"values per {x.upper()}.d{d}" for x in "rk" for d in range(3)},
    **{f"{x}{d}_y": f"y per {x.upper()}.d{d}" for x in "rk" for d in (1, 2)},
    **{f"{x}{d}_x": f"x per {x.upper()}.d{d}" for x in "rk" for d in (0, 1)},
    "y0": "y of the first word",
    "x0": "x of the first word",
    "y_outer": "y per outer chunk",
    "y_inner": "y per inner chunk",
    "height": "words with y from 0 to height − 1 are there",
    "width": "words with x from 0 to width − 1 are there",
    "b_base": "rows into the half of B",
    "b_outer": "rows per outer chunk",
    "b_product0": "rows per product, inner loop",
    "b_product1": "rows per product, outer loop",
    **{f"b_k{d}": f"rows per K.d{d}" for d in range(3)},
    "b_last": "values of B in the last group of the reduction, 0 if all",
    "b_n": "rows per kept value",
    **{f"q{d}_count": f"size of Q.d{d}" for d in range(2)},
    **{f"b_q{d}": f"rows per Q.d{d}" for d in range(3)},
    "b_k0_x": "x per K.d0",
    "b_k1_y": "y per K.d1",
    "b_q1_x": "x per Q.d1",
    "b_q2_y": "y per Q.d2",
    "b_y0": "y of the first row",
    "b_x0": "x of the first row",
    "b_y_inner": "y per inner chunk",
    "b_height": "rows with y from 0 to b_height − 1 are there",
    "b_width": "rows with x from 0 to b_width − 1 are there",
    "c_base": "rows into the half of C",
    "c_product0": "rows per product, inner loop",
    "c_product1": "rows per product, outer loop",
    "c_p": "rows per row of the output",
    "c_q": "rows per block of columns",
    "wide": "rows go out in FP32, else FP16",
    "rows": "rows of a run",
    "c_row": "rows of C per row of a run",
    **{f"d{d}_count": f"runs along d{d}" for d in (1, 2, 3)},
    **{f"d{d}_c": f"rows of C per d{d}" for d in (1, 2, 3)},
    **{f"d{d}_stride": f"bytes per d{d}" for d in (1, 2, 3)},
    "master": "first byte of the weights",
    "momentum": "first byte of the momentum",
    "gradient": "first byte of the gradient",
    "new_master": "first byte of the new weights",
    "new_momentum": "first byte of the new momentum",
    "copies": "write the operands of the next step",
    "taps": "taps of the kernel",
    "in_blocks": "blocks of D input channels",
    "out_blocks": "blocks of D output channels",
    "forward": "first byte of the forward copy",
    "forward_index": "its indices",
    "backward": "first byte of the backward copy",
    "backward_index": "its indices",
    "rate": "learning rate, binary32",
    "momentum_factor": "binary32",
    "decay": "weight decay, binary32",
    "masked_decay": "decay of pruned weights, binary32",
    "inverse_scale": "one over the loss scale, binary32",
    "transposed": "masters, momentum and gradient have inputs and outputs exchanged",
    "read": "lines of memory read",
    "write": "lines of memory written",
}
"""By field: what a name means is the same in all instructions that have it."""

HEAD = f"""\
# The fields of the instructions

Made by `make isa-fields`. [isa.md](isa.md) says what the instructions do. Each takes
{INSTRUCTION_BYTES} bytes. Bits {OPCODE_BITS - 1}–0 are the opcode, those beyond the last field 0.
Signed fields are two's complement.
"""


def to_markdown() -> str:
    return HEAD + "".join(_table(opcode) for opcode in Opcode)


def _table(opcode: Opcode) -> str:
    title = f"\n## {opcode.name} (opcode {int(opcode)})\n\n"
    head = "| field | bits | signed | default | meaning |\n|---|--:|---|--:|---|\n"
    return title + head + "".join(_row(place) for place in PLACES[opcode])


def _row(place: Place) -> str:
    bits = f"{place.end - 1}–{place.start}" if place.width.bits > 1 else str(place.start)
    signed = "signed" if place.width.signed else ""
    meaning = MEANING[place.name]
    return f"| `{place.name}` | {bits} | {signed} | {place.default} | {meaning} |\n"


if __name__ == "__main__":
    print(to_markdown(), end="")
