"""Explanations in a basis: closed forms, sums that stay, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

KEY = jax.random.key(4)
PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)
x, y = toys.images(2), jnp.array([1, 3])
stretched = (lambda x: 2 * x[:, ::-1], lambda c: c[:, ::-1] / 2)
ORTHONORMAL = ("dct", "haar", "db4")


@pytest.mark.parametrize("basis", quick(ORTHONORMAL, "db4"))
@pytest.mark.slow
def test_the_gradient_in_an_orthonormal_basis_is_the_transform_of_the_gradient(basis):
    """∂/∂c f(T⁻¹c) = T⁻ᵀ ∇f = T ∇f: of a linear model, the transform of its weights."""
    linear, weights = toys.linear()
    maps = ja.in_basis(ja.saliency, basis)(linear, x, y)
    known = jnp.moveaxis(weights[..., y], -1, 0)
    forward = ja.bases.dct() if basis == "dct" else ja.bases.wavelet(basis)
    np.testing.assert_allclose(maps, forward.forward(known), atol=2e-5)


@pytest.mark.parametrize("basis", quick([*ORTHONORMAL, stretched], stretched))
def test_sums_do_not_depend_on_the_basis(basis):
    """``Σ c ∂f/∂c = Σ x ∂f/∂x`` in any linear basis; gradients are complete."""
    with toys.float64():
        images = x.astype(jnp.float64)
        total = lambda maps: np.asarray(maps).sum((1, 2, 3))
        inside = ja.in_basis(ja.input_x_gradient, basis)(model, images, y)
        outside = ja.input_x_gradient(model, images, y)
        np.testing.assert_allclose(total(inside), total(outside), rtol=1e-7)
        ig = functools.partial(ja.integrated_gradients, rule="gauss-legendre")
        inside = ja.in_basis(ig, basis)(model, images, y, baseline=0.4, num_steps=12)
        outside = ig(model, images, y, baseline=0.4, num_steps=12)
        np.testing.assert_allclose(total(inside), total(outside), rtol=1e-7)


def test_a_pair_that_is_no_rotation_scales_the_gradient():
    maps = ja.in_basis(ja.saliency, stretched)(model, x, y)
    np.testing.assert_allclose(maps, ja.saliency(model, x, y)[:, ::-1] / 2, atol=1e-6)


@pytest.mark.slow
def test_wam_is_smoothgrad_of_wavelets():
    """The mean gradient under noise on the coefficients, by the equation."""
    wam = ja.in_basis(ja.smoothgrad, "haar")
    maps = wam(model, x, y, key=KEY, num_samples=3, stddev=0.1)
    basis = ja.bases.wavelet("haar")
    of_coefficients = lambda c: model(basis.inverse(c))
    expected = ja.smoothgrad(
        of_coefficients, basis.forward(x), y, key=KEY, num_samples=3, stddev=0.1
    )
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.slow
def test_bands_of_frequencies_share_out_the_change_of_the_score():
    linear, _ = toys.linear(8, 8)
    images = toys.images(2, 8, 8)
    masks = ja.band_masks(8, 8, 3)
    explain = ja.in_basis(ja.input_x_gradient, ja.bases.fft_bands(masks))
    shares = explain(linear, images, y).reshape(2, 64, 3, 3).sum((1, 3))
    alone = [linear(band) - linear(0 * band) for band in ja.band_images(images, masks)]
    expected = jnp.stack([z[jnp.arange(2), y] for z in alone], axis=1)
    np.testing.assert_allclose(shares, expected, atol=2e-4)


@pytest.mark.slow
def test_references_are_images_and_references_in_coefficients_are_not_needed():
    linear, _ = toys.linear()
    given = {"key": KEY, "num_samples": 4, "references": x[:1]}
    maps = ja.in_basis(ja.expected_gradients, "db4")(linear, x, y, **given)
    change = linear(x) - linear(x[:1])
    np.testing.assert_allclose(maps.sum((1, 2, 3)), change[jnp.arange(2), y], atol=2e-4)


@pytest.mark.parametrize("fixed", [False, True])
def test_what_moves_points_is_not_held_in_the_bounds_of_pixels(fixed):
    """Coefficients go beyond one; given bounds stand."""
    explain = ja.mfaba
    if fixed:
        explain = functools.partial(ja.mfaba, bounds=(-0.5, 1.0))
    run = functools.partial(
        ja.in_basis(explain, "dct"), model, x, jnp.argmax(model(x), -1), num_steps=2
    )
    if fixed:
        with pytest.raises(ValueError, match="within the bounds -0.5 to 1"):
            run()
        return
    assert np.abs(ja.bases.dct().forward(x)).max() > 1.5
    assert (np.asarray(run()) != 0).mean() > 0.9
    traced = jax.jit(lambda x: ja.in_basis(explain, "dct")(model, x, y, num_steps=2))
    assert np.isfinite(traced(x)).all()


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        ("fourier", "basis: unknown 'fourier'; .*known: .*dct.*haar"),
        (7, r"basis: expected a name or a pair \(forward, inverse\), got 7"),
        ((1, 2), "basis: expected a pair of functions"),
        ((lambda x: 2 * x, lambda c: c), "basis: .*undo each other.* differs"),
        ((lambda x: x, lambda c: c * jnp.nan), "basis: .*undo each other.* differs"),
        ((lambda x: x[:, 0], lambda c: c), r"basis: expected coefficients \(2, h"),
        ((lambda x: x, lambda c: c[:, :1]), r"basis: expected images \(2, 6, 5, 3\)"),
    ],
)
def test_a_bad_basis(basis, message):
    with pytest.raises(ValueError, match=message):
        ja.in_basis(ja.saliency, basis)(model, x, y)


def test_bad_options():
    with pytest.raises(ValueError, match="search: expected a BoundarySearch with"):
        ja.in_basis(ja.bsm, "dct")(model, x, y, key=KEY)
    with pytest.raises(ValueError, match="baseline: expected a number or images"):
        ja.in_basis(ja.integrated_gradients, "dct")(model, x, y, baseline=x[:, :2])
    with pytest.raises(ValueError, match=r"images: expected .*\(N, H, W, C\)"):
        ja.in_basis(ja.saliency, "dct")(model, x[0], y)
    with pytest.raises(ValueError, match="labels: expected classes 0 to 3"):
        ja.in_basis(ja.saliency, "dct")(model, x, jnp.array([0, 9]))
