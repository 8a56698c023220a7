"""What one half of each scratchpad holds."""

from dataclasses import dataclass

from sparsat.hw.config import SATConfig


@dataclass(frozen=True)
class Halves:
    """`a` in values of FP16, `b` in rows of FP16, `c` in rows of FP32."""

    a: int
    b: int
    c: int

    @classmethod
    def of(cls, config: SATConfig) -> "Halves":
        return cls(
            config.a_scratch_kib * 256,
            config.b_scratch_kib * 256 // config.cols,
            config.c_scratch_kib * 128 // config.cols,
        )
