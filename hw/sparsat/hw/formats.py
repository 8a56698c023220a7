"""Floating-point formats: pure data, shared by hardware, compiler and golden model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FloatFormat:
    """A binary format like IEEE 754's: a sign, `exp_bits` of exponent, `frac_bits` of fraction.

    `subnormals` says whether subnormal values are honoured; where they are not, they are read as
    zero and never produced.
    """

    name: str
    exp_bits: int
    frac_bits: int
    subnormals: bool

    @property
    def width(self) -> int:
        return 1 + self.exp_bits + self.frac_bits

    @property
    def bias(self) -> int:
        return (1 << (self.exp_bits - 1)) - 1

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def exp_max(self) -> int:
        """The all-ones exponent field, which marks infinities and NaN."""
        return (1 << self.exp_bits) - 1

    @property
    def quiet_nan(self) -> int:
        """The canonical quiet NaN: positive, top fraction bit set."""
        return (self.exp_max << self.frac_bits) | (1 << (self.frac_bits - 1))


FP16 = FloatFormat("fp16", exp_bits=5, frac_bits=10, subnormals=True)
BF16 = FloatFormat("bf16", exp_bits=8, frac_bits=7, subnormals=False)
FP32 = FloatFormat("fp32", exp_bits=8, frac_bits=23, subnormals=False)

OPERAND_FORMATS = {f.name: f for f in (FP16, BF16)}
