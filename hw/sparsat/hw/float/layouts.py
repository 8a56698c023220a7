"""Number layouts used inside the array.

IEEE words are unpacked once at the edge of the array, so that the cells, of which there are
hundreds, never spend logic on hidden bits, subnormals or conditional negation:

* significands are two's complement, so a sum needs neither operand swap by magnitude nor a final
  negation, and rounding to nearest even is the same operation for both signs;
* FP16 subnormals are normalised, with an exponent range wide enough to hold them;
* zero, infinity and NaN are exponent codes (operands) or flags (accumulators).
"""

from amaranth.hdl import signed
from amaranth.lib.data import StructLayout

from sparsat.hw.formats import FloatFormat

ACC_FRACTION = 23
"""Fraction bits of an accumulator: binary32."""


class OperandCodes:
    """Exponents of array operands of one format.

    A finite non-zero operand has value `mant · 2**(exp - exp_offset - bias - frac_bits)` before
    `row_bias` is added. `row_bias` is folded into the row operand's exponent so that the plain sum
    of a row and a column exponent is the exponent of their product in the accumulator's terms.

    The last eight exponents of either operand are codes: only their low two bits need be told
    apart, which keeps the test for them small.
    """

    ZERO, INF, NAN = 0, 1, 2

    def __init__(self, fmt: FloatFormat):
        # Exponent 0 is left to the column form of the smallest negative power of two.
        smallest = 1 - fmt.frac_bits if fmt.subnormals else 1
        self.exp_offset = 1 - smallest
        self.align = ACC_FRACTION + 1 - 2 * (fmt.frac_bits + 1)
        """Left shift that brings a product's significand into the accumulator's frame."""
        bias = 127 + ACC_FRACTION - self.align - 2 * (self.exp_offset + fmt.bias + fmt.frac_bits)
        self.row_bias = max(bias, 0)
        self.product_bias = min(bias, 0)
        largest = fmt.exp_max - 1 + self.exp_offset
        self.row_exp_bits = (largest + self.row_bias + 8).bit_length()
        self.col_exp_bits = (largest + 8).bit_length()

    @staticmethod
    def code(kind: int, exp_bits: int) -> int:
        """The exponent that marks a zero, infinity or NaN."""
        return (1 << exp_bits) - 8 + kind


def row_layout(fmt: FloatFormat) -> StructLayout:
    """Operand that moves right (A): full two's complement significand, biased exponent.

    Zero, infinity and NaN are exponent codes (`OperandCodes`).
    """
    return StructLayout({"mant": signed(fmt.frac_bits + 2), "exp": OperandCodes(fmt).row_exp_bits})


def col_layout(fmt: FloatFormat) -> StructLayout:
    """Operand that moves down (B): the significand's second bit is the inverted sign, not stored.

    Zero, infinity and NaN are exponent codes (`OperandCodes`).
    """
    return StructLayout({"frac": fmt.frac_bits, "sign": 1, "exp": OperandCodes(fmt).col_exp_bits})


def product_layout(fmt: FloatFormat) -> StructLayout:
    """Exact product, `mant · 2**(exp + align - 150)`; `inf` (with `sign`) and `nan` override."""
    codes = OperandCodes(fmt)
    exp_bits = max(codes.row_exp_bits, codes.col_exp_bits) + 1
    exp = signed(exp_bits + 1) if codes.product_bias else exp_bits
    return StructLayout(
        {"mant": signed(2 * fmt.frac_bits + 3), "exp": exp, "sign": 1, "inf": 1, "nan": 1}
    )


ACC_LAYOUT = StructLayout({"mant": signed(ACC_FRACTION + 3), "exp": 8, "inf": 1, "nan": 1})
"""Accumulator: value `mant · 2**(exp - 150)`, `2**23 <= |mant| <= 2**24`, or `mant == exp == 0`.

Every binary32 number except subnormals and -0 has one or two such forms; ±2**-126 may have exponent
0 and a `mant` of ±2**24. `inf` has its sign in
`mant`; `nan` overrides all else.
"""
