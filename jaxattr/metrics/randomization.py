"""Sanity checks: an explanation of a network must depend on what the network learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.tree_util import KeyPath

from jaxattr._checks import check_choice, check_single_key, fail
from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr.metrics.agreement import spearman
from jaxattr.typing import Array

Model = TypeVar("Model")
"""A pytree of parameters."""


class RandomizationCheck(NamedTuple):
    """How maps change as a network loses what it learned."""

    layers: tuple[str, ...]
    """S names, from the output to the input."""
    similarity: Array
    """``(S, N)``: of each image's map to the map of the network as it was."""


def randomization_check(
    explain_fn: Callable[[Model], Array],
    model: Model,
    *,
    key: Array,
    layers: Sequence[str],
    mode: str = "cascading",
    similarity: Callable[[Array, Array], Array] = spearman,
) -> RandomizationCheck:
    """Maps of the network before and after its parameters are shuffled, layer by layer.

    ``cascading``: at stage s the first s layers, counted from the output, are shuffled
    together. ``independent``: the s-th alone. A layer is shuffled by permuting the
    entries of each of its arrays, which keeps their distribution. A map that stays
    similar does not show what the network learned.

    Args:
      explain_fn: a model to maps ``(N, H, W, C)``, such as ``lambda model:
        ja.saliency(model, images, labels)``; jitted, it compiles once.
      model: a pytree of parameters: a model of ``ja.models``, or what ``explain_fn``
        takes.
      key: one typed key.
      layers: prefixes of the paths of parameters, such as ``("classifier", "head")``,
        from the output to the input; ``layer_names`` lists them.
      mode: ``"cascading"`` or ``"independent"``.
      similarity: two batches of maps ``(N, H, W)``, of sizes ``Σ_c |A_c|``, to ``(N,)``.

    Returns:
      A ``RandomizationCheck``.

    Raises:
      ValueError: an unknown mode; no layers, or one that has no parameters.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> params = {"out": jnp.arange(5.0), "bias": jnp.ones(1)}
      >>> explain_fn = lambda p: p["out"].reshape(1, 5, 1, 1)
      >>> check = ja.randomization_check(
      ...     explain_fn, params, key=jax.random.key(0), layers=("bias", "out")
      ... )
      >>> [bool(value < 0.999) for value in check.similarity[:, 0]]
      [False, True]

    References:
      Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim. Sanity Checks for Saliency Maps.
      NeurIPS 2018, arXiv:1810.03292.
    """
    check_choice("mode", mode, ("cascading", "independent"))
    if isinstance(layers, str) or not layers:
        raise fail("layers", "a sequence of names", layers)
    key = check_single_key(key)
    original = pixel_magnitudes(explain_fn(model))
    shuffled, scores = model, []
    for stage, layer in enumerate(layers):
        before = shuffled if mode == "cascading" else model
        shuffled = _shuffle(before, layer, jax.random.fold_in(key, stage))
        maps = pixel_magnitudes(explain_fn(shuffled))
        scores.append(similarity(original, maps))
    return RandomizationCheck(tuple(layers), jnp.stack(scores))


def layer_names(
    logits_fn: Callable[[Model, Array], Array], model: Model, images: Array
) -> tuple[str, ...]:
    """The layers of a network from the output to the input.

    A layer is what holds parameters side by side, a kernel and its bias. Their order is
    that in which the computation uses them, read from its trace, and not that of their
    names.

    Args:
      logits_fn: ``(model, images)`` to logits; for a model of ``ja.models``
        ``lambda model, images: model(images)``.
      model: a pytree of parameters.
      images: ``(N, H, W, C)``; only shape and dtype are looked at.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> params = {"a_last": {"kernel": jnp.ones(2)}, "b_first": {"kernel": jnp.ones(2)}}
      >>> logits_fn = lambda p, x: x * p["b_first"]["kernel"][None] @ p["a_last"]["kernel"]
      >>> ja.layer_names(logits_fn, params, jnp.ones((1, 2)))
      ('a_last', 'b_first')
    """
    paths = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(model)]
    trace = jax.make_jaxpr(logits_fn)(model, images).jaxpr
    used: dict[int, None] = {}
    _visit(trace, dict(zip(trace.invars, range(len(paths)))), used)
    layers = dict.fromkeys(paths[i].rpartition("/")[0] or paths[i] for i in used)
    return tuple(reversed(layers))


def _visit(
    trace: core.Jaxpr, leaf_of: dict[core.Var, int], used: dict[int, None]
) -> None:
    """Notes the parameters in the order in which equations combine them with others."""
    for equation in trace.eqns:
        given = [v if isinstance(v, core.Var) else None for v in equation.invars]
        known = [v for v in given if v is not None and v in leaf_of]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(equation.invars):
            pairs = zip(inner.invars, given)
            _visit(inner, {i: leaf_of[o] for i, o in pairs if o in leaf_of}, used)
        elif len(equation.invars) == 1 and known:
            # A cast or a reshape is not yet a use.
            leaf_of |= dict.fromkeys(equation.outvars, leaf_of[known[0]])
        else:
            used |= dict.fromkeys(leaf_of[v] for v in known)


def _shuffle(model: Model, layer: str, key: Array) -> Model:
    """The model with every array of one layer permuted."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(model)
    chosen = [f"{_name(path)}/".startswith(f"{layer}/") for path, _ in leaves]
    if not any(chosen):
        raise fail("layers", "prefixes of the paths of parameters", layer)
    shuffled = [
        jax.random.permutation(jax.random.fold_in(key, i), leaf.ravel()).reshape(
            leaf.shape
        )
        if is_chosen
        else leaf
        for i, (is_chosen, (_, leaf)) in enumerate(zip(chosen, leaves))
    ]
    return jax.tree.unflatten(tree, shuffled)


def _name(path: KeyPath) -> str:
    """``blocks/0/expand/kernel``, without the word that holds all parameters."""
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return name.removeprefix("params/")
