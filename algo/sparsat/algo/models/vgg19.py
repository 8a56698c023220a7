"""VGG19 with batch norm.

Source: Simonyan and Zisserman 2015, configuration E. At 224 pixels it has the three fully
connected layers of the paper; at smaller sizes the usual CIFAR form, one linear layer.
"""

from torch import Tensor, nn

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""(channels, convolutions) of the five stages; each ends in a 2×2 max pooling."""


def _features() -> nn.Sequential:
    layers: list[nn.Module] = []
    cin = 3
    for cout, depth in STAGES:
        for _ in range(depth):
            layers += [nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU()]
            cin = cout
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _classifier(classes: int, image: int) -> nn.Sequential:
    if image < 224:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
    hidden: list[nn.Module] = []
    for cin in (512 * 7 * 7, 4096):
        hidden += [nn.Linear(cin, 4096), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten(), *hidden, nn.Linear(4096, classes))


class VGG19(nn.Module):
    """Images `[n, 3, image, image]` (image ≥ 32) to logits `[n, classes]`."""

    def __init__(self, classes: int, image: int) -> None:
        super().__init__()
        self.features = _features()
        self.classifier = _classifier(classes, image)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
