import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

KEY = jax.random.key(0)


def test_linear_model():
    """A linear logit has its weights as gradient, at every point and so on average."""
    logits_fn, weights = toys.linear()
    images, labels = toys.images(), toys.labels()
    expected = np.moveaxis(np.asarray(weights)[..., labels], -1, 0)
    np.testing.assert_allclose(
        ja.saliency(logits_fn, images, labels), expected, rtol=1e-6
    )
    np.testing.assert_allclose(
        ja.saliency(logits_fn, images, labels, absolute=True),
        np.abs(expected),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        ja.input_x_gradient(logits_fn, images, labels), images * expected, rtol=1e-6
    )
    smooth = ja.smoothgrad(logits_fn, images, labels, key=KEY, num_samples=3)
    np.testing.assert_allclose(smooth, expected, rtol=1e-5)


def test_score_is_what_is_explained():
    """∂ log p_y = ∂z_y - Σ_k p_k ∂z_k, and so on for the others."""
    logits_fn, weights = toys.linear()
    images, labels = toys.images(), toys.labels()
    w = np.asarray(weights)
    p = np.asarray(jax.nn.softmax(logits_fn(images)))
    label_weights = np.moveaxis(w[..., labels], -1, 0)
    log_probability = label_weights - np.einsum("hwck,nk->nhwc", w, p)
    label_p = p[np.arange(3), labels][:, None, None, None]
    for score, expected in [
        (ja.scores.log_probability, log_probability),
        (ja.scores.probability, label_p * log_probability),
        (ja.scores.cross_entropy, -log_probability),
    ]:
        actual = ja.saliency(logits_fn, images, labels, score=score)
        np.testing.assert_allclose(actual, expected, atol=2e-6 * np.abs(expected).max())


def test_a_score_of_one_s_own():
    logits_fn, weights = toys.linear()
    energy = lambda logits_fn, labels: lambda x: jnp.sum(logits_fn(x) ** 2, axis=-1)
    images = toys.images()
    actual = ja.saliency(logits_fn, images, toys.labels(), score=energy)
    expected = 2 * np.einsum("hwck,nk->nhwc", weights, logits_fn(images))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_smoothgrad_of_a_cubic_has_the_known_mean():
    """E ∂(x + σξ)³ = 3 (x² + σ²), and the error falls as one over √N."""
    cubic = lambda x: jnp.sum(x**3, axis=(1, 2))
    images = jnp.linspace(-1, 1, 300).reshape(1, 1, 100, 3)
    stddev, num_samples = 0.4, 2000
    run = jax.jit(
        lambda key: ja.smoothgrad(
            cubic,
            images,
            jnp.array([0]),
            key=key,
            num_samples=num_samples,
            stddev=stddev,
            batch_size=100,
        )
    )
    error = (run(KEY) - 3 * (images**2 + stddev**2))[..., 0]
    # Var (x + σξ)² = 4 x² σ² + 2 σ⁴
    spread = 3 * np.sqrt((4 * images**2 * stddev**2 + 2 * stddev**4) / num_samples)
    z = error / spread[..., 0]
    assert np.abs(z).max() < 4.5
    assert 0.7 < np.std(z) < 1.3


def test_relu_at_zero_has_slope_zero_and_dead_units_explain_nothing():
    relu = lambda x: jnp.pad(
        jax.nn.relu(jnp.sum(x, axis=(1, 2, 3)) - 1.0)[:, None], [(0, 0), (0, 1)]
    )
    images = jnp.array([0.4, 0.5, 0.6]).reshape(3, 1, 1, 1) * jnp.ones((1, 1, 1, 2))
    maps = ja.saliency(relu, images, jnp.zeros(3, int))
    np.testing.assert_array_equal(maps[:, 0, 0, 0], [0, 0, 1])


def test_input_x_gradient_is_ig_from_black_in_one_right_step():
    params = toys.init_smooth(KEY)
    logits_fn = lambda x: toys.smooth_logits(params, x)
    images, labels = toys.images(), toys.labels()
    np.testing.assert_allclose(
        ja.input_x_gradient(logits_fn, images, labels),
        ja.integrated_gradients(logits_fn, images, labels, num_steps=1, rule="right"),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples: expected an integer of at least 1, got 0"),
        ({"stddev": -1.0}, "stddev: expected a number of at least 0, got -1.0"),
    ],
)
def test_smoothgrad_misuse(options, message):
    logits_fn, _ = toys.linear()
    with pytest.raises(ValueError, match=message):
        ja.smoothgrad(logits_fn, toys.images(), toys.labels(), key=KEY, **options)
