"""The pruning methods, by name."""

from .base import Method
from .bdwp import BDWP
from .bi_mask import BiMask
from .fixed import ASP, Fixed, Magnitude
from .maskllm import MaskLLM
from .mvue import MVUE
from .pdp import PDP
from .s_ste import SSTE
from .sdgp import SDGP
from .sdwp import SDWP
from .sparsegpt import SparseGPT
from .ste import SRSTE, STE
from .transposable import Transposable
from .wanda import Wanda

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Method,
        STE,
        SRSTE,
        SDGP,
        SDWP,
        BDWP,
        BiMask,
        Transposable,
        MVUE,
        SSTE,
        Fixed,
        ASP,
        Magnitude,
        Wanda,
        SparseGPT,
        PDP,
        MaskLLM,
    )
}

__all__ = ["METHODS", "Method"]
