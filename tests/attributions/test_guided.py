"""Guided integrated gradients against a slow reference and in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

PARAMS = toys.init_smooth(jax.random.key(2))
logits_fn = functools.partial(toys.smooth_logits, PARAMS)


def reference(gradient_fn, image, baseline, num_steps, fraction, max_dist):
    """One image, from the algorithm: rounds until the L1 target of the step is met."""
    x, total = baseline.copy(), np.zeros_like(image)
    delta = image - baseline
    length = np.abs(delta).sum()
    for step in range(num_steps):
        g = gradient_fn(x)
        alpha = (step + 1) / num_steps
        low = baseline + max(alpha - max_dist, 0) * delta
        high = baseline + min(alpha + max_dist, 1) * delta
        target = length * (1 - alpha)
        start = x.copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            progress = np.where(delta != 0, (x - baseline) / delta, alpha + max_dist)
        x = np.where(progress < max(alpha - max_dist, 0), low, x)
        size = np.where(x == high, np.inf, np.abs(g))
        while True:
            excess = np.abs(x - image).sum() - target
            if excess <= 1e-9 * length or not np.isfinite(size).any():
                break
            threshold = np.quantile(size, fraction, method="lower")
            chosen = (size <= threshold) & np.isfinite(size)
            available = (np.abs(x - high) * chosen).sum()
            if available > excess:
                x = np.where(chosen, x + excess / available * (high - x), x)
                break
            x = np.where(chosen, high, x)
            size = np.where(chosen, np.inf, size)
        total += g * (x - start)
    return total


@pytest.mark.parametrize(
    ("num_steps", "fraction", "max_dist"),
    [
        pytest.param(15, 0.25, 0.02, marks=pytest.mark.slow),
        (5, 0.1, 0.3),
        pytest.param(7, 1.0, 0.0, marks=pytest.mark.slow),
        (4, 0.37, 1.0),
    ],
)
def test_against_the_algorithm_in_a_loop(num_steps, fraction, max_dist):
    with toys.float64():
        images, labels = toys.images(dtype=jnp.float64), toys.labels()
        baseline = jnp.where(jnp.arange(3) == 1, images[0, 0, 0], 0.2)
        baseline = jnp.broadcast_to(baseline, images.shape)
        maps = ja.guided_ig(
            logits_fn,
            images,
            labels,
            baseline=baseline,
            num_steps=num_steps,
            fraction=fraction,
            max_dist=max_dist,
        )
        gradient = jax.jit(
            jax.grad(lambda x, y: ja.scores.logit(logits_fn, y[None])(x[None])[0])
        )
        for i in range(3):
            expected = reference(
                lambda x: np.asarray(gradient(x, labels[i])),
                np.asarray(images[i]),
                np.asarray(baseline[i]),
                num_steps,
                fraction,
                max_dist,
            )
            scale = np.abs(expected).max()
            np.testing.assert_allclose(maps[i], expected, atol=1e-9 * scale)


def test_without_freedom_it_is_left_integrated_gradients():
    """max_dist 0 leaves no room beside the straight line."""
    images, labels = toys.images(), toys.labels()
    guided = ja.guided_ig(logits_fn, images, labels, num_steps=8, max_dist=0.0)
    straight = ja.integrated_gradients(
        logits_fn, images, labels, num_steps=8, rule="left"
    )
    np.testing.assert_allclose(guided, straight, atol=1e-5)


def test_linear_model_is_exact_on_any_path():
    linear, weights = toys.linear()
    images, labels = toys.images(), toys.labels()
    maps = ja.guided_ig(linear, images, labels, baseline=0.3, num_steps=3)
    label_weights = np.moveaxis(np.asarray(weights)[..., labels], -1, 0)
    np.testing.assert_allclose(maps, (images - 0.3) * label_weights, atol=2e-6)


def test_an_image_that_is_its_baseline_is_explained_by_zero():
    images, labels = toys.images(), toys.labels()
    maps = ja.guided_ig(logits_fn, images, labels, baseline=images)
    np.testing.assert_array_equal(maps, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.0}, "fraction: expected a number between 1e-06 and 1, got 0.0"),
        ({"max_dist": 2.0}, "max_dist: expected a number between 0 and 1, got 2.0"),
        ({"num_steps": 0}, "num_steps: expected an integer"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        ja.guided_ig(logits_fn, toys.images(), toys.labels(), **options)
