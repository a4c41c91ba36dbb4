"""What is asked of a module of torch, and its logits held against torch's own."""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxattr._checks import check_float_array, check_float_dtype
from jaxattr._errors import fail
from jaxattr.models import torch_bridge
from jaxattr.typing import Array

if TYPE_CHECKING:
    import torch

TOLERANCE = 0.02
"""Of the largest logit: a product of a GPU is less exact than torch's, a wrong one more."""


def check_module(torch: types.ModuleType, module: object) -> None:
    """Refuses what is no module, trains, or looks at a batch as a whole."""
    if not isinstance(module, torch.nn.Module):
        raise fail("module", "a torch.nn.Module", module)
    training = [name for name, part in module.named_modules() if part.training]
    if training:
        parts = torch_bridge.some([part or "the whole" for part in training])
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


def example_images(torch: types.ModuleType, example: object) -> np.ndarray:
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


def copied(torch: types.ModuleType, module: torch.nn.Module) -> torch.nn.Module:
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


def arrays_of(
    torch: types.ModuleType, module: torch.nn.Module
) -> dict[str, np.ndarray]:
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


def computed_dtype(
    floating: Mapping[str, np.ndarray], dtype: DTypeLike | None
) -> np.dtype:
    """What a module computes in: the dtype asked for, or the widest of its arrays."""
    if dtype is None:
        dtypes = [a.dtype for a in floating.values()] or [np.dtype("float32")]
        return max(dtypes, key=lambda d: jnp.finfo(d).bits)
    return check_float_dtype("dtype", dtype)


def by_torch(
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


def compare(logits: Array, expected: np.ndarray | None, dtype: np.dtype) -> None:
    """Refuses logits that are others than torch's."""
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
