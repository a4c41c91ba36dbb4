"""Any explainer in other coordinates than pixels: one combinator, no new method."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxattr._checks import check_task, fail
from jaxattr.boundaries import BoundaryPoint, BoundarySearch
from jaxattr.frequencies.bases import Basis, as_basis
from jaxattr.typing import Array, LogitsFn

Explainer = Callable[..., Array]

IMAGES = ("baseline", "references", "substrate")
"""Options that are images, or a number that stands for a grey one."""


def in_basis(
    explain: Explainer,
    basis: str | tuple[Callable[[Array], Array], Callable[[Array], Array]],
) -> Explainer:
    """Explains by the coefficients of a basis in place of the pixels.

    With ``c = forward(x)``, the model is a function of c, ``logits_fn(inverse(c))``, and
    ``explain`` is called with this model and with the coefficients in place of the images.
    Whatever it promises of pixels then holds of coefficients: gradients are those in the
    coefficients, integrated gradients sum to the change of the score, Shapley values share
    it out. Of an orthonormal basis the gradient map is the transform of that in pixels.

    Args:
      explain: any explainer of the library, or of the same form. Not one that needs
        ``features`` and ``head`` (``grad_cam``): its maps are of places.
      basis: ``dct`` (orthonormal), ``haar``, ``db1`` to ``db8`` (wavelets of three
        levels), or a pair of functions ``(forward, inverse)`` that undo each other, images
        to coefficients ``(N, h, w, c)`` of any size and back; ``ja.bases`` makes some,
        such as ``ja.bases.wavelet("db4", levels=2)`` and ``ja.bases.fft_bands(masks)``.

    Returns:
      An explainer ``(logits_fn, images, labels, *, key, batch_size, **options)`` whose
      maps ``(N, h, w, c)`` are those of the coefficients. Options are those of
      ``explain``, in units of the coefficients, but for ``baseline``, ``references`` and
      ``substrate``, which are given as images (or a number, a grey image) and transformed.
      ``bounds`` are none where they are not given: what steps through coefficients may
      leave the range of the pixels.

    Raises:
      ValueError: an unknown basis. When called: as ``explain``; functions that do not undo
        each other; a boundary search with the default bounds, which are those of pixels.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> explain = ja.in_basis(ja.input_x_gradient, "haar")
      >>> maps = explain(logits_fn, jnp.ones((1, 2, 2, 3)), jnp.array([2]))
      >>> maps[0, ..., 2].round(3)  # all of it is in the mean
      Array([[8., 0.], [0., 0.]], dtype=float32)

    References:
      Kasmi, Brunetto, Fel, Parekh. One Wave to Explain Them All: A Unifying Perspective on
      Feature Attribution. ICML 2025, arXiv:2410.01482 (WAM): ``smoothgrad`` or
      ``integrated_gradients`` in a wavelet basis. There the noise of ``smoothgrad`` is
      added to the pixels; an orthonormal transform of white noise is white noise of the
      same size, so here it is added to the coefficients.
    """
    pair = as_basis(basis)
    parameters = inspect.signature(explain).parameters
    fixed = explain.keywords if isinstance(explain, functools.partial) else {}

    def explain_coefficients(
        logits_fn: LogitsFn,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        batch_size: int | None = None,
        **options: object,
    ) -> Array:
        model, images, labels = check_task(logits_fn, images, labels)
        coefficients = _coefficients(pair, images)
        options = _options(pair, parameters, fixed, options, images)
        return explain(
            lambda values: model(pair.inverse(values)),
            coefficients,
            labels,
            key=key,
            batch_size=batch_size,
            **options,
        )

    return explain_coefficients


def _coefficients(basis: Basis, images: Array) -> Array:
    """``forward(images)``: its shape is checked, its values where they are known."""
    coefficients = basis.forward(images)
    if coefficients.ndim != 4 or len(coefficients) != len(images):
        expected = f"coefficients ({len(images)}, h, w, c) from forward"
        raise fail("basis", expected, coefficients)
    back = jax.eval_shape(basis.inverse, coefficients)
    if back.shape != images.shape:
        raise fail("basis", f"images {images.shape} from inverse", back)
    traced = isinstance(images, jax.core.Tracer)
    if traced or not getattr(images, "is_fully_addressable", True):
        return coefficients
    with jax.ensure_compile_time_eval():
        again = basis.inverse(basis.forward(images))
        error = float(jnp.max(jnp.abs(again - images)))
        size = float(jnp.max(jnp.abs(images)))
    if not error <= 1e-3 * max(1.0, size):
        raise ValueError(
            "basis: expected functions (forward, inverse) that undo each other, got "
            f"inverse(forward(images)) that differs from the images by {error:.3g}"
        )
    return coefficients


def _options(
    basis: Basis,
    parameters: Mapping[str, inspect.Parameter],
    fixed: Mapping[str, object],
    given: Mapping[str, object],
    images: Array,
) -> dict[str, object]:
    """What the explainer is called with: images as coefficients, no bounds of pixels."""
    options = dict(given)
    for name in IMAGES:
        if name in parameters and name in {**fixed, **given}:
            value = {**fixed, **given}[name]
            options[name] = _transform(basis, name, value, images)
    if "bounds" in parameters and "bounds" not in {**fixed, **given}:
        options["bounds"] = (-jnp.inf, jnp.inf)
    if "search" in parameters:
        search = {**fixed, **given}.get("search")
        if not isinstance(search, BoundarySearch | BoundaryPoint):
            expected = "a BoundarySearch with bounds of the coefficients"
            raise fail("search", expected, search)
    return options


def _transform(basis: Basis, name: str, value: object, images: Array) -> Array:
    """Images ``(..., H, W, C)``, or a number, as coefficients ``(..., h, w, c)``."""
    array = jnp.asarray(value, images.dtype)
    if array.ndim == 0:
        array = jnp.zeros_like(images[0]) + array
    if array.shape[-3:] != images.shape[1:]:
        raise fail(name, f"a number or images (..., {images.shape[1:]})", value)
    lead = array.shape[:-3]
    values = basis.forward(array.reshape((-1, *images.shape[1:])))
    return values.reshape((*lead, *values.shape[1:]))
