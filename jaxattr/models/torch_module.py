"""``from_torch``: a module of torch as a callable pytree, through torchax."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from jaxattr._checks import check_float_array
from jaxattr._errors import describe, fail
from jaxattr._numerics.dtypes import widen
from jaxattr._pixels import IMAGENET_MEAN, IMAGENET_STDDEV
from jaxattr.models import torch_bridge
from jaxattr.models.outside import Outside, automatic, check_preprocessing
from jaxattr.typing import Array

if TYPE_CHECKING:
    import torch

Normalize = str | tuple[float | Sequence[float], float | Sequence[float]] | None
TOLERANCE = 0.02
"""Of the largest logit: a product of a GPU is less exact than torch's, a wrong one more."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Module:
    """All of a model but its weights: equal to itself only."""

    module: torch.nn.Module
    """A copy without numbers."""
    constants: Mapping[str, np.ndarray]
    """Buffers of integers, such as indices."""
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: np.dtype
    """What it computes in, unless images are float64."""
    digest: str

    def __repr__(self) -> str:
        # Part of a model's structure, by which results of a run are told apart.
        return f"Module({type(self.module).__name__}, {self.digest})"


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["module", "outside"],
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TorchModel:
    """Images ``(N, H, W, C)`` in [0, 1] to logits ``(N, K)`` by a module of torch.

    A pytree whose leaves are the module's parameters and floating-point buffers, by
    their names in torch: replace them and nothing compiles again. Images are normalised
    and turned to torch's layout inside; the logits are at least float32.
    """

    params: Mapping[str, Array]
    module: Module
    outside: Outside

    def __call__(self, images: Array) -> Array:
        """Logits ``(N, K)`` of images ``(N, H, W, C)``."""
        images = check_float_array("images", images, "(N, H, W, C) in [0, 1]", 4)
        if images.shape[-1] != self.module.channels:
            wanted = f"{self.module.channels} channels, (N, H, W, C)"
            raise fail("images", wanted, images)
        return _logits(self.module, dict(self.params), images)

    @property
    def name(self) -> str:
        """That of the module's class, or the one that was given."""
        return self.outside.name

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the example."""
        return self.outside.input_size

    @property
    def num_classes(self) -> int:
        """How many logits it has."""
        return self.outside.num_classes

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; numbers in words where they are not ImageNet's."""
        return self.outside.labels

    def preprocess(self, photo: object) -> np.ndarray:
        """A PIL image or array to float32 ``(H, W, 3)`` in [0, 1]."""
        return self.outside.preprocess(photo)

    def __repr__(self) -> str:
        return f"TorchModel({self.name!r}, num_classes={self.num_classes})"


