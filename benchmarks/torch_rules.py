"""The maps of zennit and captum on torchvision's own networks."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import torch_zoo
from jaxattr import models

torch_zoo.import_torchvision()  # before zennit, which imports it as it is

import captum  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchvision.models.resnet import Bottleneck, ResNet  # noqa: E402
from zennit.composites import COMPOSITES  # noqa: E402
from zennit.torchvision import ResNetCanonizer, VGGCanonizer  # noqa: E402

ZENNIT = {
    "lrp epsilon_plus": "epsilon_plus",
    "lrp epsilon_plus_flat": "epsilon_plus_flat",
    "lrp epsilon_gamma_box": "epsilon_gamma_box",
    "lrp epsilon_alpha2_beta1": "epsilon_alpha2_beta1",
    "excitation_backprop": "excitation_backprop",
    "guided_backprop": "guided_backprop",
    "deconvnet": "deconvnet",
}
CAPTUM = {
    "deeplift": "DeepLift",
    "guided_backprop": "GuidedBackprop",
    "deconvnet": "Deconvolution",
}
STARTS_WITH_ONE = ("excitation_backprop", "guided_backprop", "deconvnet")


def versions() -> str:
    """Of what is compared."""
    return (
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, captum "
        f"{captum.__version__}. A process a network; zennit's hooks are registered and "
        "batch norms merged before the clock starts. `difference` is the largest over "
        "the largest value: rounding moves gradients at kinks, and captum's `DeepLift` "
        "loses its rule for max pooling behind an activation."
    )


def pairs() -> list[tuple[str, str]]:
    """Methods and peers."""
    return [
        ("input gradient", "torch"),
        *((name, "zennit") for name in ZENNIT),
        *((name, "captum") for name in CAPTUM),
    ]


def load_both(name: str) -> tuple[models.Classifier, nn.Module]:
    """As in ``torch_zoo``, no ReLU in place."""
    ours, theirs = torch_zoo.load_both(name)
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return ours, theirs


def _use_every_relu_once(network: nn.Module) -> None:
    """As captum asks."""
    for module in network.modules():
        if isinstance(module, Bottleneck):
            module.relu1, module.relu2 = nn.ReLU(), nn.ReLU()
            module.forward = _bottleneck.__get__(module)


def _bottleneck(self, x):
    y = self.relu1(self.bn1(self.conv1(x)))
    y = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(y)))))
    return self.relu(y + (x if self.downsample is None else self.downsample(x)))


Ready = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]


@contextlib.contextmanager
def ready(
    module: nn.Module, method: str, peer: str, images: jax.Array, labels: jax.Array
) -> Iterator[Ready]:
    """A function to time, and what makes its result a map ``(N, H, W, C)`` of pixels."""
    array = np.asarray(images).transpose(0, 3, 1, 2).copy()
    x, y = torch.from_numpy(array), torch.from_numpy(np.array(labels, np.int64))

    def map_of(result: Any) -> np.ndarray:
        return result.detach().numpy().transpose(0, 2, 3, 1)

    if peer == "captum":
        _use_every_relu_once(module)
        explainer = getattr(captum.attr, CAPTUM[method])(module)
        warnings.simplefilter("ignore")  # it registers hooks, and says so
        yield lambda: explainer.attribute(x, target=y), map_of
        return
    if peer == "torch":
        yield lambda: _gradient(module, x, y, True), map_of
        return
    mean, stddev = module.mean[None], module.stddev[None]
    network, pixels = module.network, (x - mean) / stddev
    options = {}
    if method.endswith("box"):
        options = {"low": (0 - mean) / stddev, "high": (1 - mean) / stddev}
    canonizer = ResNetCanonizer() if isinstance(network, ResNet) else VGGCanonizer()
    composite = COMPOSITES[ZENNIT[method]](canonizers=[canonizer], **options)
    composite.register(network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    epsilons = [norm.eps for norm in norms]
    for norm in norms:  # what merging leaves of them is then the identity
        norm.eps = 0.0
    one = method in STARTS_WITH_ONE
    is_gradient = method in CAPTUM
    yield (
        lambda: _gradient(network, pixels, y, one),
        lambda r: map_of(r / stddev if is_gradient else r),
    )
    composite.remove()
    for norm, epsilon in zip(norms, epsilons, strict=True):
        norm.eps = epsilon


def _gradient(network: nn.Module, x: Any, y: Any, one: bool) -> Any:
    x = x.detach().requires_grad_()
    picked = network(x).gather(1, y[:, None])
    start = torch.ones_like(picked) if one else picked.detach()
    return torch.autograd.grad(picked, x, start)[0]
