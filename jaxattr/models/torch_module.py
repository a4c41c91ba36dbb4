"""``from_torch``: a module of torch as a callable pytree, through torchax."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from jaxattr._checks import check_float_array
from jaxattr._errors import describe, fail
from jaxattr._numerics.dtypes import widen
from jaxattr.models import torch_bridge
from jaxattr.models.normalize import Normalize, check_normalize
from jaxattr.models.outside import Outside, automatic, check_preprocessing
from jaxattr.models.torch_checks import (
    arrays_of,
    by_torch,
    check_module,
    compare,
    computed_dtype,
    copied,
    example_images,
)
from jaxattr.typing import Array

if TYPE_CHECKING:
    import torch


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
    normalize: Normalize | None = None,
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
    check_module(torch, module)
    images = example_images(torch, example)
    channels = images.shape[-1]
    mean, std = check_normalize(
        (0.0, 1.0) if normalize is None else normalize, channels
    )
    check_preprocessing(preprocessing)
    module = copied(torch, module)
    arrays = arrays_of(torch, module)
    floating = {
        n: a for n, a in arrays.items() if jnp.issubdtype(a.dtype, jnp.floating)
    }
    computed = computed_dtype(floating, dtype)
    expected = by_torch(torch, module, (images - mean) / std)
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
    compare(model(jnp.asarray(images)), expected, computed)
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
