"""Why a search found no boundary, as far as one forward and backward pass can tell."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr.boundaries.member import Member
from jaxattr.typing import Array, LogitsFn


class _Symptoms(NamedTuple):
    """Of one image, bool each."""

    logits_finite: Array
    logits_constant: Array
    gradient_finite: Array
    gradient_zero: Array


def reason(model: LogitsFn, images: Array) -> str:
    """What is wrong with the model near an image without a boundary, in words.

    Args:
      model: images ``(N, H, W, C)`` to logits ``(N, K)``, a callable pytree.
      images: ``(1, H, W, C)``.
    """
    found = _symptoms(model, images)
    if not found.logits_finite:
        return "the logits are not finite"
    if not found.gradient_finite:
        return "the gradient of the margin is not finite"
    if found.logits_constant:
        return "the logits do not change with the image"
    if found.gradient_zero:
        return "the gradient of the margin is zero"
    return "no member of the search came across within its budget"


def budgets(members: tuple[Member, ...]) -> list[str]:
    """What each member may spend.

    >>> from jaxattr.boundaries.search import as_members
    >>> budgets(as_members("ddn"))
    ['ddn: at most 101 forward and 100 backward passes']
    """
    return [f"{member.name}: {_budget(member)}" for member in members]


def _budget(member: Member) -> str:
    if member.forwards is None or member.backwards is None:
        return "a budget of its own"
    return f"at most {member.forwards} forward and {member.backwards} backward passes"


@jax.jit
def _symptoms(model: LogitsFn, images: Array) -> _Symptoms:
    def margin(x: Array) -> tuple[Array, Array]:
        logits = model(x)
        highest = jax.lax.top_k(logits[0], min(2, logits.shape[1]))[0]
        return highest[0] - highest[-1], logits

    (_, logits), gradient = jax.value_and_grad(margin, has_aux=True)(images)
    # Its negative is far from any image, and differs from it everywhere.
    other = model(1 - images)
    return _Symptoms(
        jnp.isfinite(logits).all(),
        (logits == other).all(),
        jnp.isfinite(gradient).all(),
        (gradient == 0).all(),
    )
