"""ResNet9: the small residual network of fast CIFAR training, at any width and channel count.

Source: the nine-layer network of David Page's "How to Train Your ResNet" (2018): one stem
convolution, three widening stages of which the first and the third carry a residual pair, one
linear head.
"""

from torch import Tensor, nn


def conv_bn(cin: int, cout: int, *, pool: bool = False) -> nn.Sequential:
    """3×3 convolution, batch norm and ReLU on `[n, cin, h, w]`; `pool` halves h and w."""
    layers: list[nn.Module] = [
        nn.Conv2d(cin, cout, 3, padding=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if pool else nn.Sequential(*layers)


class Residual(nn.Module):
    """Two `conv_bn` added to their own input, `[n, c, h, w]` to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(channels, channels), conv_bn(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNet9(nn.Module):
    """Images `[n, channels, h, w]` (h, w ≥ 8) to logits `[n, classes]`.

    `widths` are the channels of the stem and of the three stages.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: int = 3,
        widths: tuple[int, int, int, int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        stem, first, second, third = widths
        self.stem = conv_bn(channels, stem)
        self.stage1 = nn.Sequential(conv_bn(stem, first, pool=True), Residual(first))
        self.stage2 = conv_bn(first, second, pool=True)
        self.stage3 = nn.Sequential(conv_bn(second, third, pool=True), Residual(third))
        self.head = nn.Linear(third, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        return self.head(x.amax((2, 3)))
