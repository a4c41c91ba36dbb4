"""Why a search found no boundary, as far as one forward and backward pass can tell."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr._checks import check_images, fail
from jaxattr.boundaries.member import Member
from jaxattr.typing import Array, LogitsFn


class _Symptoms(NamedTuple):
    """Of one image, bool each."""

    logits_finite: Array
    logits_constant: Array
    gradient_finite: Array
    gradient_zero: Array
    loss_is_flat: Array


def diagnose(logits_fn: LogitsFn, images: Array) -> str:
    """What is wrong with a model near an image without a boundary, in words.

    A search that finds nothing has not shown that there is nothing. This looks at the
    image and its negative: are the logits finite, do they change, has the margin
    ``z_top - z_second`` a gradient, and the cross-entropy of the top class, which the
    searches by steps follow? If all is well, the search has spent its budget, and
    a wider one may find a boundary: ``search="all"``, more steps, larger radii.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: ``(1, H, W, C)``, one image.

    Returns:
      One phrase, such as ``"the gradient of the margin is zero"``.

    Raises:
      ValueError: another number of images, or none of floats.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.boundaries.diagnose(lambda x: jnp.zeros((len(x), 3)), jnp.ones((1, 4, 4, 3)))
      'the logits do not change with the image'
    """
    check_images(images)
    if images.shape[0] != 1:
        raise fail("images", "one image, (1, H, W, C)", images)
    # A model that is a pytree compiles once for all its weights.
    is_function = jax.tree_util.all_leaves([logits_fn])
    model = jax.tree_util.Partial(logits_fn) if is_function else logits_fn
    found = _symptoms(model, images)
    if not found.logits_finite:
        return "the logits are not finite"
    if not found.gradient_finite:
        return "the gradient of the margin is not finite"
    if found.logits_constant:
        return "the logits do not change with the image"
    if found.gradient_zero:
        return "the gradient of the margin is zero"
    if found.loss_is_flat:
        return (
            "no member of the search came across within its budget; the model is so sure "
            "of its class that the gradient of the cross-entropy is zero, so that only "
            "members that follow the logits move (deepfool, fab, carlini_wagner, apgd_dlr)"
        )
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
    loss = lambda x: -jax.nn.log_softmax(model(x))[0, jnp.argmax(logits[0])]
    # Its negative is far from any image, and differs from it everywhere.
    other = model(1 - images)
    return _Symptoms(
        jnp.isfinite(logits).all(),
        (logits == other).all(),
        jnp.isfinite(gradient).all(),
        (gradient == 0).all(),
        (jax.grad(loss)(images) == 0).all(),
    )
