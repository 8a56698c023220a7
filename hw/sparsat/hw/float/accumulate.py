"""Accumulator + exact product, rounded once to binary32."""

from sparsat.hw.float.layouts import ACC_LAYOUT, OperandCodes, product_layout
from sparsat.hw.float.sum import Sum
from sparsat.hw.formats import FloatFormat


class Accumulate(Sum):
    """A `Sum` of which p is a product and the result an accumulator again.

    A sum of an accumulator and a product of FP16 numbers cannot overflow: a product is below
    2**32, less than half a unit in the last place of any accumulator near 2**128. Nor can it
    become subnormal: products are multiples of 2**-48, so an accumulator below 2**-49 is either
    outweighed or kept, and a larger one is a multiple of 2**-72 like the sum. Only BF16 pays for
    those cases; there, a result that rounds to less than 2**-126 becomes zero.

    Parameters
    ----------
    fmt : FloatFormat
        Format of the factors of `p`.
    """

    def __init__(self, *, fmt: FloatFormat):
        self.fmt = fmt
        align = OperandCodes(fmt).align
        super().__init__(addend=product_layout(fmt), align=align, result=ACC_LAYOUT)

    def _limit(self, m, exp, doubled):
        """Turn a finite result outside binary32's range into infinity or zero."""
        if self.fmt.subnormals:
            return
        finite = ~self._flags.special
        with m.If(finite & ((exp > 254) | ((exp == 254) & doubled))):
            m.d.comb += self.o.inf.eq(1)
        with m.If(finite & ((exp < 0) | ((exp == 0) & ~doubled))):
            m.d.comb += [self.o.mant.eq(0), self.o.exp.eq(0)]
