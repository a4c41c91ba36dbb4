"""ROAD: the imputation against a dense solution, the curve against a loop."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr._numerics import grids, imputation

PARAMS = toys.init_smooth(jax.random.key(4))
model = functools.partial(toys.smooth_logits, PARAMS)
WEIGHTS = {
    (dy, dx): 1 / 6 if dy * dx == 0 else 1 / 12
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if (dy, dx) != (0, 0)
}


def dense(image, missing):
    """``(H, W, C)``: every missing pixel is the mean of its neighbours, by elimination."""
    height, width = missing.shape
    places = list(zip(*np.nonzero(missing)))
    number = {place: i for i, place in enumerate(places)}
    matrix = np.zeros((len(places), len(places)))
    right = np.zeros((len(places), image.shape[-1]))
    for i, (y, x) in enumerate(places):
        for (dy, dx), weight in WEIGHTS.items():
            near = y + dy, x + dx
            if not (0 <= near[0] < height and 0 <= near[1] < width):
                continue
            matrix[i, i] += weight
            if near in number:
                matrix[i, number[near]] -= weight
            else:
                right[i] += weight * image[near]
    filled = image.astype(np.float64)
    filled[missing] = np.linalg.solve(matrix, right)
    return filled


def masks(height, width):
    """Blobs, sparse pixels, thin lines, all but one pixel."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(y / 5) + np.cos(x / 4 + y / 9)
    found = [waves > q for q in (1.2, 0.0, -1.5)]
    found += [rng.random((height, width)) < q for q in (0.05, 0.6, 0.98)]
    found += [y % 3 != 1, (y != 0) | (x != width - 1)]
    return np.array(found)


@jax.jit
def _imputed(values, missing):
    values = jnp.asarray(values)
    return imputation.imputation(missing, values.dtype)(values)


@pytest.mark.parametrize("shape", quick([(32, 27), (5, 6), (1, 7)], (5, 6)))
def test_imputation_against_elimination(shape):
    rng = np.random.default_rng(1)
    image = rng.random((*shape, 2))
    missing = masks(*shape)
    missing = missing[~missing.all((1, 2))]
    given = np.broadcast_to(np.moveaxis(image, -1, 0), (len(missing), 2, *shape))
    expected = [np.moveaxis(dense(image, m), -1, 0) for m in missing]
    found = _imputed(given.astype(np.float32), missing[:, None])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert np.abs(np.array(expected) - given).max() > 0.3


def test_of_one_known_pixel_all_others_are_its_value():
    # Nearly singular: without a shift by the mean, 0.002 of 0.7 are lost.
    missing = np.ones((128, 128), bool)
    missing[3, 100] = False
    given = jnp.where(missing, 0.2, jnp.float32(0.7))
    found = _imputed(given, missing)
    np.testing.assert_allclose(found, np.full((128, 128), 0.7), rtol=1e-6)