def from_torch(
    module: torch.nn.Module,
    example: Array | np.ndarray | torch.Tensor,
    *,
    normalize: Normalize = None,
    dtype: DTypeLike | None = None,
    preprocessing: str = "crop",
    name: str | None = None,
) -> TorchModel:
    """A module of torch as a pure function of JAX, by torchax.

    The module is copied; weights become leaves of the model, so later changes of the
    module do not reach it. It is traced by running its Python code once for each shape
    of images: torchax is on during that and at no other time. Its logits of ``example``
    are held against torch's.

    Args:
      module: in evaluation mode, images ``(N, C, H, W)`` to logits ``(N, K)``, with rows
        that are independent.
      example: images of the size that is explained, ``(N, H, W, C)`` in [0, 1], or a
        tensor of torch ``(N, C, H, W)``.
      normalize: what is done with pixels before the module: None (nothing: the module
        takes [0, 1]), ``"imagenet"``, or ``(mean, std)``, numbers or one a channel.
      dtype: what to compute in, ``jnp.bfloat16`` for example. None takes the widest of
        the module's parameters. Images in float64 are computed in float64, unless it is
        named.
      preprocessing: of ``preprocess``: ``"crop"`` (the short side to 8/7 of the example's,
        then the centre) or ``"squash"``.
      name: what results call it; None takes that of the class.

    Returns:
      A :class:`TorchModel`, which explainers, attacks and metrics take.

    Raises:
      ImportError: without torch and torchax (the extra ``torch``).
      ValueError: for what is no module, one in training mode, one that takes the
        statistics of a batch, draws random numbers, changes its buffers or parameters, or
        decides by values what to compute; for an operator that torchax does not have,
        named; for one that does not return logits, or returns others than torch's.

    Example::

      network = torchvision.models.resnet50(weights="DEFAULT").eval()
      example = jnp.zeros((1, 224, 224, 3))
      model = ja.models.from_torch(network, example, normalize="imagenet")
      maps = ja.integrated_gradients(model, images, labels)

    References:
      https://github.com/google/torchax.
    """
    torch = torch_bridge.import_torch()
    _check_module(torch, module)
    images = _example(torch, example)
    channels = images.shape[-1]
    mean, std = _check_normalize(normalize, channels)
    check_preprocessing(preprocessing)
    module = _copy(torch, module)
    arrays = _arrays(torch, module)
    floating = {
        n: a for n, a in arrays.items() if jnp.issubdtype(a.dtype, jnp.floating)
    }
    computed = _computed(floating, dtype)
    expected = _by_torch(torch, module, (images - mean) / std)
    sha = hashlib.sha256(f"{module}{mean}{std}{computed}".encode())
    constants = {n: a for n, a in arrays.items() if n not in floating}
    for array in constants.values():
        sha.update(np.ascontiguousarray(array).tobytes())
    part = Module(
        module.to("meta"),
        constants,
        channels,
        mean,
        std,
        computed,
        sha.hexdigest()[:20],
    )
    params = {n: jnp.asarray(a) for n, a in floating.items()}
    logits = jax.eval_shape(functools.partial(_logits, part), params, images)
    outside = Outside(
        type(module).__name__ if name is None else name,
        (images.shape[1], images.shape[2]),
        logits.shape[1],
        preprocessing,
    )
    model = TorchModel(params, part, outside)
    _compare(model(jnp.asarray(images)), expected, computed)
    return model


@functools.partial(jax.jit, static_argnums=0)
def _logits(module: Module, params: dict[str, Array], images: Array) -> Array:
    return automatic(functools.partial(_run, module), images)(params, images)


def _run(module: Module, params: dict[str, Array], images: Array) -> Array:
    is_double = images.dtype == jnp.float64
    dtype = (
        np.dtype("float64")
        if is_double and module.dtype == np.float32
        else module.dtype
    )
    # Normalised in at least float32.
    pixels = widen(images)
    mean, std = (
        lax.broadcast_in_dim(jnp.asarray(v, pixels.dtype), pixels.shape, (3,))
        for v in (module.mean, module.std)
    )
    pixels = jnp.moveaxis(((pixels - mean) / std).astype(dtype), -1, 1)
    tensors = {name: array.astype(dtype) for name, array in params.items()}
    tensors |= {name: jnp.asarray(array) for name, array in module.constants.items()}
    logits = torch_bridge.run(module.module, tensors, pixels)
    if not isinstance(logits, jax.Array) or logits.ndim != 2:
        got = (
            describe(logits) if isinstance(logits, jax.Array) else type(logits).__name__
        )
        raise ValueError(
            f"module: expected one that returns logits (N, K), got {got}; wrap it in a "
            "module whose forward takes the part that holds them"
        )
    return widen(logits)


def _check_module(torch: types.ModuleType, module: object) -> None:
    if not isinstance(module, torch.nn.Module):
        raise fail("module", "a torch.nn.Module", module)
    training = [name for name, part in module.named_modules() if part.training]
    if training:
        parts = torch_bridge._some([part or "the whole" for part in training])
        raise ValueError(
            f"module: expected one in evaluation mode, got {type(module).__name__} with "
            f"{parts} in training mode; call module.eval() first"
        )
    for name, part in module.named_modules():
        if getattr(part, "track_running_stats", True) is False or (
            isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
            and part.running_mean is None
        ):
            if isinstance(part, torch.nn.modules.instancenorm._InstanceNorm):
                continue
            raise ValueError(
                f"module: expected rows that are independent, got {name}, a batch norm "
                "that takes the statistics of each batch"
            )


