"""Random transforms of an image's blocks, and the attack that averages over them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr.attacks.attack import Attack, Problem
from jaxattr.gradients import averaged_gradient
from jaxattr.steps import momentum
from jaxattr.typing import Array, Bounds, GradientFn, Perturbation, Scalar

# What may happen to a block; each is a map of its rows, of its columns, or of values.
_OPERATIONS = (
    "roll_rows",
    "roll_columns",
    "flip_rows",
    "flip_columns",
    "rotate_half",
    "scale",
    "noise",
)


def sia(
    num_samples: int = 20,
    num_blocks: int = 3,
    noise: float = 16 / 255,
    decay: float = 1.0,
) -> Attack:
    """Structure-invariant attack: the gradient averaged through block transforms.

    Each copy is cut at random into ``num_blocks`` x ``num_blocks`` blocks and each
    block is rolled, flipped, turned by half, scaled by U(0, 1) or given noise within
    16/255. Wang, Zhang, Zhang. Structure Invariant Transformation for better
    Adversarial Transferability. ICCV 2023.
    """

    def copies(problem: Problem) -> GradientFn:
        return averaged_gradient(
            problem.loss,
            through=block_transforms(num_blocks, noise, problem.bounds),
            num_samples=num_samples,
            samples_per_call=problem.samples_per_call,
        )

    return Attack(copies, momentum(decay))


def block_transforms(
    num_blocks: int, noise: Scalar = 16 / 255, bounds: Bounds = (0.0, 1.0)
) -> Perturbation:
    """Cuts an image at random rows and columns and transforms every block by itself.

    All of it is one gather, one gain and one offset a pixel, so it is differentiated at
    the cost of a copy. Values with noise are clipped to the bounds, as published.
    """

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype

        def transform(key: Array, image: Array) -> Array:
            cut_key, block_key, noise_key = jax.random.split(key, 3)
            rows, columns = (
                _spans(k, n, num_blocks)
                for k, n in zip(jax.random.split(cut_key), shape[:2], strict=True)
            )
            blocks = (num_blocks, num_blocks)
            kind_key, roll_key, gain_key = jax.random.split(block_key, 3)
            pick = lambda table: table[rows.block[:, None], columns.block[None, :]]
            kind = pick(jax.random.randint(kind_key, blocks, 0, len(_OPERATIONS)))
            roll = pick(jax.random.uniform(roll_key, blocks, dtype))
            gain = pick(jax.random.uniform(gain_key, blocks, dtype))
            is_kind = lambda *names: jnp.isin(
                kind, jnp.array([_OPERATIONS.index(name) for name in names])
            )
            source_rows = _source(
                rows,
                0,
                roll,
                rolled=is_kind("roll_rows"),
                flipped=is_kind("flip_rows", "rotate_half"),
            )
            source_columns = _source(
                columns,
                1,
                roll,
                rolled=is_kind("roll_columns"),
                flipped=is_kind("flip_columns", "rotate_half"),
            )
            moved = image[source_rows, source_columns]
            moved = jnp.where(
                is_kind("scale")[..., None], gain[..., None] * moved, moved
            )
            draws = noise * _random.uniform(noise_key, shape, dtype, -1.0, 1.0)
            noisy = jnp.clip(moved + draws, *bounds)
            return jnp.where(is_kind("noise")[..., None], noisy, moved)

        def draw(keys: Array) -> Array:
            stack = jnp.broadcast_to(images, keys.shape + shape)
            each = transform
            for _ in range(keys.ndim):
                each = jax.vmap(each)
            return each(keys, stack)

        return draw

    return prepare


class _Spans:
    """Consecutive spans along an axis: the block, start and length at each position."""

    def __init__(self, block: Array, start: Array, length: Array):
        self.block, self.start, self.length = block, start, length


def _spans(key: Array, size: int, num_blocks: int) -> _Spans:
    """Cuts ``size`` positions at ``num_blocks - 1`` distinct random places."""
    position = jnp.arange(size)
    # The places with the least of random numbers, never the first. (A permutation, a
    # search in the edges or a concatenation fails under meshes with explicit axes.)
    draws = jnp.where(position == 0, 2.0, jax.random.uniform(key, (size,)))
    is_cut = jnp.argsort(jnp.argsort(draws)) < num_blocks - 1
    start = jax.lax.cummax(jnp.where(is_cut, position, 0))
    length = jnp.sum(start[:, None] == start[None, :], axis=1)
    return _Spans(jnp.cumsum(is_cut), start, length)


def _source(
    spans: _Spans, axis: int, roll: Array, *, rolled: Array, flipped: Array
) -> Array:
    """``(H, W)``: where along one axis each pixel takes its value from."""
    along = lambda x: x[:, None] if axis == 0 else x[None, :]
    position = along(jnp.arange(len(spans.block)))
    start, length = along(spans.start), along(spans.length)
    offset = position - start
    shift = jnp.floor(roll * length.astype(roll.dtype)).astype(offset.dtype)
    offset = jnp.where(rolled, (offset - shift) % length, offset)
    offset = jnp.where(flipped, length - 1 - offset, offset)
    return start + offset
