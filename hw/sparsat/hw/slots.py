"""What passes between the conductor and the row heads: an operation's constants, slots, sums."""

from amaranth.lib.data import StructLayout

from sparsat.hw.array_op import ACC_LOOP
from sparsat.hw.config import SATConfig


def op_layout(config: SATConfig) -> StructLayout:
    """An operation as the row heads see it, held still while it runs.

    `n`, `ir`, `is_`, `load_a` and `load_b` count from zero: they hold the last index.
    """
    d = (config.depth - 1).bit_length()
    return StructLayout(
        {
            "ws": 1,
            "resume": 1,
            "n": 4,
            "ir": d,
            "is_": d,
            "last_j": d,
            "gap": range(ACC_LOOP),  # idle cycles after each round of the interleave
            "load_a": 6,
            "load_b": 6,
            "period": 10,
            "a_step_ir": 5,  # address steps, see ArrayOp's orders
            "a_step_n": 5,
            "b_step_is": 5,
            "b_step_n": 5,
            "pops": 12,  # exchanged sums sent per pass, besides the own ones
        }
    )


SLOT = StructLayout(
    {
        "load_a": 1,
        "load_b": 1,
        "compute": 1,
        "first": 1,  # sums start here …
        "last": 1,  # … and end here
        "fill": 1,  # no slot: only a pass of initial sums
        "take": 1,  # initial sums enter: of the next slot (WS), of the tile after next (OS)
        "end": 1,
        "a_sel": 1,  # buffer to compute from; the other one is loaded
        "b_sel": 1,
        "half": 1,  # exchange half of this tile
    }
)
"""What one slot does."""


def send_layout(config: SATConfig) -> StructLayout:
    """A sum on its way to the next row: valid, where it goes, whether it leaves the array."""
    return StructLayout({"valid": 1, "addr": (config.depth - 1).bit_length() + 1, "out": 1})
