"""Stability against a loop over pairs, of which only those that hold their class count."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

KEY = jax.random.key(3)
IMAGES = toys.images(3, 8, 9)
# The class of the second image is lost by most noise, that of the third by any.
OFFSETS = jnp.array([0.5, 0.0005, 0.002])


def model(images):
    """Class 0 while the mean is not above that of the first images by an offset."""
    gap = jnp.mean(images, (1, 2, 3)) - MEANS - OFFSETS
    return jnp.stack([-gap, gap], 1)


MEANS = jnp.mean(IMAGES, (1, 2, 3))
explain = lambda images: jnp.sin(20 * images)


def explain_held(images):
    """NaN where the class is lost: such pairs must not count."""
    held = jnp.argmax(model(images), -1) == 0
    return jnp.where(held[:, None, None, None], explain(images), jnp.nan)


def test_against_a_loop():
    run = jax.jit(
        lambda x: ja.stability(
            model,
            explain_held,
            x,
            key=KEY,
            num_samples=6,
            k=5,
            perturbation=mixed,
            window=2,
        )
    )
    found = run(IMAGES)
    sizes = lambda x: np.abs(np.asarray(explain(x))).sum(-1)
    measures = jax.jit(
        lambda a, b: [
            ja.ssim(a, b, window=2),
            ja.spearman(a, b),
            ja.cosine_similarity(a, b),
        ]
    )
    for i in range(3):
        rows = []
        for s in range(6):
            key = jax.random.fold_in(jax.random.fold_in(KEY, i), s)
            point = np.asarray(drawn(key, IMAGES[i], i))
            if point.mean() - float(MEANS[i]) > float(OFFSETS[i]):
                continue
            a, b = (jnp.asarray(sizes(v))[None] for v in (IMAGES[i], point))
            tops = [set(np.argsort(-np.asarray(v).ravel())[:5]) for v in (a, b)]
            jaccard = len(tops[0] & tops[1]) / len(tops[0] | tops[1])
            ssim, spearman, cosine = (float(v[0]) for v in measures(a, b))
            rows.append([ssim, spearman, jaccard, cosine])
        np.testing.assert_allclose(found.held[i], len(rows) / 6, rtol=1e-6)
        if rows:
            likeness = [values[i] for values in found[:4]]
            np.testing.assert_allclose(likeness, np.mean(rows, 0), rtol=1e-4)
        else:
            assert np.isnan([values[i] for values in found[:4]]).all()
    assert found.held[0] == 1
    assert 0 < found.held[1] < 1
    assert found.held[2] == 0
    assert 0 < found.spearman[0] < 1


def drawn(key, image, i):
    noise = 0.05 * jax.random.normal(key, image.shape)
    return image + (jnp.abs(noise) if i == 2 else noise)


def mixed(images):
    """Of the third image every value grows, so that its class is never held."""

    def draw(keys):
        one = lambda keys: jnp.stack([drawn(keys[i], images[i], i) for i in range(3)])
        return jax.vmap(one)(keys)

    return draw


def test_what_is_done_unless_something_else_is_given():
    """Gaussian noise, a tenth of the pixels, and a window that fits a small map."""
    x = IMAGES[:, :5]
    logits_fn = lambda x: x[:, 0, 0]
    run = functools.partial(ja.stability, logits_fn, explain, key=KEY, num_samples=2)
    gaussian = ja.perturbations.gaussian(0.1)
    expected = jax.jit(functools.partial(run, perturbation=gaussian, k=4, window=2))(x)
    found = jax.jit(functools.partial(run, stddev=0.1))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_an_explanation_that_never_changes_is_stable():
    explain = lambda x: 0 * x + IMAGES
    options = {"key": KEY, "num_samples": 2, "stddev": 1e-4}
    found = ja.stability(lambda x: x[:, 0, 0], explain, IMAGES, **options)
    np.testing.assert_allclose(jnp.stack(found), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": None}, "key: .*needs a typed key"),
        ({"k": 99}, "k: .*at most the 72 pixels"),
        ({"images": IMAGES[:, :2]}, "images: .*at least 3 x 3"),
    ],
)
def test_misuse(change, message):
    given = {"explain_fn": explain, "images": IMAGES, "key": KEY} | change
    with pytest.raises(ValueError, match=message):
        ja.stability(lambda x: x[:, 0, 0], **given)
