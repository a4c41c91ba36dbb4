"""What zennit, captum and LXT make of a network in torch.

Images come and relevances go as ``(N, H, W, C)``, float64. What LRP hands down is the
logit of the label; the gradients of guided backpropagation and the like start at one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import pathlib
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping

import captum.attr
import numpy as np
import torch
import torch.nn.functional as F
import zennit.composites
import zennit.rules
from lxt.explicit import functional as lxt_functional
from lxt.explicit import rules as lxt_rules
from torch import Tensor, nn
from zennit.canonizers import Canonizer, SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite
from zennit.core import Composite, Hook, stabilize
from zennit.layer import Sum
from zennit.types import Activation, AvgPool, Linear

Maps = dict[str, np.ndarray]
"""Relevances by place, of which ``images`` is one."""
EPSILON = 1e-6
GAMMA = 0.25
RULES: dict[str, Callable[[], Hook]] = {
    "zero": lambda: zennit.rules.Epsilon(0),
    "epsilon": lambda: zennit.rules.Epsilon(EPSILON),
    "large_epsilon": lambda: zennit.rules.Epsilon(0.25),
    "gamma": lambda: zennit.rules.Gamma(GAMMA),
    "z_plus": zennit.rules.ZPlus,
    "alpha2_beta1": lambda: zennit.rules.AlphaBeta(2, 1),
    "alpha1_beta0": lambda: zennit.rules.AlphaBeta(1, 0),
    "flat": zennit.rules.Flat,
    "w_square": zennit.rules.WSquare,
}
"""Each for every convolution and dense layer."""
COMPOSITES = (
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "excitation_backprop",
)
GRADIENTS = ("guided_backprop", "deconvnet")
"""Composites that are gradients: they start at one."""


def resnet_canonizers() -> list[Canonizer]:
    """Zennit's ``ResNetCanonizer`` for bottlenecks, but for ``ExactMerge``."""
    from zennit.torchvision import ResNetBottleneckCanonizer

    return [ExactMerge(), ResNetBottleneckCanonizer()]


class ExactMerge(SequentialMergeBatchNorm):
    """Zennit's, but that what is left of a batch norm is the identity.

    Theirs leaves ``x / √(1 + ε)``: up to 1e-4 of the largest relevance in a ResNet-50.
    """

    def register(self, linears, batch_norm):
        self.epsilon = batch_norm.eps
        super().register(linears, batch_norm)
        batch_norm.eps = 0.0

    def remove(self):
        super().remove()
        self.batch_norm.eps = self.epsilon


def rule_composite(name: str) -> Composite:
    """The same rule everywhere; activations pass, sums and mean pooling in proportion."""
    return LayerMapComposite([*_base(), (Linear, RULES[name]())])


def box_composite(low: float, high: float) -> Composite:
    """Z-box in the first layer, epsilon in the others."""
    return SpecialFirstLayerMapComposite(
        [*_base(), (Linear, zennit.rules.Epsilon(EPSILON))],
        [(Linear, zennit.rules.ZBox(low, high))],
    )


def named_composite(
    name: str,
    canonizers: Iterable[Canonizer] = (),
    low: float | np.ndarray = 0.0,
    high: float | np.ndarray = 1.0,
) -> Composite:
    """One of zennit's; the bounds ``(C,)`` are of what the network is given."""
    options = {}
    if name == "epsilon_gamma_box":
        bounds = {"low": low, "high": high}
        options = {
            n: torch.as_tensor(b).reshape(1, -1, 1, 1) for n, b in bounds.items()
        }
    composite = zennit.composites.COMPOSITES[name]
    return composite(canonizers=list(canonizers), **options)


def zennit_maps(
    network: nn.Module,
    composite: Composite | None,
    images: np.ndarray,
    labels: np.ndarray,
    places: Iterable[str] = (),
    gradient: bool = False,
) -> Maps:
    """Relevances of the images and of the outputs of modules; no composite, gradients."""
    kept: dict[str, Tensor] = {}
    handles = [_keep(network, name, kept) for name in places]
    kept["images"] = _nchw(images, network).requires_grad_()
    if composite is not None:
        composite.register(network)
    logits = network(kept["images"])
    for value in kept.values():
        value.retain_grad()
    start = torch.zeros_like(logits)
    rows = torch.arange(len(labels))
    start[rows, labels] = 1.0 if gradient else logits.detach()[rows, labels]
    logits.backward(start)
    if composite is not None:
        composite.remove()
    for handle in handles:
        handle.remove()
    return {name: _nhwc(value.grad) for name, value in kept.items()}


