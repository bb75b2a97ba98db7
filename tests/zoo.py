"""Small networks of the kinds that people have, with random weights and norms that are not the identity."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.networks.soundnet import SoundNet

CLASSES = 5


def norm_of(axes: int, width: int, with_norm: bool) -> nn.Module:
    return {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[axes](width) if with_norm else nn.Identity()


class Vgg(nn.Module):
    """A chain of 2-D convolutions with pooling, and linear layers behind flattening."""

    def __init__(self, with_norm: bool):
        super().__init__()
        norm = partial(norm_of, 2, with_norm=with_norm)
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=not with_norm), norm(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1, bias=not with_norm), norm(12), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(12 * 4 * 4, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class Residual(nn.Module):
    """Two convolutions and a way around them, with a convolution of its own where the width changes."""

    def __init__(self, wide_in: int, wide: int, stride: int, with_norm: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(wide_in, wide, 3, stride, 1, bias=not with_norm)
        self.conv2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=not with_norm)
        self.bn1, self.bn2 = (norm_of(2, wide, with_norm) for _ in range(2))
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(wide_in, wide, 1, stride, bias=not with_norm), norm_of(2, wide, with_norm)
            )

    def forward(self, x: Tensor) -> Tensor:
        inside = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inside + self.shortcut(x))


class Resnet(nn.Module):
    def __init__(self, with_norm: bool):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=not with_norm)
        self.norm = norm_of(2, 8, with_norm)
        self.stage1 = nn.Sequential(*(Residual(8, 8, 1, with_norm) for _ in range(2)))
        self.stage2 = nn.Sequential(Residual(8, 12, 2, with_norm), Residual(12, 12, 1, with_norm))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.stage1(F.relu(self.norm(self.stem(x)))))
        return self.head(x.mean((2, 3)))


class Inverted(nn.Module):
    """Expanded, depthwise, projected, and a way around where nothing is strided."""

    def __init__(self, wide: int, with_norm: bool):
        super().__init__()
        conv, norm = partial(nn.Conv2d, bias=not with_norm), partial(norm_of, 2, with_norm=with_norm)
        self.expand = nn.Sequential(conv(wide, 3 * wide, 1), norm(3 * wide), nn.ReLU6())
        self.depthwise = nn.Sequential(
            conv(3 * wide, 3 * wide, 3, padding=1, groups=3 * wide), norm(3 * wide), nn.ReLU6()
        )
        self.project = nn.Sequential(conv(3 * wide, wide, 1), norm(wide))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.depthwise(self.expand(x)))


class Mobilenet(nn.Module):
    def __init__(self, with_norm: bool):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=not with_norm), norm_of(2, 8, with_norm), nn.ReLU6()
        )
        self.blocks = nn.Sequential(Inverted(8, with_norm), Inverted(8, with_norm))
        self.last = nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(F.relu6(self.last(self.blocks(self.stem(x)))), 1).flatten(1))


class Dense(nn.Module):
    """Norm, activation and convolution, whose maps are put beside what came in."""

    def __init__(self, wide_in: int, growth: int, with_norm: bool):
        super().__init__()
        self.norm = norm_of(2, wide_in, with_norm)
        self.conv = nn.Conv2d(wide_in, growth, 3, padding=1, bias=not with_norm)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class Densenet(nn.Module):
    def __init__(self, with_norm: bool):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.block1 = nn.Sequential(*(Dense(6 + 4 * n, 4, with_norm) for n in range(3)))
        self.transition = nn.Sequential(
            norm_of(2, 18, with_norm), nn.ReLU(), nn.Conv2d(18, 8, 1), nn.AvgPool2d(2)
        )
        self.block2 = nn.Sequential(*(Dense(8 + 4 * n, 4, with_norm) for n in range(2)))
        self.norm = norm_of(2, 16, with_norm)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.transition(self.block1(self.stem(x))))
        return self.head(F.relu(self.norm(x)).mean((2, 3)))


class Grouped(nn.Module):
    """One axis, convolutions in groups, and a linear layer behind flattening."""

    def __init__(self, with_norm: bool):
        super().__init__()
        norm = partial(norm_of, 1, with_norm=with_norm)
        self.conv1, self.norm1 = nn.Conv1d(1, 8, 9, stride=2), norm(8)
        self.conv2, self.norm2 = nn.Conv1d(8, 12, 5, groups=2, padding=2), norm(12)
        self.conv3, self.norm3 = nn.Conv1d(12, 12, 3, groups=3, dilation=2), norm(12)
        self.head = nn.Linear(12 * 8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return self.head(F.max_pool1d(F.relu(self.norm3(self.conv3(x))), 3).flatten(1))


READ = {
    "vgg": {"features.4": ["features.0"], "classifier.1": ["features.4"], "classifier.4": ["classifier.1"]},
    "resnet": {
        "stage1.0.conv1": ["stem"],
        "stage1.0.conv2": ["stage1.0.conv1"],
        "stage1.1.conv1": ["stem"],
        "stage1.1.conv2": ["stage1.1.conv1"],
        "stage2.0.conv1": ["stem"],
        "stage2.0.shortcut.0": ["stem"],
        "stage2.0.conv2": ["stage2.0.conv1"],
        "stage2.1.conv1": ["stage2.0.conv2"],
        "stage2.1.conv2": ["stage2.1.conv1"],
        "head": ["stage2.0.conv2"],
    },
    "mobilenet": {
        "blocks.0.expand.0": ["stem.0"],
        "blocks.0.project.0": ["blocks.0.expand.0"],
        "blocks.1.expand.0": ["stem.0"],
        "blocks.1.project.0": ["blocks.1.expand.0"],
        "last": ["stem.0"],
        "head": ["last"],
    },
    "densenet": {
        "block1.0.conv": ["stem"],
        "block1.1.conv": ["stem", "block1.0.conv"],
        "block1.2.conv": ["stem", "block1.0.conv", "block1.1.conv"],
        "transition.2": ["stem", "block1.0.conv", "block1.1.conv", "block1.2.conv"],
        "block2.0.conv": ["transition.2"],
        "block2.1.conv": ["transition.2", "block2.0.conv"],
        "head": ["transition.2", "block2.0.conv", "block2.1.conv"],
    },
    "grouped": {"conv2": ["conv1"], "conv3": ["conv2"], "head": ["conv3"]},
}
"""Layer -> the layers whose maps it reads, side by side. Of those whose maps are added, one stands for all."""

COUPLED = {
    "resnet": [("stem", "stage1.0.conv2", "stage1.1.conv2"), ("stage2.0.conv2", "stage2.0.shortcut.0", "stage2.1.conv2")],
    "mobilenet": [
        ("stem.0", "blocks.0.project.0", "blocks.1.project.0"),
        ("blocks.0.expand.0", "blocks.0.depthwise.0"),
        ("blocks.1.expand.0", "blocks.1.depthwise.0"),
    ],
}  # fmt: skip
"""Layers whose maps are added, or of which one reads the other's map by map; others stand alone."""

ZOO = {"vgg": Vgg, "resnet": Resnet, "mobilenet": Mobilenet, "densenet": Densenet, "grouped": Grouped}


def example(name: str, clips: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((clips, 1, 64) if name == "grouped" else (clips, 1, 16, 16), generator=generator)


def build(name: str, with_norm: bool = True) -> nn.Module:
    """A network of the zoo in evaluation mode; its norms shift and scale, so that what is removed behind them is not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ZOO[name](with_norm)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.weight.data, module.bias.data, module.running_var):
                    tensor.uniform_(0.5, 1.5)
                module.running_mean.uniform_(-0.5, 0.5)
    return network.eval()


def random_soundnet() -> SoundNet:
    """Return a SoundNet with seeded random weights whose activations stay near unit size."""
    generator = torch.Generator().manual_seed(0)
    model = SoundNet()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif name.startswith("conv") and name.endswith("weight"):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif tensor.dtype.is_floating_point:
            tensor.normal_(0.3, 0.5, generator=generator)
    return model.eval().requires_grad_(False)
