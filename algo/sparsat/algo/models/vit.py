"""ViT-S: a small vision transformer at every dataset's size.

Source: Dosovitskiy et al. 2021 for the architecture, Touvron et al. 2021 for the "small" size
(12 blocks, 384 wide, 6 heads). Patches are image/14 pixels, rounded down to a power of two and at
least 4: 4 at 32 pixels, 4 at 64, 16 at 224. The head reads the mean of all tokens rather than a
class token, as in Beyer et al. 2022, "Better plain ViT baselines".
"""

import torch
from torch import Tensor, nn

from sparsat.algo.models.transformer import Block


def patch_size(image: int) -> int:
    """Edge of a patch in pixels for `image`×`image` inputs."""
    return max(4, 1 << ((image // 14).bit_length() - 1))


class ViT(nn.Module):
    """Images `[n, 3, image, image]` to logits `[n, classes]`; `patch` divides `image`."""

    def __init__(
        self,
        classes: int,
        image: int,
        *,
        patch: int | None = None,
        dim: int = 384,
        depth: int = 12,
        heads: int = 6,
    ) -> None:
        super().__init__()
        patch = patch or patch_size(image)
        if image % patch:
            raise ValueError(f"patch={patch} does not divide image={image}")
        self.patch_embed = nn.Conv2d(3, dim, patch, patch)
        self.position = nn.Parameter(torch.zeros(1, (image // patch) ** 2, dim))
        self.blocks = nn.Sequential(
            *(Block(dim, heads, 4 * dim, causal=False) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)
        self._initialize()

    def _initialize(self) -> None:
        nn.init.trunc_normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))
