"""The networks of ``peer_nets`` in torch, each module used once, as the peers ask.

They take images ``(N, C, H, W)``. Weights are given in JAX's layouts: kernels of
convolutions ``(h, w, I, O)``, of dense layers ``(I, O)``, flattened images in the order
of ``(H, W, C)``.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from zennit.layer import Sum

Weights = Mapping[str, np.ndarray]


def tiny_conv(weights: Weights) -> nn.Module:
    """Two convolutions, max pooling, a dense layer."""
    return nn.Sequential(
        _named(
            conv1=_conv(weights, "conv1"),
            relu1=nn.ReLU(),
            conv2=_conv(weights, "conv2"),
            relu2=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            flat=nn.Flatten(),
            dense=_dense(weights, "dense", (4, 4)),
        )
    )


def tiny_residual(weights: Weights) -> nn.Module:
    """Batch norms, a residual sum, mean pooling by window and of the whole image."""
    return nn.Sequential(
        _named(
            conv1=_conv(weights, "conv1"),
            norm1=_norm(weights, "norm1"),
            relu1=nn.ReLU(),
            block=TinyBlock(weights),
            relu3=nn.ReLU(),
            pool=nn.AvgPool2d(2),
            conv4=_conv(weights, "conv4"),
            relu4=nn.ReLU(),
            mean=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            dense=_dense(weights, "dense"),
        )
    )


class TinyBlock(nn.Module):
    """``x + norm3(conv3(relu(norm2(conv2(x)))))``."""

    def __init__(self, weights: Weights):
        super().__init__()
        self.conv2 = _conv(weights, "conv2")
        self.norm2 = _norm(weights, "norm2")
        self.relu2 = nn.ReLU()
        self.conv3 = _conv(weights, "conv3")
        self.norm3 = _norm(weights, "norm3")
        self.sum = Sum()

    def forward(self, x):
        branch = self.norm3(self.conv3(self.relu2(self.norm2(self.conv2(x)))))
        return self.sum(torch.stack([x, branch], -1))


def tiny_smooth(weights: Weights) -> nn.Module:
    """Nonlinearities that are nowhere piecewise linear."""
    return nn.Sequential(
        _named(
            conv1=_conv(weights, "conv1"),
            tanh=nn.Tanh(),
            conv2=_conv(weights, "conv2", stride=2),
            softplus=nn.Softplus(),
            flat=nn.Flatten(),
            dense1=_dense(weights, "dense1", (4, 4)),
            sigmoid=nn.Sigmoid(),
            dense2=_dense(weights, "dense2"),
        )
    )


class Normalised(nn.Module):
    """A network of pixels in [0, 1]."""

    def __init__(self, network: nn.Module, mean, std):
        super().__init__()
        self.network = network
        for name, values in {"mean": mean, "std": std}.items():
            values = torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)
            self.register_buffer(name, values)

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


class Windows(nn.Module):
    """The windows of a max pooling side by side, so that none overlap; zeros around."""

    def __init__(self, pool: nn.MaxPool2d):
        super().__init__()
        self.size, self.stride = pool.kernel_size, pool.stride
        self.padding = pool.padding

    def forward(self, x):
        x = F.pad(x, [self.padding] * 4)
        # (N, C, H', W', h, w) to (N, C, H' h, W' w)
        x = x.unfold(2, self.size, self.stride).unfold(3, self.size, self.stride)
        n, c, rows, columns, h, w = x.shape
        return x.transpose(3, 4).reshape(n, c, rows * h, columns * w)


def apart(network: nn.Module) -> nn.Module:
    """A copy for captum's DeepLIFT, whose max poolings follow ReLUs at a distance.

    Captum forgets what its rule for max pooling says if a module with a rule of its
    own stands right before it, and where windows overlap it keeps one of the sums.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.MaxPool2d):
                pool = nn.MaxPool2d(module.kernel_size)
                setattr(parent, name, nn.Sequential(Windows(module), pool))
    return network


def unrolled(network: nn.Module) -> nn.Module:
    """A ResNet whose blocks use each ReLU once."""
    from torchvision.models.resnet import Bottleneck

    for module in list(network.modules()):
        if isinstance(module, Bottleneck):
            module.relu1, module.relu2 = nn.ReLU(), nn.ReLU()
            module.forward = _unrolled_forward.__get__(module)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network


def _unrolled_forward(self, x):
    y = self.relu1(self.bn1(self.conv1(x)))
    y = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(y)))))
    return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _named(**modules: nn.Module) -> OrderedDict[str, nn.Module]:
    return OrderedDict(modules)


def _conv(weights: Weights, name: str, stride: int = 1) -> nn.Conv2d:
    """Padded so that a stride of one keeps the size."""
    kernel = _tensor(weights[f"{name}/kernel"]).permute(3, 2, 0, 1)
    outputs, inputs, window, _ = kernel.shape
    layer = nn.Conv2d(inputs, outputs, window, stride, (window - 1) // 2)
    return _filled(layer, kernel, weights[f"{name}/bias"])


def _dense(
    weights: Weights, name: str, image: tuple[int, int] | None = None
) -> nn.Linear:
    kernel = _tensor(weights[f"{name}/kernel"])
    inputs, outputs = kernel.shape
    if image is not None:
        kernel = kernel.reshape(*image, -1, outputs).permute(2, 0, 1, 3)
    kernel = kernel.reshape(inputs, outputs).T
    return _filled(nn.Linear(inputs, outputs), kernel, weights[f"{name}/bias"])


def _norm(weights: Weights, name: str) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(len(weights[f"{name}/scale"]), eps=1e-5)
    with torch.no_grad():
        layer.running_mean = _tensor(weights[f"{name}/mean"])
        layer.running_var = _tensor(weights[f"{name}/var"])
    return _filled(layer, _tensor(weights[f"{name}/scale"]), weights[f"{name}/bias"])


def _filled(layer, kernel: torch.Tensor, bias: np.ndarray):
    layer.weight = nn.Parameter(kernel.contiguous())
    layer.bias = nn.Parameter(_tensor(bias))
    return layer


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))