def logits(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """As the network gives them."""
    with torch.no_grad():
        return network(_nchw(images, network)).numpy()


def deep_lift(
    network: nn.Module, images: np.ndarray, labels: np.ndarray, baselines: np.ndarray
) -> np.ndarray:
    """Captum's; the baselines are ``(N, H, W, C)``, one an image."""
    return _captum(captum.attr.DeepLift, network, images, labels, baselines)


def deep_lift_shap(
    network: nn.Module, images: np.ndarray, labels: np.ndarray, baselines: np.ndarray
) -> np.ndarray:
    """Captum's; every image with every baseline of ``(B, H, W, C)``."""
    return _captum(captum.attr.DeepLiftShap, network, images, labels, baselines)


def captum_guided_backprop(
    network: nn.Module, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Captum's ``GuidedBackprop``."""
    return _captum(captum.attr.GuidedBackprop, network, images, labels)


def captum_deconvolution(
    network: nn.Module, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Captum's ``Deconvolution``."""
    return _captum(captum.attr.Deconvolution, network, images, labels)


class ExplicitRules:
    """LXT's operations whose gradient is a relevance."""

    def __init__(self, epsilon: float | None = None):
        # Theirs by default: 1e-6 in linear layers and norms, 1e-8 in sums and products.
        large, small = (1e-6, 1e-8) if epsilon is None else (epsilon, epsilon)
        self.linear = functools.partial(lxt_functional.linear_epsilon, epsilon=large)
        self.add = functools.partial(lxt_functional.add2, epsilon=small)
        self.matmul = functools.partial(lxt_functional.matmul, epsilon=small)
        self.softmax = functools.partial(lxt_functional.softmax, dim=-1)
        self.scale = lxt_functional.mul2
        self.gelu = functools.partial(lxt_rules.identity, F.gelu)
        self._epsilon = large

    def norm(self, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        apply = lxt_functional.layer_norm_grad_fn.apply
        return apply(x, weight, bias, epsilon, self._epsilon)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        scores = self.scale(self.matmul(query, key.transpose(-1, -2)), scale)
        return self.matmul(self.softmax(scores), value)

    def result(self, x: Tensor) -> Tensor:
        return x.grad

    def start(self, logit: Tensor) -> Tensor:
        return logit.detach()


@contextlib.contextmanager
def signed_stabiliser() -> Iterator[None]:
    """LXT adds epsilon with the sign of the denominator in here, as zennit does."""
    stabilise = lxt_functional._stabilize
    lxt_functional._stabilize = lambda z, epsilon, inplace=False: stabilize(z, epsilon)
    try:
        yield
    finally:
        lxt_functional._stabilize = stabilise


class EfficientRules:
    """LXT's operations whose gradient times its variable is a relevance."""

    def __init__(self):
        self._patches = _lxt_efficient("patches")
        self.linear, self.add = F.linear, torch.add
        rules = _lxt_efficient("rules")
        self.gelu = functools.partial(rules.identity_rule_implicit, F.gelu)

    def norm(self, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        layer = types.SimpleNamespace(weight=weight, bias=bias, eps=epsilon)
        return self._patches.layer_norm_forward(layer, x)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        def plain(_, query, key, value):
            return (query @ key.transpose(-1, -2) * scale).softmax(-1) @ value

        return self._patches.wrap_attention_forward(plain)(None, query, key, value)

    def result(self, x: Tensor) -> Tensor:
        return x.grad * x.detach()

    def start(self, logit: Tensor) -> Tensor:
        return torch.ones_like(logit)


OPERATIONS: dict[str, tuple[Callable, tuple[tuple[int, ...], ...]]] = {
    "linear": (ExplicitRules().linear, ((3, 5), (4, 5), (4,))),
    "matmul": (ExplicitRules().matmul, ((2, 3, 4), (2, 4, 5))),
    "add": (ExplicitRules().add, ((3, 4), (3, 4))),
    "multiply": (lxt_functional.mul2, ((3, 4), (3, 4))),
    "softmax": (ExplicitRules().softmax, ((2, 3, 5),)),
    "gelu": (ExplicitRules().gelu, ((3, 4),)),
    "layer_norm": (lambda *xs: ExplicitRules().norm(*xs, 1e-6), ((3, 6), (6,), (6,))),
    "rms_norm": (
        lambda *xs: lxt_functional.rms_norm_identity(*xs, 1e-6),
        ((3, 6), (6,)),
    ),
    "mean": (lambda x: lxt_functional.mean(x, 1, True), ((2, 4, 3),)),
}
"""LXT's rules one by one, and the shapes of what they are given."""


def operation(
    function: Callable, inputs: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Its output, a drawn relevance of that, and the relevances of the variables.

    What is a matrix or larger is a variable, all others are parameters; so are a linear
    layer's weights.
    """
    tensors = [torch.from_numpy(x) for x in inputs]
    weights = len(tensors) == 3
    variables = tensors[:1] if weights else [x for x in tensors if x.ndim > 1]
    for x in variables:
        x.requires_grad_()
    output = function(*tensors)
    relevance = torch.from_numpy(rng.standard_normal(output.shape))
    relevances = torch.autograd.grad(output, variables, relevance.clone())
    arrays = [x.numpy() for x in relevances]
    return output.detach().numpy(), relevance.numpy(), arrays


def vit_maps(
    rules: ExplicitRules | EfficientRules,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    patch: int,
    num_heads: int,
    dtype: torch.dtype = torch.float64,
    epsilon: float = 1e-6,
) -> tuple[np.ndarray, Maps]:
    """Logits and relevances of ``peer_nets.vit``."""
    tensors = {n: torch.from_numpy(w).to(dtype) for n, w in weights.items()}
    places: dict[str, Tensor] = {}

    def place(name: str, x: Tensor) -> Tensor:
        x.retain_grad()
        places[name] = x
        # LXT's layer norm differentiates within, which would add to the gradient kept.
        return x.clone()

    def linear(name: str, x: Tensor) -> Tensor:
        return rules.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        scale, shift = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return rules.norm(x, scale, shift, epsilon)

    pixels = torch.tensor(images, dtype=dtype).requires_grad_()
    n, height, width, channels = pixels.shape
    x = place("images", pixels).reshape(
        n, height // patch, patch, width // patch, patch, channels
    )
    x = x.transpose(2, 3).reshape(n, -1, patch * patch * channels)
    kernel = tensors["patch_embed.proj.weight"].permute(0, 2, 3, 1).flatten(1)
    x = rules.linear(x, kernel, tensors["patch_embed.proj.bias"])
    token = tensors["cls_token"].expand(n, 1, -1)
    positions = tensors["pos_embed"].expand(n, -1, -1)
    x = place("tokens", rules.add(torch.cat([token, x], 1), positions))
    depth = sum(name.endswith("norm1.weight") for name in weights)
    for name in (f"blocks.{i}" for i in range(depth)):
        y = place(f"{name}.norm1", norm(f"{name}.norm1", x))
        qkv = linear(f"{name}.attn.qkv", y).reshape(*y.shape[:2], 3, num_heads, -1)
        qkv = place(f"{name}.attn.qkv", qkv)  # (N, T, 3, heads, D)
        parts = (qkv[:, :, i].transpose(1, 2) for i in range(3))
        y = rules.attend(*parts, qkv.shape[-1] ** -0.5).transpose(1, 2).flatten(2)
        y = place(f"{name}.attn.mixed", y)
        x = place(f"{name}.attended", rules.add(x, linear(f"{name}.attn.proj", y)))
        y = linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", x))
        y = linear(f"{name}.mlp.fc2", place(f"{name}.mlp.gelu", rules.gelu(y)))
        x = place(name, rules.add(x, y))
    result = linear("head", norm("norm", x)[:, 0])
    chosen = result[torch.arange(n), labels]
    chosen.backward(rules.start(chosen))
    maps = {name: rules.result(x).numpy() for name, x in places.items()}
    return result.detach().numpy(), maps


def _base() -> list:
    norm = zennit.rules.Norm
    return [(Activation, zennit.rules.Pass()), (Sum, norm()), (AvgPool, norm())]


def _keep(network: nn.Module, name: str, kept: dict[str, Tensor]):
    module = network.get_submodule(name)
    return module.register_forward_hook(lambda _, __, y: kept.__setitem__(name, y))


def _captum(
    method: Callable,
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *baselines: np.ndarray,
) -> np.ndarray:
    inputs, *others = (_nchw(values, network) for values in (images, *baselines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = torch.from_numpy(labels)
        result = method(network).attribute(inputs, *others, target=target)
    return _nhwc(result.detach())


def _nchw(images: np.ndarray, network: nn.Module) -> Tensor:
    dtype = next(network.parameters()).dtype
    return torch.tensor(images, dtype=dtype).permute(0, 3, 1, 2).contiguous()


def _nhwc(maps: Tensor) -> np.ndarray:
    return (maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps).numpy()


def _lxt_efficient(name: str) -> types.ModuleType:
    """Without the package's own import, which needs ``transformers``."""
    package = "lxt.efficient"
    if package not in sys.modules:
        folder = pathlib.Path(importlib.util.find_spec("lxt").origin).parent
        module = types.ModuleType(package)
        module.__path__ = [str(folder / "efficient")]
        sys.modules[package] = module
    return importlib.import_module(f"{package}.{name}")
