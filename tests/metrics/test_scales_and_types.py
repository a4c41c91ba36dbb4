"""Metrics of float16 maps, and of maps of any size, against float64 on paper.

A sum of squares of float16 leaves its range at 256, and 1e30 squared leaves float32's.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

import jaxattr as ja

KEY = jax.random.key(0)
x, y = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 3))
half, other = (1e4 * x).astype(np.float16), (1e4 * y).astype(np.float16)
boxes = jnp.array([[0, 0, 2, 3], [1, 1, 4, 4], [0, 0, 4, 1]])
labels = jnp.array([1, 0, 1])
model = lambda images: jnp.stack([jnp.sum(images, (1, 2, 3))] * 2, 1) / 9
images = jnp.asarray(x, jnp.float32)
pixels = lambda maps: maps[..., 0]
segments = np.broadcast_to(np.arange(4)[None, :, None], (3, 4, 4))
per_image = lambda values: np.asarray(values, np.float64).reshape(len(values), -1)
length = lambda values: np.linalg.norm(per_image(values), axis=1)


def _of_pair(measure, **options):
    return lambda a, b: measure(pixels(a), pixels(b), **options)


MEASURES = {
    "alignment": lambda a, b: jnp.stack(ja.alignment(a, b)),
    "spearman": _of_pair(ja.spearman),
    "kendall": _of_pair(ja.kendall),
    "top k": _of_pair(ja.top_k_intersection, k=5),
    "lens_spearman": _of_pair(ja.lens_spearman, window=1),
    "lens_kendall": _of_pair(ja.lens_kendall, window=1),
    "lens_recall": _of_pair(ja.lens_recall, k=5, window=1),
    "lens_precision": _of_pair(ja.lens_precision, k=5, window=1),
    "lens_recall_diverse": _of_pair(ja.lens_recall_diverse, k=2, window=1),
    "lens_precision_diverse": _of_pair(ja.lens_precision_diverse, k=2, window=1),
    "localization": lambda a, b: jnp.stack(ja.localization(pixels(a), boxes)),
    "fraction": lambda a, b: ja.fraction_shown(a, num_steps=4),
    "insertion": lambda a, b: ja.insertion_curve(model, images, a, num_steps=4),
    "infidelity": lambda a, b: ja.infidelity(
        model, images, a, labels, key=KEY, num_samples=2
    ),
    "road": lambda a, b: ja.road_curve(model, images, a, num_steps=4),
    "irof": lambda a, b: ja.irof(
        *(model, images, a), segments=segments, labels=labels, num_segments=4
    ),
    "sensitivity_n": lambda a, b: ja.sensitivity_n(
        *(model, images, a), labels=labels, key=KEY, n=3, num_samples=5
    ),
    "mu_fidelity": lambda a, b: ja.mu_fidelity(
        *(model, images, a), labels=labels, key=KEY, num_samples=5
    ),
    "pointing game": lambda a, b: ja.pointing_game(pixels(a), boxes),
    "sparseness": lambda a, b: ja.sparseness(pixels(a)),
    "complexity": lambda a, b: ja.complexity(pixels(a)),
    "ssim": _of_pair(ja.ssim, window=1),
    "cosine": _of_pair(ja.cosine_similarity),
    "magnitudes": lambda a, b: ja.pixel_magnitudes(a),
    "area": lambda a, b: ja.area_under_curve(a.reshape(3, -1)),
}


DEAR = (
    *("alignment", "kendall", "spearman", "lens_kendall"),
    *("lens_recall", "lens_precision", "lens_recall_diverse", "lens_precision_diverse"),
    *("road", "irof", "mu_fidelity", "sensitivity_n"),
)


@pytest.mark.parametrize("name", quick(MEASURES, *({*MEASURES} - {*DEAR})))
def test_float16_maps_are_measured_as_the_numbers_that_they_hold(name):
    measure = jax.jit(MEASURES[name])
    found = measure(half, other)
    assert found.dtype == jnp.float32
    expected = measure(half.astype(np.float32), other.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isfinite(expected).all()


def test_sums_of_float16_are_those_of_float64():
    a, b = half.astype(np.float64), other.astype(np.float64)
    found = jax.jit(ja.alignment)(half, other)
    np.testing.assert_allclose(found.l2, length(a - b), rtol=1e-6)
    cosine = np.sum(per_image(a) * per_image(b), 1) / length(a) / length(b)
    np.testing.assert_allclose(found.cosine, cosine, rtol=1e-5)
    magnitudes = np.abs(a).sum(-1)
    np.testing.assert_allclose(ja.pixel_magnitudes(half), magnitudes, rtol=1e-6)
    curves = np.abs(half).reshape(3, -1)
    area = np.trapezoid(curves.astype(np.float64), dx=1 / 47, axis=1)
    np.testing.assert_allclose(ja.area_under_curve(curves), area, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_areas_and_magnitudes_have_the_unit_of_the_map(scale):
    maps = (x * scale).astype(np.float32)
    exact = maps.astype(np.float64)
    found = ja.pixel_magnitudes(maps)
    np.testing.assert_allclose(found, np.abs(exact).sum(-1), rtol=1e-6)
    area = np.trapezoid(np.abs(exact).reshape(3, -1), dx=1 / 47, axis=1)
    found = ja.area_under_curve(np.abs(maps).reshape(3, -1))
    np.testing.assert_allclose(found, area, rtol=1e-6)


@functools.partial(jax.jit, static_argnums=1)
def _sensitivities(images, dtype, scale):
    explain = lambda images: (scale * images**2).astype(dtype)
    options = {"key": KEY, "radius": 0.1, "num_samples": 1}
    measures = (ja.max_sensitivity, ja.local_lipschitz)
    return [measure(explain, images, **options) for measure in measures]


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (jnp.float32, 1e-30),
        (jnp.float32, 1e-20),
        (jnp.float32, 1.0),
        (jnp.float32, 1e20),
        (jnp.float32, 1e30),
        (jnp.float16, 1.0),
        (jnp.float16, 5e3),
    ],
)
def test_sensitivity_of_squares_at_any_scale_and_of_float16_maps(dtype, scale):
    points = (0.5 + 0.1 * x).astype(np.float16 if dtype == jnp.float16 else np.float32)
    scale = np.float32(scale)
    found = _sensitivities(points, dtype, scale)
    draws = [
        jax.random.uniform(
            jax.random.fold_in(jax.random.fold_in(KEY, i), 0),
            points.shape[1:],
            minval=-1.0,
        )
        for i in range(3)
    ]
    moved = points.astype(np.float32) + np.float32(0.1) * np.array(draws)
    exact = lambda images: (
        np.float64(scale) * (images.astype(np.float64)) ** 2
    ).astype(dtype)
    map_, changed = (np.float64(exact(v)) for v in (points, moved))
    distance = length(np.float64(moved) - np.float64(points))
    expected = [
        length(changed - map_) / length(map_),
        length(changed - map_) / distance,
    ]
    rtol = 1e-3 if dtype == jnp.float16 else 1e-5
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, 1e-15), (np.float32, 1.0), (np.float32, 1e15), (np.float16, 1e4)],
)
def test_infidelity_has_the_unit_of_the_score_squared(dtype, scale):
    maps = (x * scale).astype(dtype)
    moved = np.float32(0.25)
    measure = jax.jit(
        lambda maps, scale: ja.infidelity(
            lambda images: scale * model(images),
            images,
            maps,
            labels,
            key=KEY,
            num_samples=2,
            perturbation=lambda images: (
                lambda keys: jnp.broadcast_to(
                    images[None] - moved, (len(keys), *images.shape)
                )
            ),
        )
    )
    predicted = moved * per_image(maps).sum(1)
    # The model is linear: 48 values, each worth a ninth.
    expected = (predicted - np.float64(scale) * moved * 48 / 9) ** 2
    np.testing.assert_allclose(measure(maps, np.float32(scale)), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_mean_corruption_error_of_many_images_is_summed_widely(dtype):
    errors = np.random.default_rng(1).uniform(size=(3, 5, 4000)).astype(dtype)
    reference = np.array([0.5, 0.7, 0.9], dtype)
    exact = errors.astype(np.float64).mean((1, 2)) / reference.astype(np.float64)
    found = ja.mean_corruption_error(errors, reference)
    np.testing.assert_allclose(found, exact.mean(), rtol=1e-6)
