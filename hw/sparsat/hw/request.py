"""An operation as the array takes it: the bits of an `ArrayOp`."""

from amaranth.lib.data import StructLayout

from sparsat.hw.array_op import MAX_PERIOD, ArrayOp, Dataflow, Order, log_m_of
from sparsat.hw.config import SATConfig

COUNT_BITS = 24


def request_layout(config: SATConfig) -> StructLayout:
    """An `ArrayOp` as the array takes it: `n`, `ir`, `is_` are plain numbers, see `log_m_of`."""
    d = config.depth.bit_length()
    return StructLayout(
        {
            "ws": 1,
            "a_mn": 1,
            "b_mn": 1,
            "resume": 1,
            "n": 5,
            "log_m": 2,
            "ir": d,
            "is_": d,
            "groups": COUNT_BITS,
            "tiles": COUNT_BITS,
            "least_period": MAX_PERIOD.bit_length(),
        }
    )


def encode_request(config: SATConfig, op: ArrayOp) -> int:
    """The bits of `request_layout` for a valid operation."""
    op.validate(config)
    fields = {
        "ws": op.dataflow is Dataflow.WS,
        "a_mn": op.a_order is Order.MN,
        "b_mn": op.b_order is Order.MN,
        "resume": op.resume,
        "n": op.n,
        "log_m": log_m_of(op.m),
        "ir": op.ir,
        "is_": op.is_,
        "groups": op.groups,
        "tiles": op.tiles,
        "least_period": op.least_period,
    }
    return request_layout(config).const(fields).as_value().value
