"""Robust networks for CIFAR-10 in torch, written from their papers, for the goldens.

Names of modules are those of published checkpoints. Only ``make_goldens.py`` imports it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn


def build(model: str, source: str, num_classes: int) -> nn.Module:
    """A network as ``make_goldens.py`` asks for it."""
    if source == "deepmind":
        return DeepMind(num_classes)
    if model == "cifar_wide_resnet28_10":
        return Trades(num_classes)
    depths, expansion = {
        "cifar_resnet18": ((2, 2, 2, 2), 1),
        "cifar_resnet50": ((3, 4, 6, 3), 4),
    }[model]
    return ResNet(depths, expansion, num_classes)


def conv(inputs: int, outputs: int, window: int, stride: int = 1, padding: int = 1):
    if window == 1:
        padding = 0
    return nn.Conv2d(inputs, outputs, window, stride, padding, bias=False)


class Residual(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, expansion: int):
        super().__init__()
        outputs = width * expansion
        windows = (3, 3) if expansion == 1 else (1, 3, 1)
        widths = [inputs, *[width] * (len(windows) - 1), outputs]
        strided = len(windows) - 2  # the 3x3, or the first of two
        for i, window in enumerate(windows):
            step = stride if i == strided else 1
            setattr(self, f"conv{i + 1}", conv(widths[i], widths[i + 1], window, step))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        self.count = len(windows)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            projection = conv(inputs, outputs, 1, stride)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = F.relu(y)
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, depths, expansion: int, num_classes: int):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 3), nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        channels = 64
        for i, depth in enumerate(depths):
            width, blocks = 64 * 2**i, []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(Residual(channels, width, stride, expansion))
                channels = width * expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.linear(x.mean((2, 3)))


class TradesBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs, 3)
        projects = inputs != outputs
        self.convShortcut = conv(inputs, outputs, 1, stride) if projects else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class Stage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class Trades(nn.Module):
    """WideResNet-28-10 in the names of TRADES."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.conv1 = conv(3, 16, 3)
        channels = 16
        for i, width in enumerate((160, 320, 640)):
            blocks = []
            for j in range(4):
                blocks.append(TradesBlock(channels, width, 1 if i == 0 or j else 2))
                channels = width
            setattr(self, f"block{i + 1}", Stage(blocks))
        self.bn1, self.relu = nn.BatchNorm2d(channels), nn.ReLU()
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.relu(self.bn1(x)).mean((2, 3)))


class DeepMindBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = conv(inputs, outputs, 3, stride, padding=0)
        self.batchnorm_1 = nn.BatchNorm2d(outputs)
        self.conv_1 = conv(outputs, outputs, 3)
        projects = inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, stride) if projects else None
        self.margin = (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1)

    def forward(self, x):
        active = F.silu(self.batchnorm_0(x))
        y = self.conv_0(F.pad(active, self.margin))
        y = self.conv_1(F.silu(self.batchnorm_1(y)))
        return y + (x if self.shortcut is None else self.shortcut(active))


class Blocks(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.block = nn.Sequential(*blocks)

    def forward(self, x):
        return self.block(x)


class DeepMind(nn.Module):
    """WideResNet-28-10 in DeepMind's names; pixels come normalised."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.init_conv = conv(3, 16, 3)
        channels, stages = 16, []
        for i, width in enumerate((160, 320, 640)):
            blocks = []
            for j in range(4):
                blocks.append(DeepMindBlock(channels, width, 1 if i == 0 or j else 2))
                channels = width
            stages.append(Blocks(blocks))
        self.layer = nn.Sequential(*stages)
        self.batchnorm, self.relu = nn.BatchNorm2d(channels), nn.SiLU()
        self.logits = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.layer(self.init_conv(x))
        return self.logits(self.relu(self.batchnorm(x)).mean((2, 3)))