@pytest.mark.parametrize("shape", quick([(7, 4), (1, 6)], (7, 4)))
def test_restriction_is_the_transpose_of_prolongation(shape):
    coarse = np.prod([(n + 1) // 2 for n in shape])
    size = dict(zip(("height", "width"), shape))
    prolong = functools.partial(grids.prolong, **size)
    restrict = functools.partial(grids.restrict, **size)
    matrix = jax.jit(jax.jacobian(prolong))(jnp.zeros(coarse))
    transpose = jax.jit(jax.jacobian(restrict))(jnp.zeros(np.prod(shape)))
    np.testing.assert_array_equal(transpose, matrix.T)
    np.testing.assert_allclose(matrix.sum(1), 1)


@pytest.mark.parametrize("shape", quick([(7, 4), (8, 5), (1, 6)], (8, 5)))
def test_the_operator_of_a_coarser_grid_is_that_of_the_finer_one_between_both(shape):
    mask = jnp.asarray(masks(*shape)[4].ravel(), jnp.float32)
    matrix = lambda apply, size: jax.jit(jax.jacobian(apply))(jnp.zeros(size))
    levels = imputation._levels(mask, *shape)
    size = mask.size
    for fine, coarse in itertools.pairwise(levels):
        a = matrix(fine.apply, size)
        known = (
            np.zeros(size, bool) if fine is not levels[0] else ~np.asarray(mask, bool)
        )
        r = matrix(fine.restrict, size)
        p = matrix(fine.prolong, len(r))
        np.testing.assert_array_equal(p, np.where(known[:, None], 0, r.T))
        size = len(r)
        product = r @ a @ p
        np.testing.assert_allclose(matrix(coarse.apply, size), product, atol=1e-6)
        rows = np.abs(product).sum(1)
        damping = 1.6 if size > 1 else 1
        inverse = np.divide(damping, rows, out=np.zeros_like(rows), where=rows > 0)
        np.testing.assert_allclose(coarse.inverse, inverse, rtol=1e-4)
        assert np.abs(product).max() > 0.1


@pytest.mark.slow
def test_derivative_of_the_imputation():
    with toys.float64():
        image = jnp.asarray(np.random.default_rng(2).random((9, 8)))
        missing = jnp.asarray(masks(9, 8)[4])
        total = jax.jit(lambda x: jnp.sum(jnp.sin(9 * image) * _imputed(x, missing)))
        slope = np.asarray(jax.grad(total)(image))
        assert (slope[np.asarray(missing)] == 0).all()
        step = 1e-3 * jnp.cos(5 * image)
        # It is linear in what is known.
        change = (total(image + step) - total(image - step)) / 2
        np.testing.assert_allclose(jnp.vdot(slope, step), change, rtol=1e-3)


@pytest.mark.parametrize("batch_size", quick([2, 7], 2))
def test_curve_against_a_loop(batch_size):
    images = toys.images()
    maps = jax.random.normal(jax.random.key(1), images.shape)
    labels = jnp.array([2, 0, 1])
    key = jax.random.key(5)
    run = functools.partial(
        ja.road_curve, model, labels=labels, num_steps=6, noise=0.05
    )
    jitted = jax.jit(functools.partial(run, key=key, batch_size=batch_size))
    curves = jitted(images, maps)
    for i in range(3):
        image = np.asarray(images[i])
        order = np.argsort(-np.asarray(maps[i]).sum(-1).ravel(), kind="stable")
        own = jax.random.fold_in(key, i)
        for step in range(7):
            missing = np.zeros(30, bool)
            missing[order[: -(-30 * step // 6)]] = True
            missing = missing.reshape(6, 5)
            mean = np.broadcast_to(image.mean((0, 1)), image.shape)
            filled = mean if missing.all() else dense(image, missing)
            noise = jax.random.normal(jax.random.fold_in(own, step), image.shape)
            filled = np.where(missing[..., None], filled + 0.05 * noise, image)
            logits = model(jnp.asarray(filled, jnp.float32)[None])[0]
            expected = jax.nn.softmax(logits)[labels[i]]
            np.testing.assert_allclose(curves[i, step], expected, atol=2e-4)


@pytest.mark.slow
def test_without_a_key_an_image_has_the_same_curve_anywhere():
    images, labels = toys.images(), jnp.array([2, 0, 1])
    run = functools.partial(ja.road_curve, model, num_steps=2)
    whole = run(images, images, labels=labels)
    alone = run(images[2:], images[2:], labels=labels[2:])
    np.testing.assert_allclose(alone, whole[2:], rtol=1e-5)
    assert not np.allclose(
        whole, run(images, images, labels=labels, noise=0.0), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 6, 5), np.float32)}, r"images: .*\(N, H, W, C\)"),
        ({"attributions": np.zeros((3, 6, 4, 3), np.float32)}, "attributions: .*shape"),
        ({"num_steps": 1}, "num_steps: .*at least 2"),
        ({"noise": -1.0}, "noise: .*at least 0"),
        ({"order": "rows"}, "order: unknown 'rows'"),
        ({"key": 3}, "key: expected a typed key"),
    ],
)
def test_misuse(change, message):
    given = {"images": toys.images(), "attributions": toys.images()} | change
    with pytest.raises(ValueError, match=message):
        ja.road_curve(model, **given)
