"""Mean corruption error and the change of predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja
from jaxattr import corruptions, metrics

NAMES = ["gaussian_noise", "contrast", "pixelate"]


def model(x):
    """Two classes: darker or brighter on the left."""
    half = x.shape[2] // 2
    left, right = (part.mean((1, 2, 3)) for part in (x[:, :, :half], x[:, :, half:]))
    return jnp.stack([left, right], axis=1) * 10


@pytest.mark.slow
def test_errors_are_those_of_the_corrupted_images():
    images, labels = toys.images(4, 8, 8), jnp.array([0, 1, 0, 1])
    key = jax.random.key(0)
    wrong = ja.corruption_errors(
        model, images, labels, key=key, names=NAMES, severities=(1, 4), batch_size=3
    )
    assert wrong.shape == (3, 2, 4)
    assert wrong.dtype == bool
    seen = corruptions.corrupt("contrast", images, severity=4)
    np.testing.assert_array_equal(wrong[1, 1], model(seen).argmax(-1) != labels)
    assert 0 < float(wrong.mean()) < 1
    # Whichever images they come with, they are corrupted alike.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(4))
    alone = ja.corruption_errors(
        *(model, images[2:], labels[2:]),
        key=keys[2:],
        names=NAMES,
        severities=(1, 4),
    )
    np.testing.assert_array_equal(alone, wrong[:, :, 2:])


def test_mce_by_hand():
    errors = jnp.array([[[1, 0], [1, 1]], [[0, 0], [0, 1]]], bool)  # means 3/4, 1/4
    reference = jnp.array([[0.9, 0.6], [0.5, 0.5]])  # means 3/4, 1/2
    np.testing.assert_allclose(ja.mean_corruption_error(errors, reference), 0.75)
    np.testing.assert_allclose(
        ja.mean_corruption_error(errors, jnp.array([0.75, 0.5])), 0.75
    )
    np.testing.assert_allclose(ja.mean_corruption_error(errors, errors), 1)
    assert np.isinf(ja.mean_corruption_error(errors, jnp.array([0.5, 0.0])))


def test_alexnet_is_its_own_reference():
    alexnet = jnp.array(metrics.ALEXNET_ERRORS)
    assert len(alexnet) == 15
    errors = jnp.broadcast_to(alexnet[:, None], (15, 5))
    np.testing.assert_allclose(ja.mean_corruption_error(errors, alexnet), 1, rtol=1e-6)


@pytest.mark.slow
def test_prediction_change_is_zero_without_change_and_grows_with_the_attack():
    images, labels = toys.images(3, 8, 8), jnp.array([0, 1, 0])
    np.testing.assert_allclose(ja.prediction_change(model, images, images, labels), 0)
    small, large = (
        ja.prediction_change(
            *(model, images),
            ja.attacks.run("fgsm", model, images, labels, epsilon=e).images,
            labels,
            batch_size=2,
        )
        for e in (0.01, 0.05)
    )
    assert bool((0 < small).all())
    assert bool((small < large).all())
    before, after = (
        ja.scores.probability(model, labels)(x) for x in (images, images[:, :, ::-1])
    )
    np.testing.assert_allclose(
        ja.prediction_change(model, images, images[:, :, ::-1], labels),
        jnp.abs(before - after),
        atol=1e-6,
    )


def test_bad_input():
    images, labels = toys.images(2, 8, 8), jnp.array([0, 1])
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="names: unknown 'fogg'"):
        ja.corruption_errors(model, images, labels, key=key, names=["fogg"])
    with pytest.raises(ValueError, match="severities: expected 1 to 5, got 6"):
        ja.corruption_errors(model, images, labels, key=key, severities=[6])
    with pytest.raises(ValueError, match="key: "):
        ja.corruption_errors(model, images, labels)
    with pytest.raises(ValueError, match="errors: expected"):
        ja.mean_corruption_error(jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match="reference: expected 3 corruptions"):
        ja.mean_corruption_error(jnp.zeros((3, 5)), jnp.zeros(4))
    with pytest.raises(ValueError, match="perturbed: expected shape"):
        ja.prediction_change(model, images, images[:1], labels)
