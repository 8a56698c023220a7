"""MaskLLM: weights frozen, a distribution over the N:M masks of each group learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..patterns import NMPattern
from ..sites import Site
from .base import IN, Method
from .sparsegpt import sparsegpt
from .wanda import wanda_mask

PRIORS = ("none", "magnitude", "wanda", "sparsegpt")
MAX_CANDIDATES = 128


@dataclass(frozen=True)
class MaskLLM(Method):
    """MaskLLM (Fang et al. 2024, "MaskLLM: learnable semi-structured sparsity for LLMs", §3).

    Each group has one logit per candidate mask; training multiplies the weight by the mixture
    softmax((κπ + Gumbel noise)/τ) of candidates, κ rising and τ falling linearly over
    `total_steps`; this is dense arithmetic. Evaluation and `final` use the likeliest candidate.

    `prior` raises the logits of the candidates close to a given mask, by `prior_strength` standard
    deviations per shared entry; imported masks take its place, which is how masks move to a
    downstream task. "sparsegpt" gives only its mask: weights stay. `norm_penalty` weighs the term
    -Σ‖w⊙mask‖² of the loss, and falls to 0.

    Only the logits train: `Handle.parameters()`. They are not in the model's state_dict and stay
    when a checkpoint is loaded over the weights. `prepare` refuses more than one process.
    """

    name: ClassVar[str] = "maskllm"
    calibrated: ClassVar[bool] = True
    adds_parameters: ClassVar[bool] = True
    state_keys: ClassVar[tuple[str, ...]] = ("candidates", "schedule")
    prior: str = "magnitude"
    prior_strength: float = 3.0
    kappa: tuple[float, float] = (1e2, 5e2)
    tau: tuple[float, float] = (4.0, 0.05)
    norm_penalty: float = 1e-5
    init_std: float = 0.01
    total_steps: int | None = None

    def __post_init__(self) -> None:
        if self.prior not in PRIORS:
            raise ValueError(f"prior is {self.prior!r}; allowed: {', '.join(PRIORS)}")
        if not self.total_steps or self.total_steps < 1:
            raise ValueError(
                f"total_steps is {self.total_steps}; maskllm needs the run's length, ≥ 1"
            )

    @property
    def axes(self) -> tuple[int, ...]:
        return (IN,)

    def check(self, pattern: NMPattern) -> None:
        candidates = comb(pattern.m, pattern.n_keep)
        if candidates > MAX_CANDIDATES:
            raise ValueError(
                f"pattern is {pattern}: {candidates} candidate masks per group; "
                f"allowed: up to {MAX_CANDIDATES}"
            )

    def setup(self, site: Site) -> None:
        site.hold("candidates", _candidates(site.pattern).to(site.weight.device))
        site.hold("schedule", torch.tensor([self.kappa[0], self.tau[0]]))
        groups = site.weight.numel() // site.pattern.m
        shape = (groups, comb(site.pattern.m, site.pattern.n_keep))
        logits = torch.empty(shape, device=site.weight.device)
        site.extra["logits"] = nn.Parameter(logits.normal_(0.0, self.init_std))
        if self.prior == "magnitude":
            self.set_mask(site, site.pattern.mask(site.weight, IN))

    def renew(self, site: Site) -> None:
        """Nothing here comes from the weight but the start of the logits."""

    def calibrate(self, site: Site, inputs: Iterable[Tensor]) -> None:
        if self.prior == "wanda":
            self.set_mask(site, wanda_mask(site, inputs))
        elif self.prior == "sparsegpt":
            self.set_mask(site, sparsegpt(site, inputs)[1])

    def set_mask(self, site: Site, mask: Tensor) -> bool:
        """Restart the logits, raised for each candidate by the entries it shares with `mask`."""
        overlap = _to_groups(mask, site).float() @ site.held("candidates").t()
        mean = site.pattern.n_keep**2 / site.pattern.m
        site.extra["logits"].normal_(0.0, self.init_std)
        site.extra["logits"].add_(self.init_std * self.prior_strength * (overlap - mean))
        return True

    def operands(self, site: Site, training: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if training:
            return site.weight * self._sampled_mask(site), None, None
        return site.weight.masked_fill(~self.mask(site), 0.0), None, None

    def mask(self, site: Site) -> Tensor:
        chosen = site.held("candidates")[site.extra["logits"].detach().argmax(-1)]
        return _from_groups(chosen, site) > 0

    def parameters(self, site: Site) -> list[Any]:
        return [site.extra["logits"]]

    def advance(self, site: Site, step: int) -> None:
        done = self._progress(step)
        now = [a + (b - a) * done for a, b in (self.kappa, self.tau)]
        site.hold("schedule", torch.tensor(now))

    def penalty(self, site: Site, step: int) -> Tensor | float:
        """-λ·Σ‖w⊙mask‖² of a fresh sample of the mask."""
        strength = self.norm_penalty * (1.0 - self._progress(step))
        return -strength * (site.weight * self._sampled_mask(site)).square().sum()

    def _progress(self, step: int) -> float:
        assert self.total_steps is not None
        return min(step / self.total_steps, 1.0)

    def _sampled_mask(self, site: Site) -> Tensor:
        logits = site.extra["logits"]
        kappa, tau = site.held("schedule").to(logits.device).unbind()
        noise = -torch.empty_like(logits).exponential_().log()
        mixture = torch.softmax((kappa * logits + noise) / tau, -1)
        return _from_groups(mixture @ site.held("candidates"), site)


def _candidates(pattern: NMPattern) -> Tensor:
    """All masks of a group, float [C(m, n_keep), m]."""
    chosen = torch.tensor(list(combinations(range(pattern.m), pattern.n_keep)))
    return torch.zeros(len(chosen), pattern.m).scatter_(1, chosen, 1.0)


def _to_groups(mask: Tensor, site: Site) -> Tensor:
    return mask.movedim(IN, -1).reshape(-1, site.pattern.m)


def _from_groups(groups: Tensor, site: Site) -> Tensor:
    """[groups, m] as a tensor shaped as the weight."""
    shape = site.weight.movedim(IN, -1).shape
    return groups.reshape(shape).movedim(-1, IN)