def _example(torch: types.ModuleType, example: object) -> np.ndarray:
    """Images ``(N, H, W, C)``, float32 at least."""
    if isinstance(example, torch.Tensor):
        if example.ndim != 4:
            shape = list(example.shape)
            raise ValueError(
                f"example: expected a tensor of images (N, C, H, W), got {shape}"
            )
        example = example.detach().cpu().to(torch.float32).permute(0, 2, 3, 1).numpy()
    images = check_float_array("example", example, "(N, H, W, C) in [0, 1]", 4)
    return np.asarray(images, np.float32)


def _check_normalize(
    normalize: Normalize, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    expected = 'None, "imagenet" or (mean, std), numbers or one a channel'
    if normalize is None:
        normalize = (0.0, 1.0)
    if isinstance(normalize, str):
        if normalize != "imagenet" or channels != 3:
            raise fail("normalize", expected, normalize)
        normalize = (IMAGENET_MEAN, IMAGENET_STDDEV)
    try:
        mean, std = (
            tuple(np.broadcast_to(np.asarray(part, float), (channels,)).tolist())
            for part in normalize
        )
    except (TypeError, ValueError):
        raise fail("normalize", f"{expected}, {channels} of them", normalize) from None
    if not all(s > 0 for s in std) or not np.isfinite([*mean, *std]).all():
        raise fail("normalize", "a finite mean and a std above zero", normalize)
    return mean, std


def _copy(torch: types.ModuleType, module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose every tensor is a parameter or a buffer."""
    try:
        module = copy.deepcopy(module)
    except Exception as error:
        raise ValueError(f"module: cannot be copied: {error}") from error
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, torch.Tensor):
                delattr(part, name)
                part.register_buffer(name, value, persistent=False)
    return module


def _arrays(torch: types.ModuleType, module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers by name."""
    arrays = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        tensor = tensor.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            array = tensor.to(torch.float32).numpy().astype(jnp.bfloat16)
        else:
            # A copy: torch may change the memory of the caller's module.
            array = np.array(tensor.to_dense().numpy())
        arrays[name] = array
    return arrays


def _computed(floating: Mapping[str, np.ndarray], dtype: DTypeLike | None) -> np.dtype:
    if dtype is None:
        dtypes = [a.dtype for a in floating.values()] or [np.dtype("float32")]
        return max(dtypes, key=lambda d: jnp.finfo(d).bits)
    try:
        resolved = jnp.dtype(dtype)
    except TypeError:
        raise fail("dtype", "a floating-point dtype", dtype) from None
    if not jnp.issubdtype(resolved, jnp.floating):
        raise fail("dtype", "a floating-point dtype", dtype)
    return resolved


def _by_torch(
    torch: types.ModuleType, module: torch.nn.Module, pixels: np.ndarray
) -> np.ndarray | None:
    """What torch makes of normalised images; None if that is no tensor."""
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    like = {} if first is None else {"dtype": first.dtype, "device": first.device}
    with torch.no_grad():
        images = torch.from_numpy(np.array(np.moveaxis(pixels, -1, 1), np.float32))
        logits = module(images.to(**like))
    if not isinstance(logits, torch.Tensor):
        return None
    return logits.detach().cpu().to(torch.float32).numpy()


def _compare(logits: Array, expected: np.ndarray | None, dtype: np.dtype) -> None:
    if expected is None or jnp.finfo(dtype).bits < 32:
        return
    if isinstance(logits, jax.core.Tracer):
        return
    error = np.abs(np.asarray(logits) - expected).max()
    size = np.abs(expected).max()
    if not error <= TOLERANCE * size + 1e-6:
        raise ValueError(
            f"module: its logits through torchax are {error:.3g} away from torch's, of "
            f"at most {size:.3g}: it computes something else there, and is no model"
        )
